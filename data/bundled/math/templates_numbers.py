"""Word problems about plain numbers: differences, remainders, fractions, percentages, averages."""

from fractions import Fraction
from math import lcm
from random import Random

from data.bundled.math.template import Drawn, template


@template(
    difficulty="easy",
    expression="{more} - {less}",
    phrasings=(
        "{name} collected {more} shells and {other} collected {less}. How many more shells did {name} collect?",
        "A school has {more} pupils, another has {less}. How many pupils more does the larger school have?",
    ),
)
def how_many_more(random: Random) -> Drawn:
    less, gap = random.randint(25, 400), random.randint(12, 180)
    return {"more": less + gap, "less": less}, gap


@template(
    difficulty="easy",
    expression="{rows} * {seats}",
    phrasings=(
        "A hall has {rows} rows with {seats} seats each. How many seats are there?",
        "{name} plants {rows} rows of {seats} tulips. How many tulips is that?",
    ),
)
def rows_of_seats(random: Random) -> Drawn:
    rows, seats = random.randint(6, 30), random.randint(7, 28)
    return {"rows": rows, "seats": seats}, sum([seats] * rows)


@template(
    difficulty="easy",
    expression="{eggs} % {box}",
    phrasings=(
        "{eggs} eggs are packed in boxes of {box}. How many eggs are left over when no more box can be filled?",
        "What is the remainder when {eggs} is divided by {box}?",
    ),
)
def remainder(random: Random) -> Drawn:
    box, boxes = random.randint(6, 15), random.randint(5, 40)
    left = random.randint(1, box - 1)
    return {"eggs": box * boxes + left, "box": box}, left


@template(
    difficulty="medium",
    expression="({people} + {seats} - 1) // {seats}",
    phrasings=(
        "{people} people take minibuses with {seats} seats each. How many minibuses are needed at least?",
        "{name} puts {people} photos in an album with {seats} photos a page. How many pages are needed at least?",
    ),
)
def enough_buses(random: Random) -> Drawn:
    seats, full = random.randint(6, 16), random.randint(3, 20)
    return {"people": seats * full + random.randint(1, seats), "seats": seats}, full + 1


@template(
    difficulty="medium",
    expression="({first} + {second} + {third}) / 3",
    phrasings=(
        "{name} ran {first}, {second} and {third} km on three days. How many km is that on average?",
        "What is the average of {first}, {second} and {third}?",
    ),
)
def average_of_three(random: Random) -> Drawn:
    average = random.randint(10, 60)
    up, down = random.randint(1, 9), random.randint(1, 9)
    return {"first": average + up, "second": average - down, "third": average - up + down}, average


@template(
    difficulty="medium",
    expression="{count} * {top} / {bottom}",
    phrasings=(
        "{top}/{bottom} of the {count} seats in a theatre are taken. How many seats are taken?",
        "{name} has {count} stamps, {top}/{bottom} of them from abroad. How many stamps are from abroad?",
    ),
)
def fraction_of(random: Random) -> Drawn:
    top, bottom = random.choice(((2, 3), (3, 4), (2, 5), (3, 5), (5, 6), (3, 8), (5, 8), (4, 7), (7, 9)))
    part = random.randint(6, 60)
    return {"count": part * bottom, "top": top, "bottom": bottom}, part * top


@template(
    difficulty="hard",
    asks_for_fraction=True,
    expression="1 - {top} / {bottom} - {other_top} / {other_bottom}",
    phrasings=(
        "{name} eats {top}/{bottom} of a cake and {other} eats {other_top}/{other_bottom} of it. "
        "What fraction of the cake is left?",
        "{top}/{bottom} of a field is wheat, {other_top}/{other_bottom} is barley and the rest is grass. "
        "What fraction of the field is grass?",
    ),
)
def fraction_left(random: Random) -> Drawn:
    bottom, other_bottom = random.sample((3, 4, 5, 6, 7, 8, 9, 10), 2)
    top = random.randint(1, bottom // 2)
    other_top = random.randint(1, max(1, other_bottom // 2 - 1))
    common = lcm(bottom, other_bottom)
    left = Fraction(common - top * common // bottom - other_top * common // other_bottom, common)
    return {"top": top, "bottom": bottom, "other_top": other_top, "other_bottom": other_bottom}, left


@template(
    difficulty="medium",
    expression="{count} * {percent} / 100",
    phrasings=(
        "{percent}% of the {count} visitors of a museum are children. How many children are there?",
        "What is {percent}% of {count}?",
    ),
)
def percent_of(random: Random) -> Drawn:
    count, percent = random.randrange(40, 900, 20), random.randrange(5, 100, 5)
    return {"count": count, "percent": percent}, count // 20 * (percent // 5)


@template(
    difficulty="medium",
    expression="{part} * 100 / {whole}",
    phrasings=(
        "{name} answered {part} of {whole} questions correctly. What percentage is that?",
        "{part} of the {whole} trees in a park are oaks. How many percent of the trees are oaks?",
    ),
)
def what_percent(random: Random) -> Drawn:
    whole, twentieths = random.randrange(20, 400, 20), random.randint(1, 19)
    return {"part": whole // 20 * twentieths, "whole": whole}, 5 * twentieths


@template(
    difficulty="medium",
    expression="{start} * 2 ** {hours}",
    phrasings=(
        "A culture of {start} bacteria doubles every hour. How many bacteria are there after {hours} hours?",
        "{name} has ${start} in a game and doubles it {hours} times. How many dollars is that?",
    ),
)
def doubling(random: Random) -> Drawn:
    start, hours = random.randint(3, 60), random.randint(3, 8)
    return {"start": start, "hours": hours}, start << hours


@template(
    difficulty="hard",
    expression="({boxes} * {each} - {broken}) / {people} - {given}",
    phrasings=(
        "{boxes} boxes hold {each} oranges each; {broken} oranges are rotten. The good ones are shared equally among "
        "{people} families. {name}'s family gives away {given} of its share. How many oranges does it keep?",
        "A class gets {boxes} packs of {each} pencils. {broken} pencils are broken, the rest is shared equally by "
        "{people} pupils. {name} then lends out {given}. How many pencils does {name} have left?",
    ),
)
def shared_boxes(random: Random) -> Drawn:
    people, share, boxes = random.randint(3, 9), random.randint(8, 20), random.randint(4, 9)
    broken = random.randint(2, 12)
    broken += -(people * share + broken) % boxes
    given = random.randint(2, share - 2)
    each = (people * share + broken) // boxes
    return {"boxes": boxes, "each": each, "broken": broken, "people": people, "given": given}, share - given


@template(
    difficulty="easy",
    expression="{day} - ({night})",
    phrasings=(
        "At night it was {night} degrees, at noon {day} degrees. By how many degrees did it get warmer?",
        "The temperature rose from {night} to {day} degrees. How many degrees is the rise?",
    ),
)
def temperature_rise(random: Random) -> Drawn:
    night, rise = random.randint(-15, -1), random.randint(16, 30)
    return {"night": night, "day": night + rise}, rise


@template(
    difficulty="medium",
    expression="{first} * {second} / gcd({first}, {second})",
    phrasings=(
        "One bell rings every {first} minutes, another every {second} minutes. They ring together now. "
        "After how many minutes do they ring together again?",
        "What is the least common multiple of {first} and {second}?",
    ),
)
def bells(random: Random) -> Drawn:
    first, second = random.sample((4, 6, 8, 9, 10, 12, 14, 15, 16, 18, 20, 21, 24, 25), 2)
    return {"first": first, "second": second}, lcm(first, second)


@template(
    difficulty="hard",
    expression="{start} * (100 + {up}) / 100 * (100 - {down}) / 100",
    phrasings=(
        "A share costs ${start}. It rises by {up}% and then falls by {down}%. What does it cost now, in dollars?",
        "A village of {start} people grows by {up}% and then shrinks by {down}%. How many people live there then?",
    ),
)
def up_and_down(random: Random) -> Drawn:
    start, up, down = random.randrange(400, 4000, 400), random.randrange(5, 55, 5), random.randrange(5, 55, 5)
    risen = start + start * up // 100
    return {"start": start, "up": up, "down": down}, risen - Fraction(risen * down, 100)


TEMPLATES = (
    how_many_more,
    rows_of_seats,
    remainder,
    enough_buses,
    average_of_three,
    fraction_of,
    fraction_left,
    percent_of,
    what_percent,
    doubling,
    shared_boxes,
    temperature_rise,
    bells,
    up_and_down,
)
