"""Queries of SQLite, said in the other dialects: the same result on the same rows."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.sql.comparison import are_equal
from envs.sql.databases.connection import Connection
from envs.sql.databases.database import Database
from envs.sql.databases.execution import ExecutionLimits, QueryResult
from envs.sql.databases.kinds import open_connection
from envs.sql.databases.schema import Column, Table
from envs.sql.databases.sqlite import SqliteConnection
from envs.sql.dialects import translate

LIMITS = ExecutionLimits(seconds=5.0)

# Each says something that only SQLite understands, or understands in its own way. All texts of numbers are in "code".
ROWS = """
CREATE TABLE "Item" ("ID" INTEGER PRIMARY KEY, name TEXT, code TEXT, price REAL, "Group" INT);
INSERT INTO "Item" VALUES (1, 'apple', '10', 1.5, 1), (2, 'Pear', '9', 2.5, 1), (3, 'plum', '10kg', 0.5, 2),
  (4, 'fig', 'none', NULL, 2), (5, NULL, NULL, 4.0, 3), (6, 'Apple', '007', 3.0, 3);
CREATE TABLE sale (item_id INT, day TEXT, amount INT);
INSERT INTO sale VALUES (1, '2020-01-01', 5), (1, '2020-01-02', 7), (2, '2020-01-01', 7), (6, '2020-01-03', 1);
"""
QUERIES = [
    'SELECT name FROM item WHERE name = "apple"',
    'SELECT name FROM item WHERE name LIKE "%aPP%"',
    'SELECT "id" FROM item WHERE "Group" = 1',
    "SELECT id FROM item WHERE code = 10",
    "SELECT id FROM item WHERE code != 10",
    "SELECT id FROM item WHERE code IN (10, 9)",
    "SELECT id FROM item WHERE code > 9",
    "SELECT id FROM item WHERE id = '3'",
    "SELECT id FROM item WHERE id = 'three'",
    "SELECT id FROM item WHERE id IN ('1', '2', 'x')",
    "SELECT id FROM item WHERE id BETWEEN '2' AND '4'",
    "SELECT a.id, b.id FROM item AS a JOIN item AS b ON a.code = b.id",
    "SELECT id FROM item WHERE id IN (SELECT code FROM item)",
    "SELECT id FROM item WHERE id LIKE '1%'",
    "SELECT sum(code), avg(code) FROM item",
    "SELECT code + 1, code * 2 FROM item",
    "SELECT sum(x) FROM (SELECT code AS x FROM item)",
    "SELECT T1.Name, count(*) FROM ITEM AS T1 JOIN Sale AS T2 ON t1.ID = t2.Item_Id GROUP BY T2.item_id",
    "SELECT name, max(price) FROM item",
    'SELECT name, min(price) FROM item GROUP BY "Group"',
    "SELECT name FROM item GROUP BY id ORDER BY price",
    "SELECT price > 2, count(*) FROM item GROUP BY 1",
    "SELECT id AS Number FROM item WHERE number > 3",
    'SELECT "Group" AS g, count(*) AS n FROM item GROUP BY g HAVING n > 1',
    "SELECT count(*) FROM item JOIN sale",
    "SELECT count(*) FROM item LEFT JOIN sale",
    "SELECT count(*) FROM (SELECT name FROM item INTERSECT SELECT name FROM item)",
    "SELECT name FROM item ORDER BY name",
    "SELECT name FROM item ORDER BY price DESC LIMIT 2, 3",
    "SELECT name FROM item EXCEPT SELECT name FROM item WHERE price > 2",
    "SELECT 7 / 2, 7 % 2, 7 / 2.0, -7 / 2, 1 / 0, 1 % 0",
    "SELECT sum(amount) / count(*), 2 * (sum(amount) / 3), avg(amount) / 2, amount / 2 FROM sale GROUP BY amount",
    "SELECT id FROM item WHERE id NOT IN ('x', 'y')",
    "WITH Cheap AS (SELECT * FROM item WHERE price < 3) SELECT cheap.Name FROM CHEAP JOIN sale ON cheap.id = item_id",
    "SELECT name FROM item WHERE price > (SELECT avg(price) FROM item)",
    "SELECT DISTINCT item.name FROM item JOIN sale USING (item_id) WHERE 1 = 0",
    "SELECT upper(name) || '!' FROM item WHERE name IS NOT NULL",
    "SELECT CASE WHEN price > 2 THEN 'dear' ELSE \"cheap\" END FROM item",
]


@pytest.fixture(scope="module")
def sqlite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqliteConnection]:
    path = tmp_path_factory.mktemp("dialects") / "shop.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(ROWS)
    opened = SqliteConnection(Database.at(path), LIMITS)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def duckdb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    module = pytest.importorskip("duckdb", reason="needs duckdb: pip install 'structrl[databases]'")
    path = tmp_path_factory.mktemp("dialects") / "shop.duckdb"
    with module.connect(path) as connection:
        connection.execute(ROWS.replace("REAL", "DOUBLE"))
    opened = open_connection(Database.at(path), LIMITS)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def postgres(request: pytest.FixtureRequest) -> Iterator[Connection]:
    server = request.getfixturevalue("postgres_server")
    import psycopg

    from envs.sql.databases.postgres_role import make_reader

    with psycopg.connect(server.location(), autocommit=True) as administrator:
        administrator.execute("CREATE DATABASE shop")
    with psycopg.connect(server.location("shop"), autocommit=True) as administrator:
        administrator.execute(ROWS.replace("REAL", "FLOAT8").encode())
        make_reader(administrator, "buyer", ["public"])
    opened = open_connection(Database.at(server.location("shop", "buyer")), LIMITS)
    yield opened
    opened.close()


def check(query: str, sqlite: Connection, target: Connection, dialect: str) -> None:
    original = sqlite.execute(query, LIMITS)
    translated = translate(query, "sqlite", dialect, target.tables())
    outcome = target.execute(translated, LIMITS)
    if not isinstance(original, QueryResult):
        assert not isinstance(outcome, QueryResult), (translated, outcome)
        return
    assert isinstance(outcome, QueryResult), (translated, outcome)
    assert are_equal(
        original.rows,
        outcome.rows,
        is_ordered="ORDER BY" in query,
        gold_width=len(original.columns),
        predicted_width=len(outcome.columns),
    ), (translated, original.rows, outcome.rows)


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_gives_the_same_on_duckdb(query: str, sqlite: SqliteConnection, duckdb: Connection) -> None:
    check(query, sqlite, duckdb, "duckdb")


@pytest.mark.postgres
@pytest.mark.parametrize("query", QUERIES)
def test_a_query_gives_the_same_on_postgres(query: str, sqlite: SqliteConnection, postgres: Connection) -> None:
    check(query, sqlite, postgres, "postgres")


def test_names_are_spelled_as_the_target_spells_them() -> None:
    tables = (Table(name="Singer", columns=(Column(name="Home Town", type="TEXT"), Column(name="ID", type="INTEGER"))),)
    written = translate("SELECT T1.[home town] FROM singer AS T1 WHERE t1.id = 1", "sqlite", "postgres", tables)
    assert written == 'SELECT "t1"."Home Town" FROM "Singer" AS "t1" WHERE "t1"."ID" = 1'
    assert '"Singer"."ID"' in translate("SELECT SINGER.id FROM singer", "sqlite", "postgres", tables)


def test_a_column_of_the_name_wins_over_a_text() -> None:
    tables = (Table(name="t", columns=(Column(name="a", type="TEXT"), Column(name="b", type="TEXT"))),)
    assert translate('SELECT "a" FROM t WHERE b = "c"', "sqlite", "duckdb", tables) == (
        'SELECT "a" FROM "t" WHERE "b" = \'c\''
    )


def test_a_query_stays_as_it_is_within_a_dialect() -> None:
    assert translate("select  1", "duckdb", "duckdb", ()) == "select  1"


@pytest.mark.parametrize(
    "query", ["", "SELEC 1", "DROP TABLE t", "SELECT 1; SELECT 2", "SELECT " + "(" * 5_000, "\ud800"]
)
@pytest.mark.parametrize("source", ["sqlite", "duckdb", "postgres"])
def test_what_cannot_be_translated_says_why(query: str, source: str) -> None:
    target = "duckdb" if source != "duckdb" else "postgres"
    with pytest.raises(ValueError, match="cannot be"):
        translate(query, source, target, ())


words = st.sampled_from(
    "SELECT FROM WHERE GROUP BY ORDER t a b max ( ) () , * = < / % 1 'x' \"a\" JOIN ON AS IN LIKE NOT sum AND HAVING"
    " DISTINCT BETWEEN UNION LIMIT CASE WHEN END - USING (a)".split()
)


@given(st.lists(words, max_size=14))
@settings(max_examples=200, deadline=None)
def test_a_text_is_translated_or_refused_with_a_reason(parts: list[str]) -> None:
    tables = (Table(name="t", columns=(Column(name="a", type="TEXT"), Column(name="b", type="INTEGER"))),)
    for target in ("duckdb", "postgres"):
        try:
            assert translate("SELECT " + " ".join(parts), "sqlite", target, tables)
        except ValueError as reason:
            assert "cannot be" in str(reason)


def test_every_gold_query_of_spider_can_be_translated(dataset_directory: Callable[[str, str], Path]) -> None:
    folder = dataset_directory("spider", "dev.json")
    tables: dict[str, tuple[Table, ...]] = {}
    for row in json.loads((folder / "dev.json").read_text(encoding="utf-8"))[::4]:
        name = row["db_id"]
        if name not in tables:
            opened = SqliteConnection(Database.at(folder / "database" / name / f"{name}.sqlite"), LIMITS)
            tables[name] = opened.tables()
            opened.close()
        for target in ("duckdb", "postgres"):
            assert translate(row["query"], "sqlite", target, tables[name])
