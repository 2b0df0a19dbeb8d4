"""Names of tables and columns, and double-quoted texts: SQLite itself is asked for the truth."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from envs.sql.parsing.double_quotes import with_single_quotes
from envs.sql.parsing.names import jaccard, used_names

SCHEMA = {"t": ("a", "B"), "u": ("c", "a"), "Big Table": ("my col", "a")}

QUERIES = [
    "SELECT a FROM t",
    "SELECT T.A FROM T",
    "SELECT x.b FROM t AS x, u",
    "SELECT count(*) FROM t, u",
    "SELECT * FROM t JOIN u ON t.a = u.c",
    "SELECT u.* FROM t, u",
    "SELECT x.* FROM (SELECT a AS z FROM t) AS x",
    "SELECT z FROM (SELECT a AS z, b FROM t)",
    "SELECT b FROM t WHERE a IN (SELECT c FROM u WHERE u.a = t.a)",
    "SELECT b FROM t WHERE EXISTS (SELECT * FROM u WHERE c = b)",
    "WITH z AS (SELECT c FROM u) SELECT b, z.c FROM t, z",
    "WITH z(q) AS (SELECT c FROM u) SELECT q FROM z",
    "WITH y AS (SELECT * FROM z), z AS (SELECT c FROM u) SELECT * FROM y",
    "WITH z AS (SELECT c FROM u) SELECT b FROM t",
    "WITH t AS (SELECT c FROM u) SELECT c FROM t",
    "WITH z AS (SELECT c FROM u) SELECT a FROM main.t",
    "SELECT a FROM t UNION SELECT c FROM u ORDER BY a",
    "SELECT a AS k FROM t UNION SELECT c FROM u ORDER BY k LIMIT 1",
    "SELECT a + 1 FROM t UNION SELECT c FROM u ORDER BY a + 1",
    "SELECT -a AS a, count(*) AS n FROM t GROUP BY b HAVING n > 0 ORDER BY a, n",
    "SELECT b AS k FROM t WHERE k = 'x' ORDER BY 1",
    "SELECT u1.c FROM (u AS u1 JOIN t AS t2 ON u1.c = t2.a)",
    'SELECT "my col" FROM "Big Table" WHERE [A] = `MY COL`',
    'SELECT b FROM t WHERE b = "x"',
    'SELECT b FROM t WHERE "B" = "a"',
    'SELECT b FROM t WHERE b = "no such column"',
    'SELECT b AS "q r" FROM t WHERE "q r" = "s"',
    'SELECT a + 1 AS z, "z" FROM t ORDER BY "z"',
    'SELECT b FROM t WHERE EXISTS (SELECT 1 FROM u WHERE "b" = "It\'s" AND "c" = 1)',
    'SELECT count(*) FROM t WHERE b IN ("x", "y") AND b LIKE "%x%" GROUP BY "b" ORDER BY "nothing"',
    'SELECT a AS k, (SELECT "k") FROM t WHERE "k" IN (SELECT "k" FROM u)',
    "SELECT rowid FROM t WHERE oid = 1",
    "SELECT CASE WHEN a > 1 THEN b ELSE (SELECT max(c) FROM u) END FROM t",
]


@pytest.fixture(scope="module")
def connection() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", cached_statements=0)) as opened:
        opened.executescript(
            """CREATE TABLE t (a INT, B TEXT); INSERT INTO t VALUES (1, 'x'), (2, 'y'), (3, 'It''s');
            CREATE TABLE u (c INT, a INT); INSERT INTO u VALUES (1, 10), (2, 20);
            CREATE TABLE "Big Table" ("my col" INT, a INT); INSERT INTO "Big Table" VALUES (1, 1);"""
        )
        yield opened


def names_by_sqlite(connection: sqlite3.Connection, query: str) -> set[str]:
    names = set()

    def authorize(action: int, table: str | None, column: str | None, *_: str | None) -> int:
        if action == sqlite3.SQLITE_READ and table:
            names.add(table.lower())
            if column:
                names.add(f"{table}.{column}".lower())
        return sqlite3.SQLITE_OK

    connection.set_authorizer(authorize)
    try:
        connection.execute(query).fetchall()
    finally:
        connection.set_authorizer(None)
    return names


@pytest.mark.parametrize("query", QUERIES)
def test_the_names_are_those_that_sqlite_reads(connection: sqlite3.Connection, query: str) -> None:
    assert used_names(query, SCHEMA, "sqlite") == names_by_sqlite(connection, query)


@pytest.mark.parametrize("query", QUERIES)
def test_single_quotes_keep_the_result(connection: sqlite3.Connection, query: str) -> None:
    rewritten = with_single_quotes(query, SCHEMA, "sqlite")
    assert rewritten is not None
    assert connection.execute(rewritten).fetchall() == connection.execute(query).fetchall()


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ('SELECT b FROM t WHERE b = "x"', "SELECT b FROM t WHERE b = 'x'"),
        ('SELECT b FROM t WHERE b = "It\'s"', "SELECT b FROM t WHERE b = 'It''s'"),
        ('SELECT "b" FROM "t" WHERE "T"."A" = "c"', 'SELECT "b" FROM "t" WHERE "T"."A" = \'c\''),
        ('SELECT "z", a AS z FROM t WHERE "z" = 1', "SELECT 'z', a AS z FROM t WHERE \"z\" = 1"),
        ("SELECT [x], `y` FROM t", "SELECT [x], `y` FROM t"),
        ('SELECT t."x" FROM t', 'SELECT t."x" FROM t'),
    ],
)
def test_only_what_no_column_or_alias_answers_to_is_a_text(query: str, expected: str) -> None:
    assert with_single_quotes(query, SCHEMA, "sqlite") == expected


@pytest.mark.parametrize("dialect", ["duckdb", "postgres"])
def test_double_quotes_are_names_in_other_dialects(dialect: str) -> None:
    query = 'SELECT a FROM t WHERE a = "x"'
    assert with_single_quotes(query, SCHEMA, dialect) == query


def test_postgres_keeps_the_case_of_quoted_names_alone() -> None:
    assert used_names('SELECT A, "B" FROM t', SCHEMA, "postgres") == {"t", "t.a", "t.b"}
    assert used_names("SELECT B FROM t", SCHEMA, "postgres") == {"t"}
    assert used_names("SELECT B FROM t", SCHEMA, "duckdb") == {"t", "t.b"}


def test_a_table_that_the_schema_lacks_is_named_and_a_column_is_not() -> None:
    assert used_names("SELECT nothing FROM nobody JOIN t ON t.zzz = 1", SCHEMA, "sqlite") == {
        "nobody",
        "nobody.nothing",
        "t",
    }


@pytest.mark.parametrize("text", ["", "SELECT (", "DROP TABLE t", "SELECT 1 FROM a" + " JOIN a" * 100])
def test_what_cannot_be_parsed_has_no_names(text: str) -> None:
    assert used_names(text, SCHEMA, "sqlite") is None
    assert with_single_quotes(text, SCHEMA, "sqlite") is None


def test_jaccard_is_intersection_over_union() -> None:
    assert jaccard({"a", "b"}, {"b", "c"}) == 1 / 3
    assert jaccard({"a"}, set()) == 0.0
    assert jaccard(set(), set()) == 1.0


def test_an_unknown_dialect_is_refused() -> None:
    with pytest.raises(ValueError, match="known: duckdb, postgres, sqlite"):
        used_names("SELECT 1", SCHEMA, "mysql")
