"""The check of a query's beginning: it never refuses one that goes on to a query, and refuses what nothing can mend."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from envs.errors import ConfigurationError
from envs.sql.databases.database import Database
from envs.sql.databases.execution import DatabaseFaultError
from envs.sql.prefix_check import SqlPrefixCheck

WHOLE = [
    "SELECT name FROM singer",
    "  -- names\nselect /* all */ name from singer where age>=18;",
    "VALUES (1), (2)",
    "SELECT s.name FROM main . singer AS s JOIN main.concert ON 1 = 1 AND s.age = year WHERE s.age > 1",
    "SELECT nam FROM (SELECT name AS nam FROM singer)",
    "SELECT (SELECT age FROM concert WHERE venue = name) FROM singer",
    "SELECT t.venue FROM singer AS t2, concert AS t WHERE t.year = 2020 ORDER BY t.year LIMIT 1",
    "SELECT count(*) AS number, venue FROM concert GROUP BY venue HAVING number > 1 ORDER BY number DESC",
    "SELECT singer_id FROM singer JOIN concert USING (singer_id) WHERE venue LIKE 'h%' ESCAPE '\\'",
    "SELECT singer_id FROM singer NATURAL JOIN concert",
    "SELECT name, \"home town\", [group], `group`, 'it''s', \"text\", x'41' FROM singer, \"order\""
    " WHERE \"order\".\"group\" = 1",
    "SELECT 1e+5, .5, 0x1F, 1 <> 2, 1 == 1, 'a' || 'b', -age, - -age FROM singer",
    "WITH a AS (SELECT * FROM b), b AS (SELECT 1 AS one) SELECT one FROM a",
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3) SELECT i FROM n",
    "SELECT * FROM (WITH b AS (SELECT 1 AS one) SELECT one FROM b)",
    "SELECT name FROM singer UNION SELECT venue FROM concert EXCEPT SELECT 'x' ORDER BY 1",
    "SELECT rank() OVER (ORDER BY age), count(*) FILTER (WHERE age > 1) OVER w FROM singer"
    " WINDOW w AS (PARTITION BY name)",
    "SELECT over, filter, window FROM (SELECT 1 AS over, 2 AS filter, 3 AS window) WHERE window = 3 AND over = 1",
    "SELECT CASE WHEN age > 1 THEN CASE name WHEN 'a' THEN 1 ELSE 2 END END FROM singer"
    " WHERE age IS NOT DISTINCT FROM 1",
    "SELECT name FROM singer WHERE age NOT BETWEEN 1 AND 2 AND name NOT IN ('a', 'b') OR EXISTS (SELECT 1 FROM adult)",
    "SELECT CAST(age AS TEXT), name COLLATE NOCASE, iif(age, 1, 2) FROM singer AS s"
    " LEFT OUTER JOIN concert c ON c.year = s.age",
    "SELECT value FROM json_each('[1]') WHERE key = 0",
    "SELECT rowid, oid FROM singer LIMIT 1 OFFSET 2",
    "SELECT cid FROM pragma_table_info('singer')",
]  # fmt: skip

HOPELESS = [
    "Sure",
    "UPDATE ",
    "PRAGMA ",
    "```sql\nSELECT",
    "SELECT FROM ",
    "SELECT name name name ",
    "SELECT name FROM singer WHERE WHERE ",
    "SELECT name FROM sinner WHERE ",
    "SELECT name FROM sinner AS s, ",
    "SELECT name FROM singer WHERE age IN (SELECT age FROM sinner WHERE ",
    "SELECT nosuch(1) ",
    "SELECT nme FROM singer WHERE age ",
    "SELECT s.nme FROM singer AS s ORDER BY age, ",
    "SELECT name FROM singer WHERE nme = 'a' AND ",
    "SELECT singer_id FROM singer JOIN concert WHERE 1 ",
    "WITH a AS (SELECT 1) SELECT * FROM b WHERE ",
    "SELECT name FROM singer GROUP BY nme HAVING ",
    "SELECT name FROM singer) ",
    "SELECT name FROM singer; SELECT ",
]


@pytest.fixture
def check(database: Path) -> Iterator[SqlPrefixCheck]:
    made = SqlPrefixCheck(Database.at(database))
    yield made
    made.close()


@pytest.mark.parametrize("query", WHOLE)
def test_no_beginning_of_a_query_is_refused(check: SqlPrefixCheck, query: str) -> None:
    assert check(query, is_whole=True)
    for length in range(len(query) + 1):
        assert check(query[:length], is_whole=False), query[:length]


@pytest.mark.parametrize("text", HOPELESS)
def test_what_nothing_can_mend_is_refused_and_stays_so(check: SqlPrefixCheck, text: str) -> None:
    assert not check(text, is_whole=False)
    assert not check(text, is_whole=True)


@pytest.mark.parametrize("text", ["", "SELECT", "SELECT name FROM sing", "SELECT nme FROM singer", "SELECT 'a"])
def test_what_is_unfinished_is_no_query_yet(check: SqlPrefixCheck, text: str) -> None:
    assert check(text, is_whole=False) and not check(text, is_whole=True)


def test_gold_queries_pass_and_lose_their_way_when_a_name_is_wrong(
    dataset_directory: Callable[[str, str], Path],
) -> None:
    spider = dataset_directory("spider", "dev.json")
    rows = json.loads((spider / "dev.json").read_text())
    golds = sorted({(row["db_id"], row["query"]) for row in rows if " FROM " in row["query"]})
    refused = 0
    chosen = Random(0).sample(golds, 40)
    for name, query in chosen:
        check = SqlPrefixCheck(Database.at(spider / "database" / name / f"{name}.sqlite"))
        assert check(query, is_whole=True)
        assert all(check(query[:length], is_whole=False) for length in range(len(query)))
        head = query.partition(" FROM ")[0]
        refused += not check(f"{head} FROM nowhere WHERE ", is_whole=False)
        check.close()
    assert refused == len(chosen)


def test_nothing_is_run_and_hostile_texts_are_only_texts(check: SqlPrefixCheck, database: Path) -> None:
    before = database.read_bytes()
    for text in (
        "SELECT 1; DROP TABLE singer",
        "SELECT load_extension('x') ",
        "WITH a AS (SELECT 1) DELETE FROM singer ",
        "SELECT '\0' ",
        "SELECT '\ud800' ",
        "SELECT ?1, :a, @b, $c ",
        "SELECT " + "(" * 3000,
        "SELECT 1 " + "+1" * 4000,
    ):
        for is_whole in (False, True):
            assert check(text, is_whole=is_whole) in (False, True)
    assert database.read_bytes() == before


def test_expressions_that_grow_without_end_are_not_looked_at(check: SqlPrefixCheck) -> None:
    steps = ", ".join(f"t{step} AS (SELECT * FROM t{step - 1}, t{step - 1} AS u{step})" for step in range(1, 60))
    started = time.monotonic()
    assert check(f"WITH t0 AS (SELECT 1 AS a), {steps} SELECT * FROM nowhere WHERE ", is_whole=False)
    assert time.monotonic() - started < 1


def test_other_databases_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="SQLite alone"):
        SqlPrefixCheck(Database(kind="duckdb", location="x.duckdb"))
    with pytest.raises(DatabaseFaultError, match="cannot be opened"):
        SqlPrefixCheck(Database.at(tmp_path / "absent.sqlite"))
