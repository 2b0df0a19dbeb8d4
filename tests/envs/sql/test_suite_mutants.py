"""Mutants and rewrites of a query, run on a small database."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from random import Random

import pytest

from envs.sql.databases.schema import Column, Table
from envs.sql.suite.mutants import MutantMaker
from envs.sql.suite.profile import ColumnProfile
from envs.sql.suite.query import ParsedQuery
from envs.sql.suite.rewrites import equivalents

TABLES = (
    Table(
        name="player",
        columns=tuple(
            Column(name=name, type=kind)
            for name, kind in [("id", "INT"), ("name", "TEXT"), ("age", "INT"), ("town", "TEXT")]
        ),
    ),
    Table(
        name="game",
        columns=tuple(
            Column(name=name, type=kind) for name, kind in [("id", "INT"), ("player", "INT"), ("score", "REAL")]
        ),
    ),
)
KINDS = {"INT": "integer", "TEXT": "text", "REAL": "real"}
VALUES = {"INT": (1, 2), "TEXT": ("Ada", "Ben"), "REAL": (1.5, 2.5)}
PROFILES = {
    (table.name, column.name): ColumnProfile(kind=KINDS[column.type], values=VALUES[column.type], rows=4, nulls=0)
    for table in TABLES
    for column in table.columns
}
JOINED = """SELECT t1.name, count(*) FROM player AS t1 JOIN game AS t2 ON t1.id = t2.player
    WHERE t1.age > 20 AND t2.score < 9 GROUP BY t1.name HAVING count(*) >= 2 ORDER BY count(*) DESC LIMIT 2"""


def make(gold: str, most: int = 10_000, seed: int = 0) -> dict[str, str]:
    """operator by text"""
    mutants = MutantMaker(ParsedQuery(gold, "sqlite", TABLES), PROFILES, Random(seed)).make(most)
    return {mutant.query: mutant.operator for mutant in mutants}


@pytest.fixture(scope="module")
def database() -> Iterator[sqlite3.Connection]:
    random = Random(3)
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE player (id INT, name TEXT, age INT, town TEXT)")
        connection.execute("CREATE TABLE game (id INT, player INT, score REAL)")
        players = [(number, random.choice("ABCD"), random.randint(18, 24), random.choice("XY")) for number in range(12)]
        games = [(number, random.randrange(12), random.randint(1, 12)) for number in range(60)]
        connection.executemany("INSERT INTO player VALUES (?, ?, ?, ?)", players)
        connection.executemany("INSERT INTO game VALUES (?, ?, ?)", games)
        yield connection


def test_every_mutant_is_another_text_and_runs(database: sqlite3.Connection) -> None:
    query = ParsedQuery(JOINED, "sqlite", TABLES)
    mutants = make(JOINED)
    assert query.sql() not in mutants
    for text in mutants:
        database.execute(text).fetchall()


def test_making_mutants_leaves_the_query_as_it_was() -> None:
    query = ParsedQuery(JOINED, "sqlite", TABLES)
    before = query.sql()
    MutantMaker(query, PROFILES, Random(0)).make(10_000)
    assert query.sql() == before
    assert query.tree.sql("sqlite") == before


def test_every_kind_of_mistake_is_made() -> None:
    operators = set(make(JOINED).values())
    assert operators >= {
        *("column in select", "column in where", "column in join", "column in group"),
        *(
            "comparison",
            "literal",
            "and/or",
            "conjunct dropped",
            "condition added",
            "distinct",
            "distinct in aggregate",
        ),
        *("where dropped", "having dropped", "group dropped", "order dropped", "order direction", "limit", "join kind"),
    }
    others = """SELECT max(age) FROM player WHERE name LIKE '%a' AND id NOT IN (SELECT player FROM game) AND
        age + 1 BETWEEN 3 AND 9 UNION SELECT age FROM player GROUP BY age, name"""
    assert set(make(others).values()) >= {
        "aggregate",
        "pattern",
        "negation",
        "arithmetic",
        "set operation",
        "group key dropped",
    }


@pytest.mark.parametrize(
    ("gold", "mutant"),
    [
        ("SELECT name FROM player WHERE age > 20", "SELECT name FROM player WHERE age >= 20"),
        ("SELECT name FROM player WHERE age > 20", "SELECT name FROM player WHERE age > 21"),
        ("SELECT name FROM player WHERE age > 20", "SELECT name FROM player WHERE id > 20"),
        ("SELECT name FROM player WHERE age > 20", "SELECT name FROM player"),
        ("SELECT name FROM player WHERE age > 20", "SELECT DISTINCT name FROM player WHERE age > 20"),
        ("SELECT min(age) FROM player", "SELECT MAX(age) FROM player"),
        ("SELECT count(name) FROM player", "SELECT COUNT(DISTINCT name) FROM player"),
        ("SELECT name FROM player ORDER BY age LIMIT 2", "SELECT name FROM player ORDER BY age LIMIT 3"),
        ("SELECT id FROM player UNION SELECT id FROM game", "SELECT id FROM player INTERSECT SELECT id FROM game"),
        ("SELECT id FROM player UNION SELECT id FROM game", "SELECT id FROM game"),
        ("SELECT id FROM player WHERE name LIKE 'A%'", "SELECT id FROM player WHERE name NOT LIKE 'A%'"),
        ("SELECT id FROM player WHERE name LIKE 'A%'", "SELECT id FROM player WHERE name LIKE '%A%'"),
        ("SELECT id FROM player WHERE id IN (1)", "SELECT id FROM player WHERE NOT (id IN (1))"),
        ("SELECT p.id FROM player AS p JOIN game AS g ON p.id = g.player", None),
    ],
)
def test_a_well_known_mistake_is_among_them(gold: str, mutant: str | None) -> None:
    expected = mutant or "SELECT p.id FROM player AS p LEFT JOIN game AS g ON p.id = g.player"
    assert expected in make(gold)


def test_few_mutants_still_come_from_many_operators() -> None:
    assert len(set(make(JOINED, most=12).values())) == 12


def test_the_same_seed_makes_the_same_mutants() -> None:
    assert list(make(JOINED, 20, seed=5)) == list(make(JOINED, 20, seed=5))


GOLDS = [
    "SELECT name FROM player AS t1 JOIN game AS t2 ON t1.id = t2.player WHERE age > 20 OR score > 5 AND name != 'A'",
    "SELECT count(*) FROM player AS t1, game AS t2 WHERE t1.id = t2.player AND (t1.age = 20 OR t1.age = 21)",
    "SELECT name FROM player AS t1 WHERE t1.id NOT IN (SELECT t1.player FROM game AS t1 WHERE t1.score > 11)",
    "SELECT t1.name FROM player AS t1 WHERE EXISTS (SELECT 1 FROM game AS g JOIN game AS h ON g.id < h.id "
    "WHERE g.player = t1.id AND h.player = t1.id)",
    "SELECT name FROM player WHERE age = 20 INTERSECT SELECT p.name FROM player AS p JOIN game AS g ON p.id = g.player",
    "SELECT t1.name, sum(t2.score) FROM player AS t1 JOIN game AS t2 ON t1.id = t2.player GROUP BY t1.name",
    "SELECT t1.name FROM player AS t1 LEFT JOIN game AS t2 ON t1.id = t2.player AND t2.score > 9 WHERE t2.id IS NULL",
    "SELECT * FROM player AS t1 JOIN game AS t2 ON t1.id = t2.player",
]


@pytest.mark.parametrize("gold", GOLDS)
def test_rewrites_return_what_the_query_returns(gold: str, database: sqlite3.Connection) -> None:
    texts = equivalents(ParsedQuery(gold, "sqlite", TABLES))
    expected = sorted(database.execute(gold).fetchall())
    assert texts
    assert expected
    for text in texts:
        assert sorted(database.execute(text).fetchall()) == expected, text


def test_an_outer_join_keeps_its_order() -> None:
    gold = "SELECT t1.name FROM player AS t1 LEFT JOIN game AS t2 ON t1.id = t2.player"
    texts = equivalents(ParsedQuery(gold, "sqlite", TABLES))
    assert all("LEFT JOIN game" in text for text in texts)
