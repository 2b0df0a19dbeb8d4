"""Under the scope of a database every name is known where it stands, and what is allowed can always be ended."""

import random
import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.sql.scope.catalogue import Catalogue
from envs.sql.scope.text import SqlScope, SqlText

TABLES = (
    ("singer", ("singer_id", "name", "age", "home town")),
    ("concert", ("concert_id", "singer_id", "venue", "year")),
    ("order", ("id", "name")),
)
SCOPE = SqlScope(Catalogue(TABLES))

KNOWN = [
    "SELECT name FROM singer",
    "select T1.NAME, count(*) from Singer AS T1 join concert as T2 on T1.singer_id = T2.singer_id group by 1;",
    'SELECT "home town", [name] FROM singer WHERE name = "Ada" AND age BETWEEN 3 AND -1',
    "SELECT singer_id FROM singer JOIN concert USING (singer_id)",
    "SELECT singer_id, name FROM singer NATURAL JOIN concert",
    "SELECT name AS n, max(age) m FROM singer GROUP BY n HAVING m > 3 ORDER BY m DESC, n LIMIT 3 OFFSET 1",
    "SELECT name FROM singer AS T1 WHERE EXISTS (SELECT * FROM concert AS T2 WHERE T2.singer_id = T1.singer_id)",
    "SELECT name FROM singer WHERE age > (SELECT avg(age) FROM singer) OR age IN (SELECT year FROM concert)",
    "SELECT name FROM singer UNION SELECT venue FROM concert ORDER BY name",
    "SELECT * FROM concert EXCEPT SELECT * FROM singer",
    "SELECT name FROM (SELECT name FROM singer)",
    "SELECT count(*) FROM (SELECT count(*) AS n FROM singer GROUP BY age) AS t WHERE t.n > 1",
    "WITH best(who) AS (SELECT name FROM singer), b AS (SELECT who FROM best) SELECT b.who FROM b",
    "SELECT CASE age WHEN 3 THEN 'a' ELSE \"b\" END, rank() OVER (ORDER BY age) FROM singer",
    "SELECT sum(age) FILTER (WHERE name LIKE 'a!%' ESCAPE '!') FROM singer",
]
UNKNOWN = [
    ("SELECT shoe_size", "FROM singer"),
    ("SELECT name FROM nobody", ""),
    ("SELECT venue FROM singer WHERE", " 1"),
    ('SELECT name FROM singer, "order"', ""),
    ("SELECT T1.venue FROM singer AS T1 ", ""),
    ("SELECT T2.name FROM singer AS T1 WHERE", " 1"),
    ("SELECT name FROM singer WHERE venue", " = 1"),
    ("SELECT name FROM singer AS a WHERE singer.", "name"),
    ("SELECT name FROM singer WHERE max(age) ", "> 1"),
    ("SELECT count(*) AS n FROM singer WHERE n ", "> 1"),
    ("SELECT sum(count(", "*))"),
    ("SELECT abs(1, ", "2)"),
    ("SELECT rank() ", "FROM singer"),
    ("SELECT name FROM singer ORDER BY 2", ""),
    ("SELECT name, count(*) FROM singer GROUP BY 2", ""),
    ("SELECT name FROM singer ORDER BY count(*)", ""),
    ("SELECT name FROM singer HAVING", " 1"),
    ("SELECT name FROM singer UNION SELECT name, ", "age FROM singer"),
    ("SELECT name FROM singer WHERE age IN (SELECT * ", "FROM singer)"),
    ("SELECT name FROM singer AS a JOIN singer AS a ", ""),
    ("SELECT name FROM singer LIMIT age", ""),
]


def _connection() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    for table, columns in TABLES:
        connection.execute(f'CREATE TABLE "{table}" ({", ".join(f"{chr(34)}{column}{chr(34)}" for column in columns)})')
    return connection


CONNECTION = _connection()


def _read(query: str) -> SqlText | None:
    text = SCOPE.start()
    for character in query.encode():
        if not text.allowed([bytes([character])])[0]:
            return None
        text.advance(bytes([character]))
    return text


@pytest.mark.parametrize("query", KNOWN)
def test_a_query_whose_names_are_known_is_read_to_its_end(query: str) -> None:
    CONNECTION.execute(f"EXPLAIN {query}")
    text = _read(query)
    assert text is not None and text.allowed([b""]) == [True]


@pytest.mark.parametrize(("start", "rest"), UNKNOWN)
def test_what_sqlite_would_refuse_is_not_allowed(start: str, rest: str) -> None:
    with pytest.raises(sqlite3.Error):
        CONNECTION.execute(f"EXPLAIN {start}{rest}")
    text = _read(start)
    assert text is None or text.allowed([b""]) == [False]
    assert _read(start + rest) is None or not _read(start + rest).allowed([b""])[0]  # type: ignore[union-attr]


@given(query=st.sampled_from(KNOWN), length=st.integers(0, 200))
@settings(max_examples=150, deadline=None)
def test_every_beginning_of_a_query_has_a_short_end(query: str, length: int) -> None:
    text = _read(query[:length])
    assert text is not None
    end = text.ending()
    assert end is not None
    whole = (query[:length].encode() + end).decode()
    CONNECTION.execute(f"EXPLAIN {whole}")


WORDS = "select from where group by having order limit union except natural join using as on and or not in exists case"
PIECES = [
    *(f" {word} " for word in f"{WORDS} when then else end between like is null with over filter distinct".split()),
    *(" name", " singer", " concert", ' "order"', " age", " venue", " year", " singer_id", " id", "T1", "T2", "a", "n"),
    *("T1.", "T2.", "singer.", "concert.", "(", ")", ",", "*", "=", "<", "+", "-", ".", " ", "1", "2", "'x'", '"name"'),
    *("count(", "max(", "sum(", "rank(", "abs(", "coalesce(", " offset ", " desc", " as T1", " as T2", ";"),
]


@given(seed=st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_whatever_is_allowed_can_be_ended_and_explained(seed: int) -> None:
    rng = random.Random(seed)
    text, written = SCOPE.start(), b""
    pieces = [piece.encode() for piece in PIECES]
    for _ in range(rng.randint(1, 40)):
        allowed = [piece for piece, is_allowed in zip(pieces, text.allowed(pieces), strict=True) if is_allowed]
        if not allowed:
            break
        piece = rng.choice(allowed)
        text.advance(piece)
        written += piece
    end = text.ending()
    assert end is not None, written
    CONNECTION.execute(f"EXPLAIN {(written + end).decode()}")


@pytest.mark.parametrize(
    "query",
    [
        "WITH assets AS (SELECT 1 AS ones) SELECT ones FROM assets",
        "WITH singers(asc1, inner_name) AS (SELECT 1, 2) SELECT inner_name FROM singers",
        "SELECT name order_name FROM singer singers",
        "SELECT on1.name FROM singer AS on1",
        "SELECT aset.name FROM singer AS aset, singer AS asets",
        "SELECT count(*), a.singer_id FROM singer AS a GROUP BY 2",
        "SELECT count(*), 1,2,3,4,5,6,7,8,9 FROM singer GROUP BY 10",
        "SELECT 'it''s', \"a\"\"b\" FROM singer AS 'it''s'",
        "SELECT name FROM singer WHERE \"home town\" LIKE '%' ESCAPE '\u20ac'",
    ],
)
def test_what_is_read_at_once_is_read_byte_by_byte(query: str) -> None:
    CONNECTION.execute(f"EXPLAIN {query}")
    assert SCOPE.start().allowed([query.encode()]) == [True]
    text = _read(query)
    assert text is not None and text.allowed([b""]) == [True]


def test_comments_are_not_begun() -> None:
    assert _read("SELECT 1 - -1") is not None
    assert _read("SELECT 1--") is None and _read("SELECT 1 /*") is None


def test_copies_are_independent() -> None:
    text = _read("SELECT name FROM ")
    assert text is not None
    other = text.copy()
    other.advance(b"singer")
    assert text.allowed([b"concert", b"singer"]) == [True, True]
    assert other.allowed([b" "]) == [True]


def test_scopes_are_compared_by_content() -> None:
    assert SqlScope(Catalogue(TABLES)) == SCOPE and hash(SqlScope(Catalogue(TABLES))) == hash(SCOPE)
    assert SqlScope(Catalogue(TABLES[:1])) != SCOPE
