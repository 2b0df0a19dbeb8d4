"""Intermediate queries return the same each time: what hangs on chance or the clock is refused, and nothing else is."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.spider import SpiderReader
from envs.layout import Tags
from envs.sql.databases.database import Database
from envs.sql.environment import SqlEnvironment
from envs.sql.executor.settings import ExecutorSettings
from envs.sql.judge import SqlVerdict
from envs.sql.parsing.repeatability import volatile_part
from envs.sql.task import SqlTask
from envs.transcript import Transcript

TAGS = Tags(step="step", observation="result", answer="answer")
ENVIRONMENT = SqlEnvironment(tags=TAGS, executor=ExecutorSettings(workers=1, suite=None))
ALL = ("sqlite", "duckdb", "postgres")
VOLATILE = [
    ("SELECT random()", ALL),
    ("SELECT name FROM singer ORDER BY RANDOM () LIMIT 2", ALL),
    ('SELECT "random"()', ALL),
    ("SELECT random() /* for ever", ALL),
    ("SELECT CURRENT_DATE", ALL),
    ("SELECT count(*) FROM singer WHERE current_timestamp > '2020'", ALL),
    ("SELECT date('now')", ("sqlite",)),
    ("SELECT strftime('%Y', \"NOW\") - age FROM singer", ("sqlite",)),
    ("SELECT datetime()", ("sqlite",)),
    ("SELECT strftime('%Y')", ("sqlite",)),
    ("WITH t AS (SELECT 'now' AS n) SELECT julianday(n) FROM t", ("sqlite",)),
    ("SELECT now()", ("duckdb", "postgres")),
    ("SELECT gen_random_uuid()", ("duckdb", "postgres")),
    ("SELECT age(TIMESTAMP '2020-01-01')", ("duckdb", "postgres")),
    ("SELECT localtimestamp", ("duckdb", "postgres")),
    ("SELECT today()", ("duckdb",)),
    ("SELECT name FROM singer USING SAMPLE 1", ("duckdb",)),
    ("SELECT name FROM singer TABLESAMPLE 50%", ("duckdb",)),
    ("SELECT clock_timestamp()", ("postgres",)),
    ("SELECT 'now'::timestamp", ("postgres",)),
    ("SELECT DATE 'today'", ("postgres",)),
    ("SELECT CAST(' tomorrow 12:00' AS timestamp)", ("postgres",)),
]
REPEATABLE = [
    ("SELECT name FROM singer WHERE name = 'random()' -- current_date", ALL),
    ("SELECT random, now FROM singer", ALL),
    ("SELECT count(*) FROM singer WHERE age IN (SELECT max(age) FROM singer)", ALL),
    ('SELECT "current_date" FROM concert', ALL),
    ("SELECT date('2020-01-01'), strftime('%Y', year) FROM concert", ("sqlite",)),
    ("SELECT name FROM singer WHERE name = 'now'", ("sqlite", "duckdb")),
    ("SELECT age(TIMESTAMP '2020-01-01', TIMESTAMP '2021-01-01')", ("duckdb", "postgres")),
    ("SELECT name FROM singer WHERE name = 'today show'", ("postgres",)),
    ("SELECT sample FROM singer", ALL),
    ("not SQL at all '", ALL),
    ("SELECT strftime(lower('%Y'), upper(name)), date((SELECT min(a) FROM t)) FROM t)(", ("sqlite",)),
]


def cases(table: list[tuple[str, tuple[str, ...]]]) -> list[tuple[str, str]]:
    return [(query, dialect) for query, dialects in table for dialect in dialects]


def observed(database: Database, query: str) -> str:
    task = SqlTask(id="1", question="?", database=database, gold="SELECT 1")
    observation = ENVIRONMENT.observe(task, Transcript.of(f"<step>{query}</step>"))
    assert observation is not None
    return observation.text.removeprefix("<result>\n").removesuffix("\n</result>\n")


@pytest.mark.parametrize(("query", "dialect"), cases(VOLATILE))
def test_what_hangs_on_chance_or_the_clock_is_found(query: str, dialect: str) -> None:
    assert volatile_part(query, dialect) is not None


@pytest.mark.parametrize(("query", "dialect"), cases(REPEATABLE))
def test_what_only_looks_like_it_is_not(query: str, dialect: str) -> None:
    assert volatile_part(query, dialect) is None


@given(st.text(), st.sampled_from(ALL))
def test_no_text_raises(text: str, dialect: str) -> None:
    assert (
        volatile_part(f"SELECT random() -- {text.split(chr(10))[0]}", dialect) == "random()" or not text.isprintable()
    )
    volatile_part(text, dialect)


@pytest.mark.parametrize("unit", ["strftime(1,", "strftime(strftime(1),", "(", "date(a) "])
def test_a_long_text_is_looked_at_once(unit: str) -> None:
    start = time.perf_counter()
    volatile_part(unit * (20_000 // len(unit)) + ",1)" * 3_000, "sqlite")
    assert time.perf_counter() - start < 2


def test_an_intermediate_query_that_hangs_on_chance_is_refused_with_its_reason(database: Path) -> None:
    query = "SELECT name FROM singer ORDER BY RANDOM() LIMIT 2"
    file = Database.at(database)
    said = "error: not repeatable: RANDOM() is not available here; a query must return the same each time"
    assert observed(file, query) == said
    assert observed(file, "SELECT name FROM singer WHERE age < date('now')").startswith("error: not repeatable: 'now'")
    assert observed(file, "SELECT random(); SELECT 2").startswith("error: ")
    task = SqlTask(id="1", question="?", database=file, gold="SELECT name FROM singer")
    (verdict,) = ENVIRONMENT.judge([(task, Transcript.of(f"<step>{query}</step><answer>{query}</answer>"))])
    assert isinstance(verdict, SqlVerdict)
    assert [(step.error, step.is_executed) for step in verdict.queries] == [("not repeatable", False)]


def test_an_answer_may_ask_for_the_date(database: Path) -> None:
    gold = "SELECT name FROM singer WHERE age < strftime('%Y', 'now')"
    task = SqlTask(id="1", question="?", database=Database.at(database), gold=gold)
    (verdict,) = ENVIRONMENT.judge([(task, Transcript.of(f"<answer>{gold}</answer>"))])
    assert verdict.is_correct and verdict.unjudged is None


@pytest.mark.parametrize("kind", ["duckdb", "postgres"])
def test_other_databases_refuse_the_same(kind: str, request: pytest.FixtureRequest) -> None:
    if kind == "duckdb":
        database = Database.at(request.getfixturevalue("duckdb_file"))
    else:
        database = request.getfixturevalue("postgres_database")
    for query in ("SELECT random()", "SELECT current_date", "SELECT now()"):
        assert observed(database, query).startswith("error: not repeatable: ")
    assert observed(database, "SELECT count(*) FROM singer").startswith("1 row\n")


def test_few_golds_are_refused(dataset_directory: Callable[[str, str], Path]) -> None:
    tasks = SpiderReader(path=str(dataset_directory("spider", "tables.json"))).read("heldout").tasks
    assert not [task.gold for task in tasks if volatile_part(task.gold, "sqlite")]
