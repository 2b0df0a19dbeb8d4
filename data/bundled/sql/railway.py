"""A regional railway: stations, lines and their stops, trains, trips, delays and tickets. All invented."""

from random import Random

from data.bundled.sql.row import Row, days_after, random_day

SCHEMA = """
CREATE TABLE station (
    station_id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    region TEXT NOT NULL,
    platforms INTEGER NOT NULL,
    opened_year INTEGER NOT NULL,
    elevation_m REAL
);
CREATE TABLE line (
    line_id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    colour TEXT NOT NULL,
    is_electrified INTEGER NOT NULL
);
CREATE TABLE line_stop (
    line_id INTEGER NOT NULL REFERENCES line (line_id),
    stop_number INTEGER NOT NULL,
    station_id INTEGER NOT NULL REFERENCES station (station_id),
    km REAL NOT NULL,
    PRIMARY KEY (line_id, stop_number)
);
CREATE TABLE train (
    train_id INTEGER PRIMARY KEY,
    nickname TEXT,
    model TEXT NOT NULL,
    seats INTEGER NOT NULL,
    built_year INTEGER NOT NULL,
    depot_id INTEGER NOT NULL REFERENCES station (station_id)
);
CREATE TABLE trip (
    trip_id INTEGER PRIMARY KEY,
    line_id INTEGER NOT NULL REFERENCES line (line_id),
    train_id INTEGER REFERENCES train (train_id),
    trip_date TEXT NOT NULL,
    departs_at TEXT NOT NULL,
    is_cancelled INTEGER NOT NULL
);
CREATE TABLE delay (
    delay_id INTEGER PRIMARY KEY,
    trip_id INTEGER NOT NULL REFERENCES trip (trip_id),
    station_id INTEGER NOT NULL REFERENCES station (station_id),
    minutes INTEGER NOT NULL,
    cause TEXT
);
CREATE TABLE ticket (
    ticket_id INTEGER PRIMARY KEY,
    trip_id INTEGER NOT NULL REFERENCES trip (trip_id),
    from_station_id INTEGER NOT NULL REFERENCES station (station_id),
    to_station_id INTEGER NOT NULL REFERENCES station (station_id),
    travel_class INTEGER NOT NULL,
    fare REAL NOT NULL,
    sold_on TEXT NOT NULL
);
"""

SEED = 1835

# Name, region, platforms, opened, metres above the sea. The last station is closed: no line stops there.
STATIONS: tuple[tuple[str, str, int, int, float | None], ...] = (
    ("Marrow Central", "Lowland", 12, 1856, 14.5),
    ("Marrow East", "Lowland", 4, 1902, 16.0),
    ("Fenwick", "Lowland", 3, 1861, 9.5),
    ("Saltmere", "Coast", 2, 1874, 3.0),
    ("Gull Point", "Coast", 1, 1881, 5.5),
    ("Port Ardel", "Coast", 6, 1858, 4.0),
    ("Ardel Docks", "Coast", 2, 1899, None),
    ("Harrow Bridge", "Lowland", 2, 1866, 31.0),
    ("Kestrel Junction", "Valley", 5, 1863, 88.0),
    ("Lower Tarn", "Valley", 2, 1871, 140.5),
    ("Upper Tarn", "Valley", 2, 1871, 212.0),
    ("Millbeck", "Valley", 2, 1888, 165.0),
    ("Oxley", "Valley", 3, 1867, None),
    ("Stonegate", "Highland", 2, 1893, 402.5),
    ("Rook Pass", "Highland", 1, 1895, 781.0),
    ("Highmoor", "Highland", 3, 1895, 655.5),
    ("Silverdale", "Highland", 1, 1911, 598.0),
    ("Airport", "Lowland", 4, 1997, 21.0),
    ("University", "Lowland", 2, 1974, 18.5),
    ("Quarry Halt", "Highland", 1, 1911, None),
    ("Brackwater", "Coast", 2, 1905, 2.5),
    ("Old Ferry", "Coast", 1, 1869, 1.5),
)
# Name, colour, electrified, stations in order. The last line has no trips.
LINES: tuple[tuple[str, str, int, tuple[int, ...]], ...] = (
    ("Coast Line", "blue", 1, (1, 3, 4, 5, 6, 7)),
    ("Valley Line", "green", 1, (1, 8, 9, 10, 11)),
    ("Mountain Line", "red", 0, (9, 12, 14, 16, 15)),
    ("Airport Link", "yellow", 1, (18, 19, 1, 2)),
    ("Silver Line", "grey", 0, (9, 13, 16, 17, 20)),
    ("Harbour Shuttle", "blue", 0, (6, 21, 7)),
    ("Heritage Line", "brown", 0, (14, 16, 20)),
)
TRAINS: tuple[tuple[str | None, str, int, int, int], ...] = (
    ("Wren", "RX-2", 124, 1998, 1),
    ("Heron", "RX-2", 124, 1998, 1),
    (None, "RX-2", 118, 2001, 9),
    ("Kingfisher", "RX-4", 210, 2009, 1),
    (None, "RX-4", 210, 2009, 6),
    ("Osprey", "RX-4", 204, 2011, 6),
    ("Badger", "Diesel 70", 96, 1987, 9),
    ("Otter", "Diesel 70", 96, 1989, 16),
    (None, "Diesel 70", 92, 1989, 16),
    ("Lynx", "Flexa", 168, 2018, 1),
    ("Marten", "Flexa", 168, 2019, 9),
    (None, "Flexa", 180, 2022, 18),
    ("Old Bess", "Steam 4", 140, 1926, 14),
)
CAUSES = ("signal fault", "weather", "crowding", "late crew", "animal on track")


def rows(seed: int = SEED) -> dict[str, list[Row]]:
    """The rows of every table, parents before children."""
    rng = Random(seed)
    stops = _line_stops(rng)
    kilometres = {(line, station): km for line, _, station, km in stops}
    trips = [_trip(rng, number) for number in range(1, 161)]
    return {
        "station": [(number, *station) for number, station in enumerate(STATIONS, start=1)],
        "line": [(number, *line[:3]) for number, line in enumerate(LINES, start=1)],
        "line_stop": list(stops),
        "train": [(number, *train) for number, train in enumerate(TRAINS, start=1)],
        "trip": list(trips),
        "delay": [_delay(rng, number, trips) for number in range(1, 101)],
        "ticket": [_ticket(rng, number, trips, kilometres) for number in range(1, 261)],
    }


def _line_stops(rng: Random) -> list[tuple[int, int, int, float]]:
    stops = []
    for line, (_, _, _, stations) in enumerate(LINES, start=1):
        km = 0.0
        for stop, station in enumerate(stations, start=1):
            stops.append((line, stop, station, round(km, 1)))
            km += rng.uniform(3.0, 19.0)
    return stops


Trip = tuple[int, int, int | None, str, str, int]


def _trip(rng: Random, number: int) -> Trip:
    line = rng.choices(range(1, len(LINES)), weights=(5, 4, 3, 5, 2, 2))[0]
    is_cancelled = int(rng.random() < 0.1)
    # The steam train, last in the list, has not run.
    train = rng.randint(1, len(TRAINS) - 1) if not is_cancelled or rng.random() < 0.4 else None
    departs_at = f"{rng.randint(5, 22):02d}:{rng.choice((0, 5, 15, 20, 30, 35, 45, 50)):02d}"
    return number, line, train, random_day(rng, "2024-03-01", "2024-05-31"), departs_at, is_cancelled


def _delay(rng: Random, number: int, trips: list[Trip]) -> Row:
    trip, line, _, _, _, is_cancelled = rng.choice(trips)
    while is_cancelled:
        trip, line, _, _, _, is_cancelled = rng.choice(trips)
    station = rng.choice(LINES[line - 1][3])
    minutes = rng.choices((rng.randint(2, 9), rng.randint(10, 29), rng.randint(30, 95)), weights=(6, 3, 1))[0]
    return number, trip, station, minutes, rng.choice(CAUSES) if rng.random() < 0.8 else None


def _ticket(rng: Random, number: int, trips: list[Trip], kilometres: dict[tuple[int, int], float]) -> Row:
    trip, line, _, day, _, _ = rng.choice(trips)
    start, end = rng.sample(LINES[line - 1][3], 2)
    travel_class = 1 if rng.random() < 0.2 else 2
    distance = abs(kilometres[line, start] - kilometres[line, end])
    fare = round((1.8 + 0.22 * distance) * (1.6 if travel_class == 1 else 1.0), 1)
    return number, trip, start, end, travel_class, fare, days_after(day, -rng.choice((0, 0, 0, 1, 2, 5, 14)))
