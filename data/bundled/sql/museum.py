"""A town museum: artists, galleries, artworks, exhibitions, what they showed, visits and restorations. All invented."""

from random import Random

from data.bundled.sql.row import Row, days_after, random_day

SCHEMA = """
CREATE TABLE artist (
    artist_id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    country TEXT NOT NULL,
    birth_year INTEGER NOT NULL,
    death_year INTEGER
);
CREATE TABLE gallery (
    gallery_id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    floor INTEGER NOT NULL,
    area_m2 REAL NOT NULL,
    climate_controlled INTEGER NOT NULL
);
CREATE TABLE artwork (
    artwork_id INTEGER PRIMARY KEY,
    title TEXT NOT NULL,
    artist_id INTEGER REFERENCES artist (artist_id),
    gallery_id INTEGER REFERENCES gallery (gallery_id),
    medium TEXT NOT NULL,
    year_made INTEGER,
    insured_value REAL NOT NULL,
    acquired_on TEXT NOT NULL
);
CREATE TABLE exhibition (
    exhibition_id INTEGER PRIMARY KEY,
    title TEXT NOT NULL,
    opens_on TEXT NOT NULL,
    closes_on TEXT NOT NULL,
    ticket_price REAL NOT NULL
);
CREATE TABLE exhibit (
    exhibition_id INTEGER NOT NULL REFERENCES exhibition (exhibition_id),
    artwork_id INTEGER NOT NULL REFERENCES artwork (artwork_id),
    position INTEGER NOT NULL,
    PRIMARY KEY (exhibition_id, artwork_id)
);
CREATE TABLE visit (
    visit_id INTEGER PRIMARY KEY,
    visited_on TEXT NOT NULL,
    exhibition_id INTEGER REFERENCES exhibition (exhibition_id),
    visitor_type TEXT NOT NULL,
    paid REAL NOT NULL,
    rating INTEGER
);
CREATE TABLE restoration (
    restoration_id INTEGER PRIMARY KEY,
    artwork_id INTEGER NOT NULL REFERENCES artwork (artwork_id),
    restorer TEXT NOT NULL,
    started_on TEXT NOT NULL,
    finished_on TEXT,
    cost REAL NOT NULL
);
"""

SEED = 1889

# Name, country, year of birth, year of death.
ARTISTS: tuple[tuple[str, str, int, int | None], ...] = (
    ("Aurelia Brandt", "Germany", 1831, 1899),
    ("Tomas Lindqvist", "Sweden", 1844, 1921),
    ("Ines Carvalho", "Portugal", 1902, 1987),
    ("Jonas Verhoeven", "Netherlands", 1618, 1683),
    ("Margriet Verhoeven", "Netherlands", 1622, 1701),
    ("Luca Ferrante", "Italy", 1577, 1640),
    ("Chiara Bellandi", "Italy", 1934, None),
    ("Henri Vasseur", "France", 1859, 1933),
    ("Odette Marchand", "France", 1868, 1944),
    ("Pavel Horak", "Czechia", 1911, 1978),
    ("Ludmila Novotna", "Czechia", 1958, None),
    ("Eamon Gallagher", "Ireland", 1890, 1962),
    ("Siobhan Keane", "Ireland", 1971, None),
    ("Kenji Morita", "Japan", 1797, 1861),
    ("Haruka Ishii", "Japan", 1966, None),
    ("Rosa Quintana", "Spain", 1885, 1957),
    ("Mateo Echeverria", "Spain", 1925, 2004),
    ("Freya Halvorsen", "Norway", 1849, 1916),
    ("Nils Aasgaard", "Norway", 1979, None),
    ("Clara Whitcombe", "United Kingdom", 1802, 1876),
    ("Edmund Farrow", "United Kingdom", 1775, 1838),
    ("Beatrix Holloway", "United Kingdom", 1947, None),
    ("Otto Reinhold", "Germany", 1880, 1938),
    ("Greta Reinhold", "Germany", 1884, 1969),
    ("Anton Kessler", "Austria", 1862, 1918),
    ("Vera Stanislav", "Poland", 1930, 2011),
    ("Marek Zielony", "Poland", 1983, None),
    ("Sofia Anagnos", "Greece", 1915, 1999),
)
GALLERIES: tuple[tuple[str, int, float, int], ...] = (
    ("North Hall", 0, 182.5, 1),
    ("South Hall", 0, 176.0, 1),
    ("Print Cabinet", 1, 48.25, 1),
    ("Long Gallery", 1, 210.0, 0),
    ("Dutch Room", 1, 64.5, 1),
    ("Sculpture Court", 0, 240.75, 0),
    ("Attic Studio", 2, 88.0, 0),
    ("Modern Wing", 2, 195.5, 1),
    ("Reading Corner", 2, 31.0, 0),
)
MEDIA = ("oil on canvas", "watercolour", "etching", "bronze", "woodcut", "photograph")
PLACES = ("Harbour", "Mill", "Orchard", "Quarry", "Market", "Chapel", "River", "Heath", "Staircase", "Kitchen")
MOODS = ("Quiet", "Frozen", "Crowded", "Burning", "Distant", "Flooded", "Forgotten")
EXHIBITIONS: tuple[tuple[str, str, str, float], ...] = (
    ("Northern Light", "2022-02-10", "2022-05-29", 12.0),
    ("Ink and Paper", "2022-06-18", "2022-10-02", 8.5),
    ("Two Families of Painters", "2022-11-05", "2023-02-26", 14.0),
    ("Stone, Bronze, Wood", "2023-01-20", "2023-04-16", 11.5),
    ("After the Flood", "2023-05-12", "2023-09-10", 14.0),
    ("Women of the Academy", "2023-10-06", "2024-01-28", 15.0),
    ("The Camera Arrives", "2024-02-17", "2024-06-09", 9.5),
    ("Small Formats", "2024-03-01", "2024-04-14", 0.0),
    ("Harbours", "2024-07-05", "2024-11-03", 13.5),
    ("Unknown Hands", "2024-09-21", "2025-01-12", 10.0),
    ("A Century of Gifts", "2025-03-08", "2025-08-31", 12.0),
)
VISITOR_SHARE = {"adult": 1.0, "senior": 0.75, "student": 0.5, "child": 0.0}
PERMANENT_COLLECTION_PRICE = 7.0
RESTORERS = ("M. Oduya", "L. Petersen", "R. Castellano", "H. Nakamura")


def rows(seed: int = SEED) -> dict[str, list[Row]]:
    """The rows of every table, parents before children."""
    rng = Random(seed)
    return {
        "artist": [(number, *artist) for number, artist in enumerate(ARTISTS, start=1)],
        "gallery": [(number, *gallery) for number, gallery in enumerate(GALLERIES, start=1)],
        "artwork": [_artwork(rng, number) for number in range(1, 151)],
        "exhibition": [(number, *exhibition) for number, exhibition in enumerate(EXHIBITIONS, start=1)],
        "exhibit": _exhibits(rng),
        "visit": [_visit(rng, number) for number in range(1, 261)],
        "restoration": [_restoration(rng, number) for number in range(1, 46)],
    }


def _artwork(rng: Random, number: int) -> Row:
    # The last two artists own no work here, the last gallery hangs none: questions ask for both.
    artist = rng.randint(1, len(ARTISTS) - 2) if rng.random() < 0.85 else None
    gallery = rng.randint(1, len(GALLERIES) - 1) if rng.random() < 0.8 else None
    year = None
    if artist is not None and rng.random() < 0.9:
        _, _, born, died = ARTISTS[artist - 1]
        year = rng.randint(born + 19, min(died or 2018, born + 75, 2018))
    elif rng.random() < 0.4:
        year = rng.randint(1560, 1900)
    kind = rng.random()
    if kind < 0.12:
        title = "Untitled"
    elif kind < 0.2:
        title = "Self-Portrait"
    else:
        title = f"{rng.choice(MOODS)} {rng.choice(PLACES)}"
    value = float(rng.choice((1_200, 2_500, 4_800, 7_500, 12_000, 18_500, 36_000, 64_000, 150_000)))
    value += rng.randrange(0, 1000, 50)
    return (
        number, title, artist, gallery, rng.choice(MEDIA), year, value, random_day(rng, "1951-03-01", "2021-12-20")
    )  # fmt: skip


def _exhibits(rng: Random) -> list[Row]:
    exhibits: list[Row] = []
    for exhibition in range(1, len(EXHIBITIONS) + 1):
        shown = rng.sample(range(1, 151), rng.randint(7, 16))
        exhibits += [(exhibition, artwork, position) for position, artwork in enumerate(shown, start=1)]
    return exhibits


def _visit(rng: Random, number: int) -> Row:
    visitor = rng.choices(tuple(VISITOR_SHARE), weights=(5, 3, 3, 2))[0]
    # Nobody has visited the last exhibition yet.
    exhibition = rng.randint(1, len(EXHIBITIONS) - 1) if rng.random() < 0.75 else None
    if exhibition is None:
        day, price = random_day(rng, "2022-01-04", "2024-12-30"), PERMANENT_COLLECTION_PRICE
    else:
        _, opens, closes, price = EXHIBITIONS[exhibition - 1]
        day = random_day(rng, opens, min(closes, "2024-12-30"))
    rating = rng.choices((1, 2, 3, 4, 5), weights=(1, 2, 5, 8, 6))[0] if rng.random() < 0.7 else None
    return number, day, exhibition, visitor, round(price * VISITOR_SHARE[visitor], 2), rating


def _restoration(rng: Random, number: int) -> Row:
    started = random_day(rng, "2018-01-08", "2024-11-29")
    finished = days_after(started, rng.randint(6, 190)) if rng.random() < 0.82 else None
    cost = round(rng.uniform(180, 9400), 2)
    return number, rng.randint(1, 60), rng.choice(RESTORERS), started, finished, cost
