"""Word problems about probability and counting."""

from fractions import Fraction
from itertools import combinations, permutations
from random import Random

from data.bundled.math.template import Drawn, template


@template(
    difficulty="easy",
    asks_for_fraction=True,
    expression="{limit} / {faces}",
    phrasings=(
        "A fair die has {faces} faces, numbered from 1 to {faces}. What is the probability of a number of at most "
        "{limit}, as a fraction?",
        "{name} draws one of {faces} cards numbered 1 to {faces}. What is the probability, as a fraction, that the "
        "number is {limit} or less?",
    ),
)
def die(random: Random) -> Drawn:
    faces = random.choice((6, 8, 12, 20))
    limit = random.randint(2, faces - 1)
    return {"faces": faces, "limit": limit}, Fraction(sum(face <= limit for face in range(1, faces + 1)), faces)


@template(
    difficulty="medium",
    asks_for_fraction=True,
    expression="{red} / ({red} + {blue})",
    phrasings=(
        "A bag holds {red} red and {blue} blue marbles. {name} takes one without looking. "
        "What is the probability that it is red, as a fraction?",
        "A drawer has {red} red socks and {blue} blue socks. One sock is drawn at random. "
        "Give the probability of red as a fraction.",
    ),
)
def one_marble(random: Random) -> Drawn:
    red, blue = random.randint(2, 12), random.randint(2, 12)
    return {"red": red, "blue": blue}, Fraction(red, red + blue)


@template(
    difficulty="medium",
    asks_for_fraction=True,
    expression="1 - {winning} / {tickets}",
    phrasings=(
        "{winning} of {tickets} lottery tickets win. What is the probability, as a fraction, that a ticket loses?",
        "In a box of {tickets} light bulbs {winning} are broken. {name} takes one at random. "
        "What is the probability, as a fraction, that it is not broken?",
    ),
)
def complement(random: Random) -> Drawn:
    tickets = random.choice((12, 20, 24, 30, 36, 40, 45, 50, 60))
    winning = random.randint(2, tickets // 2)
    return {"tickets": tickets, "winning": winning}, Fraction(tickets - winning, tickets)


@template(
    difficulty="hard",
    asks_for_fraction=True,
    expression="{red} / ({red} + {blue}) * ({red} - 1) / ({red} + {blue} - 1)",
    phrasings=(
        "A bag holds {red} red and {blue} blue balls. Two are drawn without putting the first back. "
        "What is the probability that both are red, as a fraction?",
        "{red} girls and {blue} boys put their names in a hat. Two different names are drawn. "
        "What is the probability, as a fraction, that both are girls?",
    ),
)
def two_marbles(random: Random) -> Drawn:
    red, blue = random.randint(2, 9), random.randint(2, 9)
    pairs = list(combinations([True] * red + [False] * blue, 2))
    return {"red": red, "blue": blue}, Fraction(sum(all(pair) for pair in pairs), len(pairs))


@template(
    difficulty="medium",
    asks_for_fraction=True,
    expression="{top} / {bottom} * {other_top} / {other_bottom}",
    phrasings=(
        "{name} hits the target with probability {top}/{bottom}, {other} with probability {other_top}/{other_bottom}, "
        "independently. What is the probability that both hit, as a fraction?",
        "It rains on Saturday with probability {top}/{bottom} and on Sunday with probability "
        "{other_top}/{other_bottom}, independently. What is the probability of rain on both days, as a fraction?",
    ),
)
def both_happen(random: Random) -> Drawn:
    bottom, other_bottom = random.randint(3, 9), random.randint(3, 9)
    top, other_top = random.randint(1, bottom - 1), random.randint(1, other_bottom - 1)
    numbers = {"top": top, "bottom": bottom, "other_top": other_top, "other_bottom": other_bottom}
    return numbers, Fraction(top * other_top, bottom * other_bottom)


@template(
    difficulty="medium",
    expression="{people} * ({people} - 1) / 2",
    phrasings=(
        "{people} people meet and each shakes hands once with every other. How many handshakes are there?",
        "{people} teams each play once against every other team. How many matches are played?",
    ),
)
def handshakes(random: Random) -> Drawn:
    people = random.randint(5, 40)
    return {"people": people}, sum(1 for _ in combinations(range(people), 2))


@template(
    difficulty="medium",
    expression="{people} * ({people} - 1)",
    phrasings=(
        "A club of {people} members elects a president and a different member as treasurer. "
        "In how many ways can this turn out?",
        "In how many ways can the first and the second place go to two of {people} runners?",
    ),
)
def two_offices(random: Random) -> Drawn:
    people = random.randint(5, 40)
    return {"people": people}, sum(1 for _ in permutations(range(people), 2))


@template(
    difficulty="medium",
    expression="{trials} * {top} / {bottom}",
    phrasings=(
        "A spinner shows green with probability {top}/{bottom}. How many greens are expected in {trials} spins?",
        "A plant grows from a seed with probability {top}/{bottom}. How many plants does {name} expect from {trials} "
        "seeds?",
    ),
)
def expected_count(random: Random) -> Drawn:
    top, bottom = random.choice(((1, 3), (2, 3), (3, 4), (2, 5), (4, 5), (5, 6), (3, 8), (7, 10)))
    rounds = random.randint(6, 40)
    return {"top": top, "bottom": bottom, "trials": rounds * bottom}, rounds * top


@template(
    difficulty="easy",
    expression="{shirts} * {trousers}",
    phrasings=(
        "{name} has {shirts} shirts and {trousers} pairs of trousers. How many different outfits are possible?",
        "A menu offers {shirts} starters and {trousers} main dishes. How many meals of one starter and one main dish "
        "are there?",
    ),
)
def outfits(random: Random) -> Drawn:
    shirts, trousers = random.randint(4, 16), random.randint(3, 12)
    return {"shirts": shirts, "trousers": trousers}, sum(1 for _ in range(shirts) for _ in range(trousers))


@template(
    difficulty="medium",
    asks_for_fraction=True,
    expression="({cards} // {divisor}) / {cards}",
    phrasings=(
        "Cards are numbered from 1 to {cards}. One is drawn. What is the probability, as a fraction, of a "
        "multiple of {divisor}?",
        "{name} picks a whole number from 1 to {cards} at random. What is the probability, as a fraction, that "
        "{divisor} divides it?",
    ),
)
def multiples(random: Random) -> Drawn:
    cards, divisor = random.randint(12, 60), random.randint(3, 9)
    return {"cards": cards, "divisor": divisor}, Fraction(len(range(divisor, cards + 1, divisor)), cards)


TEMPLATES = (
    die,
    one_marble,
    complement,
    two_marbles,
    both_happen,
    handshakes,
    two_offices,
    expected_count,
    outfits,
    multiples,
)
