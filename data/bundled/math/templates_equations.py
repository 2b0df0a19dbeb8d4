"""Word problems with an unknown: ages, equations, sequences, averages to reach."""

from fractions import Fraction
from random import Random

from data.bundled.math.template import Drawn, template


@template(
    difficulty="medium",
    expression="({total} - {difference}) / 2",
    phrasings=(
        "{name} and {other} are {total} years old together. {name} is {difference} years older. How old is {other}?",
        "The ages of {name} and {other} add up to {total}. {other} is {difference} years younger than {name}. "
        "How old is {other}?",
    ),
)
def two_ages(random: Random) -> Drawn:
    younger, difference = random.randint(5, 40), random.randint(2, 25)
    return {"total": 2 * younger + difference, "difference": difference}, younger


@template(
    difficulty="hard",
    expression="({total} - 2 * {years}) / ({times} + 1)",
    phrasings=(
        "A mother is {times} times as old as her son. In {years} years their ages will add up to {total}. "
        "How old is the son now?",
        "{name} is {times} times as old as {other}. In {years} years they will be {total} years old together. "
        "How old is {other} now?",
    ),
)
def ages_in_years(random: Random) -> Drawn:
    young, times, years = random.randint(4, 15), random.randint(3, 5), random.randint(2, 12)
    return {"times": times, "years": years, "total": (young + years) + (times * young + years)}, young


@template(
    difficulty="medium",
    expression="({total} - 3) / 3",
    phrasings=(
        "The sum of three consecutive whole numbers is {total}. What is the smallest of them?",
        "Three page numbers in a row add up to {total}. What is the first of these pages?",
    ),
)
def consecutive(random: Random) -> Drawn:
    first = random.randint(8, 150)
    return {"total": sum(range(first, first + 3))}, first


@template(
    difficulty="medium",
    expression="({result} - {added}) / {factor}",
    phrasings=(
        "{name} thinks of a number, multiplies it by {factor} and adds {added}. The result is {result}. "
        "What is the number?",
        "Solve for x: {factor}x + {added} = {result}.",
    ),
)
def linear_equation(random: Random) -> Drawn:
    solution, factor, added = random.randint(-12, 30), random.randint(3, 12), random.randint(2, 40)
    return {"factor": factor, "added": added, "result": factor * solution + added}, solution


@template(
    difficulty="medium",
    expression="({right} - {left}) / ({more} - {less})",
    phrasings=(
        "Solve for x: {more}x + {left} = {less}x + {right}.",
        "{more} times a number plus {left} is the same as {less} times the number plus {right}. What is the number?",
    ),
)
def unknown_on_both_sides(random: Random) -> Drawn:
    solution, less, gap, left = (random.randint(2, top) for top in (20, 7, 6, 30))
    return {"more": less + gap, "less": less, "left": left, "right": left + gap * solution}, solution


@template(
    difficulty="hard",
    expression="4 * {average} - {first} - {second} - {third}",
    phrasings=(
        "{name} scored {first}, {second} and {third} points in three tests. What must {name} score in the fourth test "
        "for an average of {average}?",
        "Four numbers have an average of {average}. Three are {first}, {second} and {third}. What is the fourth?",
    ),
)
def fourth_score(random: Random) -> Drawn:
    average = random.randint(50, 64)
    first, second, third = (average + random.randint(-12, 8) for _ in range(3))
    fourth = average + sum(average - score for score in (first, second, third))
    return {"average": average, "first": first, "second": second, "third": third}, fourth


@template(
    difficulty="medium",
    expression="{start} + ({position} - 1) * {step}",
    phrasings=(
        "A sequence starts with {start} and grows by {step} each time. What is its term number {position}?",
        "{name} does {start} push-ups on day 1 and {step} more every day. How many are due on day {position}?",
    ),
)
def sequence_term(random: Random) -> Drawn:
    start, step, position = random.randint(3, 40), random.randint(2, 12), random.randint(8, 30)
    return {"start": start, "step": step, "position": position}, range(start, 1000, step)[position - 1]


@template(
    difficulty="hard",
    expression="{count} * (2 * {start} + ({count} - 1) * {step}) / 2",
    phrasings=(
        "The first row of a theatre has {start} seats, and every row has {step} more than the one before. "
        "How many seats are in the first {count} rows?",
        "{name} saves ${start} in the first week and ${step} more each week than the week before. "
        "How many dollars has {name} saved after {count} weeks?",
    ),
)
def sequence_sum(random: Random) -> Drawn:
    start, step, count = random.randint(5, 30), random.randint(2, 6), random.randint(5, 16)
    return {"start": start, "step": step, "count": count}, sum(start + row * step for row in range(count))


@template(
    difficulty="hard",
    expression="{heads} - ({legs} - 2 * {heads}) / 2",
    phrasings=(
        "A farm has chickens and rabbits, {heads} heads and {legs} legs in all. How many chickens are there?",
        "In a yard stand {heads} vehicles, bicycles with 2 wheels and cars with 4, with {legs} wheels in all. "
        "How many of them are bicycles?",
    ),
)
def heads_and_legs(random: Random) -> Drawn:
    pairs, fours = random.randint(4, 30), random.randint(3, 25)
    return {"heads": pairs + fours, "legs": 2 * pairs + 4 * fours}, pairs


@template(
    difficulty="medium",
    expression="({total} - {people} * {each}) / {each}",
    phrasings=(
        "{name} has {total} sweets and gives {each} sweets to each of {people} guests. "
        "How many more guests could get {each} sweets?",
        "A roll of {total} metres of rope is cut into pieces of {each} metres. {people} pieces are sold. "
        "How many pieces are left?",
    ),
)
def pieces_left(random: Random) -> Drawn:
    each, people, left = random.randint(2, 9), random.randint(4, 15), random.randint(2, 12)
    return {"each": each, "people": people, "total": each * (people + left)}, left


@template(
    difficulty="hard",
    expression="({first} * {few} + {second} * {many}) / ({few} + {many})",
    phrasings=(
        "{few} students have an average of {first} points, {many} others an average of {second} points. "
        "What is the average of all students?",
        "A shop mixes {few} kg of tea at ${first} per kg with {many} kg at ${second} per kg. "
        "What is one kg of the mixture worth, in dollars?",
    ),
)
def weighted_average(random: Random) -> Drawn:
    few, many = random.randint(2, 8), random.randint(3, 12)
    first, gap = random.randint(20, 60), random.randint(1, 3) * (few + many)
    return {"few": few, "many": many, "first": first, "second": first + gap}, first + Fraction(gap * many, few + many)


TEMPLATES = (
    two_ages,
    ages_in_years,
    consecutive,
    linear_equation,
    unknown_on_both_sides,
    fourth_score,
    sequence_term,
    sequence_sum,
    heads_and_legs,
    pieces_left,
    weighted_average,
)
