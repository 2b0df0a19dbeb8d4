"""Intermediate queries that are written to break the judge: it never raises, and stays within its bounds."""

import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.layout import Tags
from envs.sql.databases.database import Database
from envs.sql.databases.execution import ExecutionLimits
from envs.sql.environment import SqlEnvironment
from envs.sql.executor.job import Inspection, InspectJob, Unjudged
from envs.sql.executor.order import crashed, overdue
from envs.sql.executor.settings import ExecutorSettings
from envs.sql.judge import SqlVerdict
from envs.sql.parsing.data_dependence import depends_on_data
from envs.sql.task import SqlTask
from envs.transcript import Transcript

GOLD = "SELECT name FROM singer WHERE age = 30"
TAGS = Tags(reasoning="think", step="step", observation="result", answer="answer")
SETTINGS = ExecutorSettings(limits=ExecutionLimits(seconds=0.3), suite=None, workers=1)
ENVIRONMENT = SqlEnvironment(executor=SETTINGS, tags=TAGS, max_steps=4)
LONG = "printf('%.*c', 90000, 'a')"
# Each call takes tens of milliseconds inside C, where SQLite does not look at the clock.
STUBBORN = "SELECT " + " + ".join([f"instr({LONG}, printf('%.*c', 45000, 'a') || 'b')"] * 190)
SCHEMA = {"singer": ("singer_id", "name", "age", "home town"), "concert": ("year", "venue", "singer_id")}

HOSTILE = {
    "a megabyte of text": "x" * 1_000_000,
    "a megabyte of fences": "```sql " * 150_000,
    "a megabyte of opening tags": "<step>" * 160_000,
    "a tag in a tag": "<step><step>SELECT 1</step>",
    "an answer in a step": "<answer>SELECT 1</answer>",
    "a literal that looks like a tag": "SELECT '<answer>' FROM singer",
    "NUL": "SELECT name\0 FROM singer",
    "a lone surrogate": "SELECT '\ud800' FROM singer",
    "attach": "ATTACH DATABASE '/tmp/stolen.sqlite' AS stolen",
    "a pragma": "PRAGMA writable_schema = 1",
    "a file": "SELECT readfile('/etc/passwd')",
    "an extension": "SELECT load_extension('evil')",
    "deep parentheses": "SELECT " + "(" * 3_000 + "1" + ")" * 3_000,
    "deep subqueries": "SELECT * FROM " + "(SELECT * FROM " * 200 + "singer" + ")" * 200,
    "many unions": " UNION ".join(["SELECT name FROM singer"] * 400),
    "columns that multiply": "SELECT * FROM " + "(SELECT * FROM " * 12 + "singer a, singer b" + ") x, singer y" * 12,
    "a bomb of text": "SELECT hex(hex(hex(hex(printf('%.*c', 90000, 'a')))))",
    "an endless recursion": "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c",
    "a call that never looks up": STUBBORN,
}


def task_on(database: Path) -> SqlTask:
    return SqlTask(id="1", question="?", database=Database.at(database), gold=GOLD)


def judge(database: Path, text: str) -> SqlVerdict:
    (verdict,) = ENVIRONMENT.judge([(task_on(database), Transcript.of(text))])
    assert isinstance(verdict, SqlVerdict)
    return verdict


@pytest.mark.parametrize("query", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_step_spoils_neither_the_answer_nor_the_steps_beside_it(database: Path, query: str) -> None:
    before = database.read_bytes()
    started = time.monotonic()
    steps = f"<step>SELECT age FROM singer</step><step>{query}</step>"
    verdict = judge(database, f"{steps}<answer>{GOLD}</answer>")
    assert time.monotonic() - started < 15.0
    assert verdict.unjudged is None and verdict.is_correct
    assert verdict.queries[0].is_informative and not verdict.queries[0].is_repeat
    assert 2 <= len(verdict.queries) <= 4
    assert database.read_bytes() == before


def test_of_thousands_of_steps_the_first_are_run_and_all_are_counted(database: Path) -> None:
    steps = "".join(f"<step>SELECT age + {number} FROM singer</step>" for number in range(20_000))
    started = time.monotonic()
    verdict = judge(database, f"{steps}<answer>{GOLD}</answer>")
    assert time.monotonic() - started < 15.0
    assert [query.text for query in verdict.queries] == [f"SELECT age + {number} FROM singer" for number in range(4)]
    assert len(verdict.layout.steps) == 20_000


def test_a_query_that_ends_its_worker_is_a_timeout_and_repeats_itself_by_its_text(database: Path) -> None:
    verdict = judge(database, f"<step>{STUBBORN}</step><step>{STUBBORN};</step><answer>{GOLD}</answer>")
    assert [query.error for query in verdict.queries] == ["timeout", "timeout"]
    assert [query.is_repeat for query in verdict.queries] == [False, True]
    assert verdict.is_correct


def test_a_query_that_crashes_the_database_has_failed_and_is_not_unjudged(database: Path) -> None:
    job = InspectJob(database=Database.at(database), query="SELECT 1")
    assert crashed(job, 11) == Inspection(error="runtime error")
    assert overdue(job, "query", 0.3) == Inspection(error="timeout")
    assert overdue(job, "database", 0.3) == Unjudged(reason="database: deadline")


def test_a_result_of_any_size_comes_back_as_a_few_facts(database: Path) -> None:
    query = f"SELECT a.name, {LONG} FROM singer a, singer b, singer c"
    (outcome,) = ENVIRONMENT.pool.run([InspectJob(database=Database.at(database), query=query)])
    assert isinstance(outcome, Inspection)
    assert outcome.row_count == 64 and outcome.is_informative and outcome.error is None
    assert outcome.names == ("singer", "singer.name")


def test_the_answer_that_ends_its_worker_leaves_its_steps_judged(database: Path) -> None:
    verdict = judge(database, f"<step>SELECT age FROM singer</step><answer>{STUBBORN}</answer>")
    assert (verdict.error, verdict.is_correct, verdict.unjudged) == ("timeout", False, None)
    assert verdict.queries[0].is_informative and not verdict.queries[0].repeats_answer


@given(st.text(max_size=60), st.lists(st.sampled_from(["<step>", "</step>", "<answer>", "</answer>", "SELECT 1"])))
@settings(max_examples=60, deadline=None)
def test_any_text_is_judged(
    original: bytes, tmp_path_factory: pytest.TempPathFactory, text: str, parts: list[str]
) -> None:
    path = tmp_path_factory.getbasetemp() / "hostile.sqlite"
    if not path.exists():
        path.write_bytes(original)
    verdict = judge(path, f"<step>{text}</step>" + text.join(parts))
    assert verdict.unjudged is None
    assert len(verdict.queries) == min(4, len(verdict.layout.steps))


@pytest.mark.parametrize("query", HOSTILE.values(), ids=HOSTILE)
def test_whether_a_hostile_query_depends_on_the_data_is_told_at_once(query: str) -> None:
    started = time.monotonic()
    assert depends_on_data(query, SCHEMA, "sqlite") in (True, False)
    assert time.monotonic() - started < 5.0


def test_references_that_multiply_are_each_followed_once() -> None:
    query = "SELECT 1 AS x"
    for number in range(40):
        query = f"SELECT t{number}.x + t{number}.x AS x FROM ({query}) AS t{number}"
    started = time.monotonic()
    assert not depends_on_data(query, SCHEMA, "sqlite")
    assert depends_on_data(query.replace("SELECT 1 AS x", "SELECT age AS x FROM singer"), SCHEMA, "sqlite")
    assert time.monotonic() - started < 5.0
