"""A bicycle repair shop: customers, their bicycles, mechanics, repairs and the parts they took. All invented."""

from random import Random

from data.bundled.sql.row import Row, days_after, random_day

SCHEMA = """
CREATE TABLE customer (
    customer_id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    town TEXT NOT NULL,
    phone TEXT,
    joined_on TEXT NOT NULL
);
CREATE TABLE bicycle (
    bicycle_id INTEGER PRIMARY KEY,
    customer_id INTEGER NOT NULL REFERENCES customer (customer_id),
    brand TEXT NOT NULL,
    style TEXT NOT NULL,
    frame_cm INTEGER,
    is_electric INTEGER NOT NULL,
    bought_on TEXT
);
CREATE TABLE mechanic (
    mechanic_id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    hourly_rate REAL NOT NULL,
    hired_on TEXT NOT NULL,
    mentor_id INTEGER REFERENCES mechanic (mechanic_id)
);
CREATE TABLE part (
    part_id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    category TEXT NOT NULL,
    unit_price REAL NOT NULL,
    stock INTEGER NOT NULL,
    supplier TEXT
);
CREATE TABLE repair (
    repair_id INTEGER PRIMARY KEY,
    bicycle_id INTEGER NOT NULL REFERENCES bicycle (bicycle_id),
    mechanic_id INTEGER REFERENCES mechanic (mechanic_id),
    received_on TEXT NOT NULL,
    finished_on TEXT,
    hours REAL NOT NULL,
    status TEXT NOT NULL
);
CREATE TABLE repair_part (
    repair_id INTEGER NOT NULL REFERENCES repair (repair_id),
    part_id INTEGER NOT NULL REFERENCES part (part_id),
    quantity INTEGER NOT NULL,
    PRIMARY KEY (repair_id, part_id)
);
"""

SEED = 27

FIRST_NAMES = (
    "Alma", "Bram", "Celia", "Dario", "Elif", "Farid", "Greta", "Hugo", "Ida", "Joao", "Kaya", "Leon", "Mina", "Noor",
)  # fmt: skip
LAST_NAMES = ("Abbot", "Baker", "Castro", "Dufour", "Ekberg", "Fischer", "Gomez", "Hansen", "Ivanov")
TOWNS = ("Ashford", "Brookfield", "Clayton", "Dunmore", "Elmstead")
BRANDS = ("Koga", "Batavus", "Trekker", "Larkspur", "Volta", "Pinion")
STYLES = ("city", "touring", "road", "mountain", "cargo", "folding")
# Name, hourly rate, hired on, mentor. The last one has not been given a repair yet.
MECHANICS: tuple[tuple[str, float, str, int | None], ...] = (
    ("Ursula Brandt", 52.0, "2009-04-01", None),
    ("Goran Petrov", 48.5, "2013-09-16", 1),
    ("Lin Zhao", 45.0, "2015-02-02", 1),
    ("Amara Diallo", 41.5, "2018-06-11", 2),
    ("Felix Orton", 38.0, "2020-03-09", 2),
    ("Petra Vance", 38.0, "2021-10-04", 3),
    ("Sam Okoro", 29.5, "2024-08-19", 4),
)
# Name, category, unit price, stock, supplier.
PARTS: tuple[tuple[str, str, float, int, str | None], ...] = (
    ("inner tube 28", "wheel", 6.9, 84, "Rollwerk"),
    ("inner tube 20", "wheel", 6.5, 31, "Rollwerk"),
    ("tyre 28 city", "wheel", 27.95, 22, "Rollwerk"),
    ("tyre 29 mountain", "wheel", 41.5, 9, "Rollwerk"),
    ("spoke", "wheel", 0.85, 640, "Hansa Metal"),
    ("front rim", "wheel", 58.0, 4, "Hansa Metal"),
    ("rear hub", "wheel", 112.0, 3, "Hansa Metal"),
    ("brake pad", "brake", 11.9, 120, "StopRight"),
    ("brake cable", "brake", 4.2, 95, "StopRight"),
    ("disc rotor", "brake", 24.5, 17, "StopRight"),
    ("hydraulic hose", "brake", 33.0, 6, "StopRight"),
    ("brake lever", "brake", 19.75, 14, None),
    ("chain 8-speed", "drivetrain", 16.4, 38, "Kettler"),
    ("chain 11-speed", "drivetrain", 34.9, 19, "Kettler"),
    ("cassette 8-speed", "drivetrain", 29.9, 12, "Kettler"),
    ("cassette 11-speed", "drivetrain", 74.0, 5, "Kettler"),
    ("derailleur", "drivetrain", 62.5, 7, "Kettler"),
    ("bottom bracket", "drivetrain", 31.0, 10, None),
    ("gear cable", "drivetrain", 4.2, 88, "StopRight"),
    ("headlight", "electric", 39.0, 15, "Lumen & Co"),
    ("rear light", "electric", 14.9, 41, "Lumen & Co"),
    ("dynamo", "electric", 84.0, 2, "Lumen & Co"),
    ("battery 500 Wh", "electric", 489.0, 3, "Volta Parts"),
    ("motor sensor", "electric", 57.5, 0, "Volta Parts"),
    ("display", "electric", 118.0, 2, "Volta Parts"),
    ("saddle", "comfort", 36.0, 11, None),
    ("gel grip", "comfort", 17.5, 26, None),
    ("mudguard", "comfort", 22.0, 13, "Hansa Metal"),
    ("kickstand", "comfort", 18.25, 0, "Hansa Metal"),
    ("child seat", "comfort", 96.0, 2, None),
)


def rows(seed: int = SEED) -> dict[str, list[Row]]:
    """The rows of every table, parents before children."""
    rng = Random(seed)
    bicycles = [_bicycle(rng, number) for number in range(1, 63)]
    repairs = [_repair(rng, number) for number in range(1, 141)]
    return {
        "customer": [_customer(rng, number) for number in range(1, 49)],
        "bicycle": bicycles,
        "mechanic": [(number, *mechanic) for number, mechanic in enumerate(MECHANICS, start=1)],
        "part": [(number, *part) for number, part in enumerate(PARTS, start=1)],
        "repair": repairs,
        "repair_part": _repair_parts(rng, len(repairs)),
    }


def _customer(rng: Random, number: int) -> Row:
    name = f"{rng.choice(FIRST_NAMES)} {rng.choice(LAST_NAMES)}"
    phone = f"0{rng.randint(20, 99)}-{rng.randint(100000, 999999)}" if rng.random() < 0.75 else None
    return number, name, rng.choice(TOWNS), phone, random_day(rng, "2016-01-04", "2024-10-31")


def _bicycle(rng: Random, number: int) -> Row:
    customer = rng.randint(1, 42)  # the last six customers have registered no bicycle
    style = rng.choice(STYLES)
    is_electric = int(style in ("city", "cargo", "mountain") and rng.random() < 0.45)
    frame = rng.randint(47, 63) if style != "folding" and rng.random() < 0.85 else None
    bought = random_day(rng, "2012-03-01", "2024-06-30") if rng.random() < 0.7 else None
    return number, customer, rng.choice(BRANDS), style, frame, is_electric, bought


def _repair(rng: Random, number: int) -> Row:
    bicycle = rng.randint(1, 55)
    received = random_day(rng, "2023-01-09", "2024-12-13")
    status = rng.choices(("done", "open", "waiting"), weights=(8, 1, 1))[0]
    mechanic = None if status == "waiting" else rng.choices(range(1, 7), weights=(2, 4, 4, 3, 3, 2))[0]
    finished = days_after(received, rng.randint(0, 16)) if status == "done" else None
    hours = 0.0 if status == "waiting" else rng.randint(1, 22) / 4
    return number, bicycle, mechanic, received, finished, hours, status


def _repair_parts(rng: Random, repairs: int) -> list[Row]:
    # The last two parts have never been used.
    used: list[Row] = []
    for repair in range(1, repairs + 1):
        for part in sorted(rng.sample(range(1, len(PARTS) - 1), rng.choice((0, 0, 1, 1, 2, 2, 3)))):
            quantity = rng.randint(4, 16) if PARTS[part - 1][0] == "spoke" else rng.choice((1, 1, 1, 2))
            used.append((repair, part, quantity))
    return used
