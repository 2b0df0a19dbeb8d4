"""Canonical forms on a small schema: what must be equal, what must differ, what must have none."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.sql.parsing.canonical import canonical_form, query_digest
from envs.sql.parsing.expression_forms import WRITTEN_NODES, ExpressionForms

SCHEMA = {"singer": ("id", "name", "age", "city"), "concert": ("cid", "singer_id", "year", "city"), "odd one": ("a",)}

EQUAL = [
    ("SELECT name FROM singer", 'select "NAME" from SINGER as S ;'),
    ("SELECT name FROM singer", "SELECT s.name AS who FROM singer s"),
    ("SELECT name FROM singer", "SELECT main.singer.name FROM main.singer"),
    ("SELECT name FROM singer WHERE age > 1 AND id = 2", "SELECT name FROM singer WHERE (2 = id) AND ((1 < age))"),
    ("SELECT name FROM singer WHERE age > 1 OR id = 2", "SELECT name FROM singer WHERE id = 2 OR age > 1"),
    ("SELECT name FROM singer WHERE age = 1", "SELECT name FROM singer WHERE age == 1 AND age = 1"),
    ("SELECT name FROM singer WHERE age != 1", "SELECT name FROM singer WHERE NOT (age = 1)"),
    ("SELECT name FROM singer WHERE NOT age < 1", "SELECT name FROM singer WHERE 1 <= age"),
    ("SELECT name FROM singer WHERE age BETWEEN 1 AND 2", "SELECT name FROM singer WHERE age <= 2 AND age >= 1"),
    ("SELECT name FROM singer WHERE age NOT IN (1, 2)", "SELECT name FROM singer WHERE NOT age IN (2, 1, 1)"),
    ("SELECT name FROM singer WHERE name LIKE 'a%'", "SELECT name FROM singer WHERE name LIKE \"a%\""),
    ("SELECT name FROM singer WHERE name NOT LIKE 'a'", "SELECT name FROM singer WHERE NOT name LIKE 'a'"),
    ("SELECT name FROM singer WHERE age IS NOT NULL", "SELECT name FROM singer WHERE age NOTNULL"),
    ("SELECT count(*) FROM singer", "SELECT COUNT(1) FROM singer"),
    ("SELECT * FROM singer", "SELECT id, name, age, city FROM singer"),
    ("SELECT name FROM singer ORDER BY age ASC", "SELECT name FROM singer ORDER BY (age)"),
    ("SELECT name, age FROM singer ORDER BY age DESC", "SELECT name, age AS a FROM singer ORDER BY a DESC"),
    ("SELECT name, age FROM singer ORDER BY age", "SELECT name, age FROM singer ORDER BY 2"),
    ("SELECT age, city FROM singer GROUP BY age, city", "SELECT age, city FROM singer GROUP BY 2, 1"),
    ("SELECT age, count(*) FROM singer GROUP BY age HAVING count(*) > 1 ORDER BY count(*)",
     "SELECT age, count(*) AS n FROM singer GROUP BY age HAVING n > 1 ORDER BY n"),
    ("SELECT name FROM singer JOIN concert ON id = singer_id WHERE year = 1",
     "SELECT name FROM concert, singer WHERE singer_id = id AND year = 1"),
    ("SELECT name FROM singer JOIN concert ON id = singer_id",
     "SELECT T2.name FROM concert T1 INNER JOIN singer T2 ON T1.singer_id = T2.id"),
    ("SELECT name FROM singer CROSS JOIN concert", "SELECT name FROM concert, singer"),
    ("SELECT name FROM singer JOIN concert USING (city)",
     "SELECT name FROM singer s JOIN concert c ON s.city = c.city"),
    ("SELECT city FROM singer NATURAL JOIN concert", "SELECT s.city FROM singer s, concert c WHERE c.city = s.city"),
    ("SELECT a.name FROM singer a JOIN singer b ON a.age < b.age",
     "SELECT y.name FROM singer x JOIN singer y ON x.age > y.age"),
    ("SELECT name FROM singer WHERE id IN (SELECT singer_id FROM concert WHERE concert.city = singer.city)",
     "SELECT name FROM singer s WHERE id IN (SELECT c.singer_id FROM concert c WHERE s.city = c.city)"),
    ("SELECT n FROM (SELECT name AS n FROM singer)", "WITH x AS (SELECT name FROM singer) SELECT name FROM x"),
    ("SELECT n FROM (SELECT name AS n FROM singer)", "WITH x(m) AS (SELECT name FROM singer) SELECT y.m FROM x AS y"),
    ("SELECT name FROM singer UNION SELECT city FROM concert ORDER BY name",
     "SELECT name AS x FROM singer UNION SELECT city FROM concert ORDER BY 1"),
    ("SELECT s.name FROM singer s LEFT JOIN concert c ON s.id = c.singer_id AND c.year > 1",
     "SELECT a.name FROM singer a LEFT OUTER JOIN concert b ON 1 < b.year AND b.singer_id = a.id"),
    ("SELECT ifnull(age, 0) FROM singer", "SELECT COALESCE(age, 0) FROM singer"),
    ("SELECT name FROM singer JOIN (concert c JOIN concert d ON c.cid = d.cid) ON id = c.singer_id",
     "SELECT name FROM concert d, singer, concert c WHERE id = c.singer_id AND d.cid = c.cid"),
    ("SELECT rowid FROM singer", "SELECT singer._rowid_ FROM singer"),
]  # fmt: skip

DIFFERENT = [
    ("SELECT name FROM singer", "SELECT city FROM singer"),
    ("SELECT name FROM singer", "SELECT DISTINCT name FROM singer"),
    ("SELECT name, age FROM singer", "SELECT age, name FROM singer"),
    ("SELECT name FROM singer WHERE age = 2", "SELECT name FROM singer WHERE age = '2'"),
    ("SELECT name FROM singer WHERE age = 1", "SELECT name FROM singer WHERE age = 1.0"),
    ("SELECT name FROM singer WHERE name = 'a'", "SELECT name FROM singer WHERE name = 'A'"),
    ("SELECT name FROM singer WHERE name = 'a'", "SELECT name FROM singer WHERE name = \"age\""),
    ("SELECT name FROM singer WHERE age > 1", "SELECT name FROM singer WHERE age >= 1"),
    ("SELECT name FROM singer WHERE age < id", "SELECT name FROM singer WHERE id < age"),
    ("SELECT name FROM singer WHERE age - id = 1", "SELECT name FROM singer WHERE id - age = 1"),
    ("SELECT name FROM singer WHERE (age = 1 OR id = 2) AND city = 'x'",
     "SELECT name FROM singer WHERE age = 1 OR (id = 2 AND city = 'x')"),
    ("SELECT name FROM singer ORDER BY age, id", "SELECT name FROM singer ORDER BY id, age"),
    ("SELECT name FROM singer ORDER BY age", "SELECT name FROM singer ORDER BY age DESC"),
    ("SELECT name FROM singer LIMIT 1", "SELECT name FROM singer LIMIT 2"),
    ("SELECT name FROM singer LIMIT 1", "SELECT name FROM singer LIMIT 1 OFFSET 1"),
    ("SELECT count(age) FROM singer", "SELECT count(*) FROM singer"),
    ("SELECT count(age) FROM singer", "SELECT count(DISTINCT age) FROM singer"),
    ("SELECT max(age) FROM singer", "SELECT min(age) FROM singer"),
    ("SELECT name FROM singer EXCEPT SELECT city FROM concert",
     "SELECT city FROM concert EXCEPT SELECT name FROM singer"),
    ("SELECT name FROM singer UNION SELECT city FROM concert",
     "SELECT name FROM singer UNION ALL SELECT city FROM concert"),
    ("SELECT name FROM singer LEFT JOIN concert ON id = singer_id",
     "SELECT name FROM singer JOIN concert ON id = singer_id"),
    ("SELECT name FROM singer LEFT JOIN concert ON id = singer_id AND year = 1",
     "SELECT name FROM singer LEFT JOIN concert ON id = singer_id WHERE year = 1"),
    ("SELECT s.name FROM singer s LEFT JOIN concert c ON id = singer_id",
     "SELECT s.name FROM concert c LEFT JOIN singer s ON id = singer_id"),
    ("SELECT * FROM singer JOIN concert ON id = singer_id", "SELECT * FROM concert JOIN singer ON id = singer_id"),
    ("SELECT a.name FROM singer a, singer b WHERE a.age < b.age",
     "SELECT b.name FROM singer a, singer b WHERE a.age < b.age"),
    ("SELECT name FROM singer WHERE id IN (SELECT cid FROM concert WHERE concert.city = singer.city)",
     "SELECT name FROM singer WHERE id IN (SELECT cid FROM concert WHERE concert.city = concert.city)"),
    ("SELECT -age AS age FROM singer ORDER BY age", "SELECT -age AS age FROM singer ORDER BY age + 0"),
    ("SELECT age % 2 AS city FROM singer GROUP BY city", "SELECT age % 2 AS x FROM singer GROUP BY x"),
    ("SELECT CAST(age AS TEXT) FROM singer", "SELECT CAST(age AS INT) FROM singer"),
    ("SELECT name COLLATE nocase = city COLLATE binary FROM singer",
     "SELECT city COLLATE binary = name COLLATE nocase FROM singer"),
    ("SELECT 1 FROM singer HAVING TRUE", "SELECT 1 FROM singer"),
    ("SELECT name FROM singer WHERE name = 'a' COLLATE nocase", "SELECT name FROM singer WHERE name = 'a'"),
]  # fmt: skip

WITHOUT_FORM = [
    "",
    "SELECT (",
    "SELECT nothing FROM singer",
    "SELECT name FROM nobody",
    "SELECT city FROM singer JOIN concert ON id = singer_id",
    "SELECT name FROM singer ORDER BY random()",
    "SELECT name FROM singer WHERE +age = '1'",
    "SELECT CAST(name AS STRING) FROM singer",
    "SELECT mod(age, 2) FROM singer",
    "SELECT 'a' 'b'",
    "SELECT name FROM singer WHERE id IN ((SELECT cid FROM concert))",
    "SELECT \"count(*)\" FROM (SELECT count(*) FROM singer)",
    "WITH RECURSIVE x AS (SELECT 1 UNION SELECT * FROM x) SELECT * FROM x",
    "SELECT name FROM singer LIMIT ?",
    "SELECT name FROM singer LEFT JOIN (concert c JOIN concert d ON c.cid = d.cid) ON id = c.singer_id",
    "SELECT name FROM singer, concert c RIGHT JOIN concert d ON c.cid = d.cid",
    "SELECT name FROM singer FULL JOIN concert USING (city)",
    "SELECT name FROM singer TABLESAMPLE (10)",
    "SELECT value FROM json_each('[1]')",
    "SELECT 1 FROM singer GROUP BY 7",
    "SELECT name FROM singer UNION SELECT city FROM concert ORDER BY age",
]  # fmt: skip


def form(query: str, dialect: str = "sqlite") -> str | None:
    return canonical_form(query, SCHEMA, dialect)


@pytest.mark.parametrize(("one", "other"), EQUAL)
def test_equivalent_spellings_have_one_form(one: str, other: str) -> None:
    assert form(one) is not None
    assert form(one) == form(other)
    assert query_digest(one, SCHEMA, "sqlite") == query_digest(other, SCHEMA, "sqlite")


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_queries_of_different_meaning_have_different_forms(one: str, other: str) -> None:
    assert None not in (form(one), form(other))
    assert form(one) != form(other)


@pytest.mark.parametrize("query", WITHOUT_FORM)
def test_what_cannot_be_trusted_has_no_form(query: str) -> None:
    assert form(query) is None


def test_without_a_form_the_digest_goes_by_the_tokens() -> None:
    one, same, other = (
        query_digest(query, SCHEMA, "sqlite")
        for query in ("SELECT nothing  FROM singer", "select NOTHING from Singer;", "SELECT everything FROM singer")
    )
    assert one == same != other


@pytest.fixture(scope="module")
def connection() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as opened:
        opened.executescript(
            """CREATE TABLE singer (id INTEGER PRIMARY KEY, name TEXT, age INT, city TEXT);
            CREATE TABLE concert (cid INT, singer_id INT, year INT, city TEXT);
            INSERT INTO singer VALUES (1, 'a', 1, 'x'), (2, 'b', 2, 'y'), (3, 'A', NULL, 'x'), (4, 'ab', 2, NULL);
            INSERT INTO concert VALUES (1, 1, 1, 'x'), (2, 1, 2, 'y'), (3, 2, 1, 'x'), (4, 9, NULL, 'y');"""
        )
        yield opened


@pytest.mark.parametrize(("one", "other"), EQUAL)
def test_equal_forms_have_equal_results(connection: sqlite3.Connection, one: str, other: str) -> None:
    results = [sorted(map(repr, connection.execute(query))) for query in (one, other)]
    assert results[0] == results[1]


NAMES = ["age", "s.id", "name", "year", "c.city", "singer_id", '"x"', "1", "'1'", "NULL"]


def expressions(leaves: list[str]) -> st.SearchStrategy[str]:
    return st.recursive(
        st.sampled_from(leaves),
        lambda inner: st.one_of(
            st.tuples(inner, st.sampled_from("= <> < >= AND OR + - || IS".split()), inner).map(
                lambda parts: f"({' '.join(parts)})"
            ),
            inner.map(lambda operand: f"(NOT {operand})"),
            st.tuples(inner, inner, inner).map(lambda parts: "({} BETWEEN {} AND {})".format(*parts)),
            st.tuples(inner, inner, inner).map(lambda parts: "({} IN ({}, {}))".format(*parts)),
        ),
        max_leaves=3,
    )


SELECTS = st.tuples(
    expressions(NAMES), expressions([*NAMES, "z"]), st.sampled_from(["JOIN", "LEFT JOIN"]), st.booleans()
).map(
    lambda parts: (
        f"SELECT age AS z, {parts[0]} FROM {'concert c' if parts[3] else 'singer s'} "
        f"{parts[2]} {'singer s' if parts[3] else 'concert c'} ON s.id = c.singer_id WHERE {parts[1]}"
    )
)


@settings(max_examples=100, deadline=None)
@given(queries=st.lists(SELECTS, min_size=2, max_size=12))
def test_random_queries_of_equal_forms_have_equal_results(connection: sqlite3.Connection, queries: list[str]) -> None:
    results: dict[str, list[str]] = {}
    for query in queries:
        text = form(query)
        assert text is not None
        result = sorted(map(repr, connection.execute(query)))
        assert results.setdefault(text, result) == result


CTES = "WITH x0 AS (SELECT * FROM singer), " + ", ".join(
    f"x{n} AS (SELECT a.* FROM x{n - 1} a, x{n - 1} b UNION SELECT * FROM x{n - 1})" for n in range(1, 30)
)


@pytest.mark.parametrize(
    "query",
    [
        f"{CTES} SELECT * FROM x29",
        "SELECT " + ", ".join(["*"] * 900) + " FROM singer",
        "SELECT 1 FROM singer a, singer b WHERE EXISTS (" * 20 + "SELECT 1" + ")" * 20,
        "SELECT 1 FROM singer a, singer b, singer c, singer d WHERE a.id = 1 AND EXISTS (" * 10 + "SELECT 1" + ")" * 10,
        "SELECT '" + "x" * 5_000 + "' AS a FROM singer ORDER BY " + ", ".join(["a"] * 900),
        "SELECT name FROM singer WHERE " + " AND ".join(["age = 1"] * 490),
        "SELECT " + "-" * 300 + "1",
        "SELECT '\ud800' FROM singer",
    ],
)
@pytest.mark.parametrize("dialect", ["sqlite", "duckdb", "postgres"])
def test_a_hostile_query_costs_a_bounded_amount_of_work(
    monkeypatch: pytest.MonkeyPatch, query: str, dialect: str
) -> None:
    written = 0
    write = ExpressionForms.expression

    def count(self: ExpressionForms, *arguments: object) -> str:
        nonlocal written
        written += 1
        return write(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(ExpressionForms, "expression", count)
    text = form(query, dialect)
    assert text is None or len(text) <= 60_000
    assert written <= WRITTEN_NODES + 1
    query_digest(query, SCHEMA, dialect)


def test_the_dialects_differ_in_quoted_names_and_aliases() -> None:
    assert form('SELECT "NAME" FROM singer', "duckdb") == form("SELECT name FROM singer", "duckdb")
    assert form('SELECT "NAME" FROM singer', "postgres") is None
    assert form("SELECT NAME FROM singer", "postgres") == form('SELECT "name" FROM "singer"', "postgres") is not None
    assert form("SELECT age AS z FROM singer WHERE z > 1", "duckdb") is not None
    assert form("SELECT age AS z FROM singer WHERE z > 1", "postgres") is None
    assert form("SELECT age FROM singer AS s (age)", "postgres") is None
    assert form("SELECT age + 1 AS z, z + 1 FROM singer", "duckdb") is not None
    assert form("SELECT age + 1 AS z, z + 1 FROM singer", "sqlite") is None
    assert form('SELECT name FROM singer WHERE name = "x"', "duckdb") is None
