"""Word problems about speed, work and proportion."""

from fractions import Fraction
from random import Random

from data.bundled.math.template import Drawn, template


@template(
    difficulty="easy",
    expression="{distance} / {hours}",
    phrasings=(
        "A bus drives {distance} km in {hours} hours. What is its average speed in km per hour?",
        "{name} drives {distance} km in {hours} hours at a steady pace. How many km is that in one hour?",
    ),
)
def speed(random: Random) -> Drawn:
    pace, hours = Fraction(random.randint(20, 180), 2), random.randrange(2, 9, 2)
    return {"distance": int(pace * hours), "hours": hours}, pace


@template(
    difficulty="easy",
    expression="{pace} * {hours}",
    phrasings=(
        "A train runs at {pace} km per hour for {hours} hours. How many km does it cover?",
        "A ship sails {hours} hours at {pace} km per hour. How far does it get, in km?",
    ),
)
def distance(random: Random) -> Drawn:
    pace, hours = random.randint(15, 80), random.choice(("1.5", "2.5", "3.5", "4.5", "3", "4", "6"))
    return {"pace": pace, "hours": hours}, pace * Fraction(hours)


@template(
    difficulty="easy",
    expression="{pages} / {days}",
    phrasings=(
        "{name} reads a book of {pages} pages in {days} days, the same number each day. How many pages is that a day?",
        "A novel has {pages} pages. How many pages a day must {name} read to finish in {days} days?",
    ),
)
def pages_a_day(random: Random) -> Drawn:
    daily, days = random.randint(12, 60), random.randint(3, 14)
    return {"pages": daily * days, "days": days}, daily


@template(
    difficulty="hard",
    expression="({fast} * {first} + {slow} * {second}) / ({first} + {second})",
    phrasings=(
        "A car drives {first} hours at {fast} km per hour and then {second} hours at {slow} km per hour. "
        "What is the average speed of the whole trip in km per hour?",
        "{name} rides {first} hours at {fast} km per hour and {second} hours at {slow} km per hour. "
        "Find the average speed over the whole ride, in km per hour.",
    ),
)
def average_speed(random: Random) -> Drawn:
    first, second = random.randint(2, 4), random.randint(2, 5)
    slow, gap = random.randint(15, 40), random.randint(2, 9) * (first + second)
    return {"fast": slow + gap, "slow": slow, "first": first, "second": second}, slow + Fraction(
        gap, first + second
    ) * first


@template(
    difficulty="medium",
    expression="{distance} / ({here} + {there})",
    phrasings=(
        "Two trains start {distance} km apart and run towards each other at {here} and {there} km per hour. "
        "After how many hours do they meet?",
        "{name} and {other} live {distance} km apart. They drive towards each other at {here} and {there} km per hour. "
        "In how many hours do they meet?",
    ),
)
def meeting_time(random: Random) -> Drawn:
    here, there, halves = random.randint(40, 90), random.randint(40, 90), random.randint(2, 9)
    closing = here + there + (here + there) % 2
    return {"distance": closing * halves // 2, "here": here, "there": closing - here}, Fraction(halves, 2)


@template(
    difficulty="medium",
    expression="({capacity} - {level}) / {flow}",
    phrasings=(
        "A tank holds {capacity} litres and already contains {level}. Water flows in at {flow} litres per minute. "
        "How many minutes until it is full?",
        "A pool of {capacity} litres has {level} litres in it. A hose adds {flow} litres a minute. "
        "After how many minutes is the pool full?",
    ),
)
def filling(random: Random) -> Drawn:
    minutes, flow, level = random.randint(6, 50), random.randint(4, 30), random.randrange(20, 300, 10)
    return {"capacity": level + minutes * flow, "level": level, "flow": flow}, minutes


@template(
    difficulty="medium",
    expression="{capacity} / ({inflow} - {leak})",
    phrasings=(
        "A barrel of {capacity} litres is empty. It gets {inflow} litres a minute but loses {leak} litres a minute "
        "through a hole. How many minutes until it is full?",
        "Each minute {inflow} litres enter an empty tank and {leak} litres leak out. The tank holds {capacity} litres. "
        "In how many minutes is it full?",
    ),
)
def filling_with_leak(random: Random) -> Drawn:
    minutes, gain, leak = random.randint(5, 40), random.randint(3, 15), random.randint(2, 9)
    return {"capacity": minutes * gain, "inflow": gain + leak, "leak": leak}, minutes


@template(
    difficulty="medium",
    expression="{workers} * {days} / {others}",
    phrasings=(
        "{workers} workers build a wall in {days} days. How many days would {others} workers need at the same pace?",
        "A harvest takes {workers} people {days} days. How many days does it take {others} people who work as fast?",
    ),
)
def more_workers(random: Random) -> Drawn:
    days, others = random.randint(2, 12), random.randint(3, 12)
    effort = days * others
    workers = random.choice([n for n in range(2, effort) if effort % n == 0 and n != others])
    return {"workers": workers, "days": effort // workers, "others": others}, days


@template(
    difficulty="hard",
    asks_for_fraction=True,
    expression="1 / (1 / {first} + 1 / {second})",
    phrasings=(
        "{name} paints a room in {first} hours, {other} in {second} hours. How many hours do they need together? "
        "Answer with a whole number or a fraction.",
        "One pump empties a cellar in {first} hours, another in {second} hours. How many hours do both take "
        "together? Answer with a whole number or a fraction.",
    ),
)
def working_together(random: Random) -> Drawn:
    first, second = random.sample(range(2, 13), 2)
    return {"first": first, "second": second}, Fraction(first * second, first + second)


@template(
    difficulty="medium",
    expression="{distance} * {use} / 100",
    phrasings=(
        "A car uses {use} litres of fuel per 100 km. How many litres does it need for {distance} km?",
        "{name} drives {distance} km in a van that burns {use} litres per 100 km. How many litres of fuel is that?",
    ),
)
def fuel(random: Random) -> Drawn:
    tenths, hundreds = random.randint(45, 98), random.randint(2, 9)
    return {"use": f"{tenths // 10}.{tenths % 10}", "distance": hundreds * 100}, Fraction(tenths * hundreds, 10)


@template(
    difficulty="medium",
    asks_for_fraction=True,
    expression="{cups} * {guests} / {serves}",
    phrasings=(
        "A recipe for {serves} people needs {cups} cups of flour. How many cups are needed for {guests} people? "
        "Answer with a whole number or a fraction.",
        "{name} uses {cups} cups of rice for {serves} people. How many cups should {name} take for {guests} people? "
        "Answer with a whole number or a fraction.",
    ),
)
def recipe(random: Random) -> Drawn:
    serves, cups = random.choice((4, 6, 8)), random.randint(2, 7)
    guests = random.choice([n for n in range(2, 25) if n != serves])
    return {"serves": serves, "cups": cups, "guests": guests}, Fraction(cups, serves) * guests


@template(
    difficulty="medium",
    expression="{slow} * {lead} / ({fast} - {slow})",
    phrasings=(
        "A goods train leaves at {slow} km per hour. {lead} hours later an express follows at {fast} km per hour. "
        "How many hours does the express need to catch up?",
        "A lorry leaves at {slow} km per hour. A car leaves {lead} hours later on the same road at {fast} km per hour. "
        "How many hours does the car need to reach the lorry?",
    ),
)
def catching_up(random: Random) -> Drawn:
    gap, times, lead = random.randint(10, 25), random.randint(2, 4), random.randint(2, 4)
    return {"slow": times * gap, "lead": lead, "fast": (times + 1) * gap}, times * lead


@template(
    difficulty="hard",
    expression="{minutes} + ({pages} - {minutes} * {slow}) / {fast}",
    phrasings=(
        "A printer makes {slow} pages a minute. After {minutes} minutes it is set to {fast} pages a minute. "
        "How many minutes does it take in all to print {pages} pages?",
        "{name} has to print {pages} pages: the first {minutes} minutes at {slow} pages a minute, the rest at {fast} "
        "pages a minute. How many minutes does the whole job take?",
    ),
)
def two_print_speeds(random: Random) -> Drawn:
    slow, minutes, rest = random.randint(8, 20), random.randint(3, 9), random.randint(3, 12)
    fast = slow + random.randint(3, 20)
    return {"slow": slow, "fast": fast, "minutes": minutes, "pages": slow * minutes + fast * rest}, minutes + rest


@template(
    difficulty="medium",
    expression="{pace} * 1000 / 3600",
    phrasings=(
        "A car drives at {pace} km per hour. How many metres does it cover in one second?",
        "Convert a speed of {pace} km per hour to metres per second.",
    ),
)
def metres_a_second(random: Random) -> Drawn:
    halves = random.randint(5, 80)
    return {"pace": halves * 9 // 5 if halves % 5 == 0 else f"{halves * 9 / 5:.1f}"}, Fraction(halves, 2)


TEMPLATES = (
    speed,
    distance,
    pages_a_day,
    average_speed,
    meeting_time,
    filling,
    filling_with_leak,
    more_workers,
    working_together,
    fuel,
    recipe,
    catching_up,
    two_print_speeds,
    metres_a_second,
)
