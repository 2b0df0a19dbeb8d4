"""Whether the data decide a result, held against what databases of different data return."""

import sqlite3
from contextlib import closing

import pytest

from envs.sql.parsing.data_dependence import depends_on_data

SCHEMA = {"singer": ("id", "name", "age"), "concert": ("year", "singer_id")}
DATA = (
    "INSERT INTO singer VALUES (1, 'Ada', 30), (2, 'Ben', 17); INSERT INTO concert VALUES (2020, 1);",
    "INSERT INTO singer VALUES (5, 'Eva', 41), (6, 'Fox', 8), (7, 'Gil', 77);"
    "INSERT INTO concert VALUES (1999, 5), (1998, 6);",
)
CONSTANT = [
    "SELECT 1",
    "SELECT 1 FROM singer",
    "SELECT 'Ada', NULL FROM singer JOIN concert ON singer.id = concert.singer_id",
    "SELECT max(1) FROM singer",
    "SELECT count(*) FROM singer WHERE 0",
    "SELECT count(*) FROM (SELECT * FROM singer WHERE 1 = 0)",
    "SELECT count(*) FROM (SELECT 1 UNION SELECT 2)",
    "SELECT coalesce(max(age), 1) FROM singer WHERE 1 = 0",
    "SELECT x FROM (SELECT 1 AS x, name FROM singer)",
    "WITH t(x, y) AS (SELECT 1, age FROM singer) SELECT x FROM t",
    "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 5) SELECT x FROM c",
    "SELECT EXISTS (SELECT 1 FROM singer)",
    "SELECT (SELECT 1 FROM singer)",
    'SELECT "foo" FROM singer',
    "SELECT 1 AS a UNION ALL SELECT 2 FROM singer GROUP BY 1",
    "SELECT name FROM sqlite_master",
    "VALUES (1)",
]
DECIDED = [
    "SELECT name FROM singer",
    "SELECT * FROM singer",
    "SELECT 1, s.* FROM singer AS s",
    "SELECT rowid FROM singer",
    "SELECT count(*) FROM singer",
    "SELECT sum(1) FROM singer",
    "SELECT 1 + count(*) FROM (SELECT 1 FROM singer)",
    "SELECT max(age) FROM singer",
    "SELECT x FROM (SELECT 1 AS x UNION SELECT age FROM singer)",
    "SELECT 1 UNION SELECT age FROM singer",
    "WITH t(x, y) AS (SELECT 1, age FROM singer) SELECT y FROM t",
    "WITH a AS (SELECT age AS v FROM singer), b AS (SELECT v FROM a) SELECT v FROM b",
    "WITH RECURSIVE c(x) AS (SELECT min(id) FROM singer UNION ALL SELECT x + 1 FROM c LIMIT 5) SELECT x FROM c",
    "SELECT (SELECT name FROM singer LIMIT 1)",
    "SELECT (SELECT s.name) FROM singer AS s",
    "SELECT EXISTS (SELECT 1 FROM singer WHERE age > 70)",
    "SELECT 'Ada' IN (SELECT name FROM singer)",
    "SELECT CASE WHEN age > 40 THEN 'old' ELSE 'young' END FROM singer WHERE id IN (1, 5)",
    "SELECT sum(age) OVER (ORDER BY id) FROM singer",
]


def values(query: str, data: str) -> set[tuple[object, ...]]:
    with closing(sqlite3.connect(":memory:")) as connection:
        for table, columns in SCHEMA.items():
            connection.execute(f"CREATE TABLE {table} ({', '.join(columns)})")
        connection.executescript(data)
        return set(connection.execute(query).fetchall())


@pytest.mark.parametrize("query", CONSTANT)
def test_a_result_of_constants_is_the_same_on_any_data(query: str) -> None:
    assert not depends_on_data(query, SCHEMA, "sqlite")
    assert values(query, DATA[0]) == values(query, DATA[1])


@pytest.mark.parametrize("query", DECIDED)
def test_a_result_that_depends_on_data_differs_with_them(query: str) -> None:
    assert depends_on_data(query, SCHEMA, "sqlite")
    assert values(query, DATA[0]) != values(query, DATA[1])


@pytest.mark.parametrize(
    "text", ["", "garbage", "PRAGMA table_info(singer)", "EXPLAIN SELECT name FROM singer", "SELECT"]
)
def test_what_is_no_query_depends_on_nothing(text: str) -> None:
    assert not depends_on_data(text, SCHEMA, "sqlite")


@pytest.mark.parametrize("dialect", ["duckdb", "postgres"])
def test_other_dialects_are_read_by_their_own_rules(dialect: str) -> None:
    assert depends_on_data('SELECT "name" FROM singer', SCHEMA, dialect)
    assert not depends_on_data("SELECT table_name FROM information_schema.tables", SCHEMA, dialect)
    assert not depends_on_data("SELECT 1::int FROM singer", SCHEMA, dialect)
