"""An orchard co-operative: members, orchards, varieties, plantings, harvests, buyers and deliveries. All invented."""

from random import Random

from data.bundled.sql.row import Row, days_after, random_day

SCHEMA = """
CREATE TABLE member (
    member_id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    village TEXT NOT NULL,
    joined_on TEXT NOT NULL,
    left_on TEXT
);
CREATE TABLE orchard (
    orchard_id INTEGER PRIMARY KEY,
    member_id INTEGER NOT NULL REFERENCES member (member_id),
    name TEXT NOT NULL,
    hectares REAL NOT NULL,
    slope TEXT,
    is_organic INTEGER NOT NULL
);
CREATE TABLE variety (
    variety_id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    fruit TEXT NOT NULL,
    ripens_month INTEGER NOT NULL,
    parent_id INTEGER REFERENCES variety (variety_id)
);
CREATE TABLE planting (
    planting_id INTEGER PRIMARY KEY,
    orchard_id INTEGER NOT NULL REFERENCES orchard (orchard_id),
    variety_id INTEGER NOT NULL REFERENCES variety (variety_id),
    planted_year INTEGER NOT NULL,
    trees INTEGER NOT NULL
);
CREATE TABLE harvest (
    harvest_id INTEGER PRIMARY KEY,
    planting_id INTEGER NOT NULL REFERENCES planting (planting_id),
    picked_on TEXT NOT NULL,
    kilograms REAL NOT NULL,
    grade TEXT
);
CREATE TABLE buyer (
    buyer_id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    city TEXT
);
CREATE TABLE delivery (
    delivery_id INTEGER PRIMARY KEY,
    buyer_id INTEGER NOT NULL REFERENCES buyer (buyer_id),
    variety_id INTEGER NOT NULL REFERENCES variety (variety_id),
    delivered_on TEXT NOT NULL,
    kilograms REAL NOT NULL,
    price_per_kg REAL NOT NULL,
    paid_on TEXT
);
"""

SEED = 512

# Name, village, joined, left. The last two have no orchard.
MEMBERS: tuple[tuple[str, str, str, str | None], ...] = (
    ("Agnes Thorn", "Pearfield", "1988-02-14", None),
    ("Bastian Kroll", "Pearfield", "1991-05-03", None),
    ("Cosima Reyes", "Hollow End", "1991-11-20", "2019-12-31"),
    ("Daan Mulder", "Hollow End", "1996-03-01", None),
    ("Edda Falk", "Stillwater", "1999-09-09", None),
    ("Fergus Tate", "Stillwater", "2001-01-15", None),
    ("Giulia Neri", "Amberley", "2003-04-22", None),
    ("Hamid Sayed", "Amberley", "2003-04-22", None),
    ("Isla Munro", "Pearfield", "2006-08-30", "2022-06-30"),
    ("Jakob Stein", "Crabtree", "2008-02-11", None),
    ("Katya Orlova", "Crabtree", "2010-10-01", None),
    ("Lorenz Huber", "Hollow End", "2012-03-19", None),
    ("Maud Perrin", "Amberley", "2014-07-07", None),
    ("Niko Laine", "Stillwater", "2016-05-25", None),
    ("Orla Byrne", "Pearfield", "2017-01-09", None),
    ("Piet Vos", "Crabtree", "2019-09-02", None),
    ("Quinn Adair", "Amberley", "2021-03-15", None),
    ("Rhea Sandoval", "Hollow End", "2023-11-06", None),
    ("Stefan Moor", "Stillwater", "2024-04-08", None),
)
ORCHARD_NAMES = (
    "Long Acre", "Church Field", "Bee Meadow", "Top Slope", "Mill Plot", "Fox Corner", "Old Walls", "Sunny Bank",
    "Rook Wood", "Brook Side", "Chalk Pit", "Home Field",
)  # fmt: skip
# Name, fruit, month of ripening, parent. The last one is planted nowhere.
VARIETIES: tuple[tuple[str, str, int, int | None], ...] = (
    ("Amber Queen", "apple", 9, None),
    ("Red Lantern", "apple", 10, 1),
    ("Frostling", "apple", 11, None),
    ("Winter Lantern", "apple", 11, 2),
    ("Early Penny", "apple", 8, None),
    ("Copper Penny", "apple", 9, 5),
    ("Honey Bell", "pear", 9, None),
    ("Grey Duchess", "pear", 10, None),
    ("Little Duchess", "pear", 8, 8),
    ("Night Cherry", "cherry", 6, None),
    ("Glass Cherry", "cherry", 7, 10),
    ("Blue Friar", "plum", 8, None),
    ("Golden Friar", "plum", 9, 12),
    ("Sloe Maiden", "plum", 9, None),
    ("Giant Quince", "quince", 10, None),
    ("Rose Quince", "quince", 10, 15),
)
BUYERS: tuple[tuple[str, str, str | None], ...] = (
    ("Green Basket", "shop", "Larne"),
    ("Corner Fruit", "shop", "Larne"),
    ("Market Hall Stall", "market", "Tolbridge"),
    ("Saturday Market", "market", "Larne"),
    ("Tolbridge Cider", "press", "Tolbridge"),
    ("Copper Still", "press", "Weston"),
    ("Jam Sisters", "kitchen", "Weston"),
    ("School Canteens", "kitchen", "Tolbridge"),
    ("Hotel Belvedere", "kitchen", None),
    ("Fruit Direct", "wholesale", None),
    ("Weston Wholesale", "wholesale", "Weston"),
    ("Night Bakery", "kitchen", "Larne"),
)
BASE_PRICE = {"apple": 1.4, "pear": 1.9, "cherry": 5.2, "plum": 2.3, "quince": 2.6}


def rows(seed: int = SEED) -> dict[str, list[Row]]:
    """The rows of every table, parents before children."""
    rng = Random(seed)
    plantings = [_planting(rng, number) for number in range(1, 73)]
    return {
        "member": [(number, *member) for number, member in enumerate(MEMBERS, start=1)],
        "orchard": [_orchard(rng, number) for number in range(1, 34)],
        "variety": [(number, *variety) for number, variety in enumerate(VARIETIES, start=1)],
        "planting": list(plantings),
        "harvest": [_harvest(rng, number, plantings) for number in range(1, 241)],
        "buyer": [(number, *buyer) for number, buyer in enumerate(BUYERS, start=1)],
        "delivery": [_delivery(rng, number) for number in range(1, 141)],
    }


def _orchard(rng: Random, number: int) -> Row:
    members = len(MEMBERS) - 2
    member = number if number <= members else rng.randint(1, members)
    slope = rng.choice(("south", "east", "west", "north", None))
    return number, member, rng.choice(ORCHARD_NAMES), rng.randint(3, 60) / 8, slope, int(rng.random() < 0.4)


Planting = tuple[int, int, int, int, int]


def _planting(rng: Random, number: int) -> Planting:
    orchard = rng.randint(1, 30)  # the last three orchards lie fallow
    return number, orchard, rng.randint(1, len(VARIETIES) - 1), rng.randint(1984, 2020), rng.randint(8, 140)


def _harvest(rng: Random, number: int, plantings: list[Planting]) -> Row:
    planting, _, variety, _, trees = rng.choice(plantings)
    year, month = rng.choice((2021, 2022, 2023, 2024)), VARIETIES[variety - 1][2]
    kilograms = round(trees * rng.uniform(2.0, 21.0), 1)
    grade = rng.choices(("A", "B", "C", None), weights=(5, 4, 2, 1))[0]
    return number, planting, random_day(rng, f"{year}-{month:02d}-01", f"{year}-{month:02d}-28"), kilograms, grade


def _delivery(rng: Random, number: int) -> Row:
    buyer = rng.randint(1, len(BUYERS) - 1)  # the last buyer has ordered nothing yet
    variety = rng.randint(1, len(VARIETIES) - 1)
    _, fruit, month, _ = VARIETIES[variety - 1]
    day = random_day(rng, f"{rng.choice((2022, 2023, 2024))}-{month:02d}-05", "2024-12-20")
    price = round(BASE_PRICE[fruit] * rng.uniform(0.6, 1.5), 2)
    paid_on = days_after(day, rng.randint(0, 75)) if rng.random() < 0.85 else None
    return number, buyer, variety, day, float(rng.randrange(40, 1600, 20)), price, paid_on
