"""What intermediate queries are worth: run, informative, repeated, and what of the gold they read."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.spider import SpiderReader
from envs.layout import Tags
from envs.sql.databases.database import Database
from envs.sql.databases.execution import ExecutionLimits
from envs.sql.environment import SqlEnvironment
from envs.sql.executor.settings import ExecutorSettings
from envs.sql.exploration import IntermediateQuery
from envs.sql.judge import SqlVerdict
from envs.sql.task import SqlTask
from envs.transcript import Segment, Transcript

GOLD = "SELECT name FROM singer WHERE age = 30"
"""Reads three names: singer, singer.name, singer.age."""
TAGS = Tags(reasoning="think", step="step", observation="result", answer="answer")
SETTINGS = ExecutorSettings(limits=ExecutionLimits(seconds=0.5), suite=None, workers=1)
ENVIRONMENT = SqlEnvironment(executor=SETTINGS, tags=TAGS)


def transcript(*steps: str, answer: str = GOLD) -> str:
    return "".join(f"<step>{step}</step>" for step in steps) + f"<answer>{answer}</answer>"


def judge(database: Path, text: str | Transcript, gold: str = GOLD) -> SqlVerdict:
    task = SqlTask(id="1", question="?", database=Database.at(database), gold=gold)
    told = text if isinstance(text, Transcript) else Transcript.of(text)
    (verdict,) = ENVIRONMENT.judge([(task, told)])
    assert isinstance(verdict, SqlVerdict)
    return verdict


def explore(database: Path, *steps: str, gold: str = GOLD, answer: str = GOLD) -> tuple[IntermediateQuery, ...]:
    verdict = judge(database, transcript(*steps, answer=answer), gold)
    assert verdict.unjudged is None, verdict.unjudged
    return verdict.queries


def test_the_steps_are_judged_in_order_beside_the_answer(database: Path) -> None:
    verdict = judge(database, transcript("SELECT age FROM singer", "```sql\nSELECT venue FROM concert;\n```"))
    assert verdict.is_correct and verdict.answer == GOLD
    first, second = verdict.queries
    assert (first.text, second.text) == ("SELECT age FROM singer", "SELECT venue FROM concert")
    assert first.is_executed and not first.is_empty and first.is_informative and first.error is None
    assert first.names == ("singer", "singer.age")
    assert second.names == ("concert", "concert.venue")
    assert (first.touches, second.touches) == (pytest.approx(2 / 3), 0.0)


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("", "empty"),
        (" ;; ", "empty"),
        ("look at the singers", "not SQL"),
        ("SELECT 1; SELECT 2", "several statements"),
        ("DELETE FROM singer", "not a read"),
        ("ATTACH 'x.sqlite' AS x", "not a read"),
        ("PRAGMA journal_mode = wal", "not a read"),
        ("SELECT * FROM nobody", "unknown table"),
        ("SELECT shoe_size FROM singer", "unknown column"),
        ("SELECT count(*) FROM " + ", ".join(f"singer AS t{n}" for n in range(30)), "timeout"),
        ("SELECT '" + "x" * 30_000 + "'", "too complex"),
    ],
)
def test_a_query_that_fails_is_not_executed_and_changes_nothing_else(database: Path, query: str, error: str) -> None:
    verdict = judge(database, transcript(query))
    assert verdict.is_correct and verdict.unjudged is None
    (asked,) = verdict.queries
    assert asked.error == error
    assert not (asked.is_executed or asked.is_empty or asked.is_informative)
    assert asked.adds == 0.0


@pytest.mark.parametrize(
    "query",
    [
        "SELECT 1",
        "SELECT 1 FROM singer",
        "SELECT 'Ada' AS name FROM singer",
        "SELECT * FROM singer WHERE 0",
        "SELECT * FROM singer LIMIT 0",
        "SELECT NULL FROM singer",
        "SELECT max(age) FROM singer WHERE 0",
        "SELECT count(*) FROM singer WHERE 1 = 0",
        "SELECT \"home town\" FROM singer WHERE name = 'Cid'",
        "SELECT x FROM (SELECT 1 AS x, name FROM singer)",
        "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 5) SELECT x FROM c",
        "EXPLAIN SELECT name, age FROM singer",
        "EXPLAIN QUERY PLAN SELECT name, age FROM singer",
        "PRAGMA table_info(singer)",
        "SELECT sql FROM sqlite_master",
    ],
)
def test_a_result_that_says_nothing_of_the_data_is_not_informative(database: Path, query: str) -> None:
    (asked,) = explore(database, query)
    assert asked.is_executed and not asked.is_informative
    assert asked.adds == 0.0


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM singer",
        "SELECT count(*) FROM concert",
        "SELECT min(age), max(age) FROM singer",
        "WITH t AS (SELECT name AS n FROM singer) SELECT n FROM t LIMIT 1",
        "SELECT name FROM adult",
        "SELECT EXISTS (SELECT 1 FROM singer WHERE name = 'Zoe')",
        "SELECT 1 UNION SELECT age FROM singer",
    ],
)
def test_a_result_that_the_data_decide_is_informative(database: Path, query: str) -> None:
    (asked,) = explore(database, query)
    assert asked.is_executed and asked.is_informative


def test_an_empty_result_is_executed_and_empty(database: Path) -> None:
    (asked,) = explore(database, "SELECT name FROM singer WHERE age > 90")
    assert asked.is_executed and asked.is_empty and not asked.is_informative
    assert asked.touches == 1.0 and asked.adds == 0.0


@pytest.mark.parametrize(
    "respelled",
    [
        "select  NAME\nfrom Singer where AGE > 20",
        "SELECT T1.name FROM singer AS T1 WHERE T1.age > 20",
        "SELECT name AS who FROM singer WHERE 20 < age",
        "SELECT name FROM singer WHERE age > 20 -- again",
        'SELECT "name" FROM "singer" WHERE (age > 20)',
    ],
)
def test_another_spelling_of_an_earlier_query_is_a_repeat(database: Path, respelled: str) -> None:
    first, other, again = explore(
        database, "SELECT name FROM singer WHERE age > 20", "SELECT age FROM singer", respelled
    )
    assert (first.is_repeat, other.is_repeat, again.is_repeat) == (False, False, True)


def test_conditions_in_another_order_are_a_repeat(database: Path) -> None:
    conditions = ("age > 20 AND name <> 'Ada'", "name <> 'Ada' AND age > 20")
    queries = explore(database, *(f"SELECT name FROM singer WHERE {condition}" for condition in conditions))
    assert [query.is_repeat for query in queries] == [False, True]


@pytest.mark.parametrize("failing", ["SELECT nme FROM singer", "", "garbage", "DROP TABLE singer"])
def test_a_failing_query_written_again_is_a_repeat(database: Path, failing: str) -> None:
    first, again = explore(database, failing, f" {failing} ")
    assert (first.is_repeat, again.is_repeat) == (False, True)


@pytest.mark.parametrize(
    "other",
    [
        "SELECT name FROM singer WHERE age > 21",
        "SELECT name FROM singer WHERE age < 20",
        "SELECT DISTINCT name FROM singer WHERE age > 20",
        "SELECT name FROM singer",
    ],
)
def test_a_different_query_is_no_repeat(database: Path, other: str) -> None:
    _, asked = explore(database, "SELECT name FROM singer WHERE age > 20", other)
    assert not asked.is_repeat


def test_a_query_that_is_the_answer_says_so(database: Path) -> None:
    first, second = explore(database, "SELECT s.name FROM singer s WHERE s.age = 30", "SELECT age FROM singer")
    assert (first.repeats_answer, second.repeats_answer) == (True, False)
    (asked,) = explore(database, GOLD, answer="")
    assert not asked.repeats_answer


def test_what_a_query_adds_is_what_no_earlier_one_has_shown(database: Path) -> None:
    steps = ("SELECT 1 FROM singer WHERE age > name", "SELECT age FROM singer", "SELECT age + 1 FROM singer", GOLD)
    constant, first, padding, last = explore(database, *steps)
    assert constant.touches == 1.0 and constant.adds == 0.0
    assert first.adds == pytest.approx(2 / 3)
    assert padding.adds == 0.0 and padding.touches == first.touches
    assert last.repeats_answer and last.adds == 0.0
    _, _, _, last = explore(database, *steps, answer="SELECT name FROM singer")
    assert not last.repeats_answer and last.adds == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    "disguised",
    [
        f"{GOLD} LIMIT 9",
        f"{GOLD} ORDER BY name",
        "SELECT DISTINCT name FROM singer WHERE 30 = age LIMIT 5 OFFSET 0",
        f"SELECT * FROM ({GOLD})",
        f"SELECT count(*) FROM ({GOLD} LIMIT 9)",
        f"WITH a AS ({GOLD}) SELECT * FROM a WHERE name <> 'x'",
        f"{GOLD} UNION SELECT venue FROM concert",
        f"SELECT venue FROM concert WHERE year NOT IN ({GOLD})",
        "SELECT 0 UNION " * 17 + GOLD,
    ],
)
def test_the_answer_in_disguise_adds_nothing(database: Path, disguised: str) -> None:
    for answer in (GOLD, f"{GOLD} LIMIT 3", "SELECT DISTINCT s.name FROM singer AS s WHERE s.age = 30 ORDER BY 1"):
        (asked,) = explore(database, disguised, answer=answer)
        assert asked.is_executed and asked.is_informative
        assert asked.repeats_answer and asked.adds == 0.0


@pytest.mark.parametrize(
    "look", ["SELECT name, age FROM singer LIMIT 9", "SELECT DISTINCT age FROM singer", "SELECT name FROM singer"]
)
def test_a_look_at_what_the_answer_reads_is_no_answer_in_disguise(database: Path, look: str) -> None:
    (asked,) = explore(database, look)
    assert not asked.repeats_answer and asked.adds is not None and asked.adds > 0.0


@pytest.mark.parametrize(
    ("query", "written"),
    [
        ("SELECT * FROM singer", {"singer"}),
        ("SELECT s.* FROM singer AS s", {"singer"}),
        ("SELECT * FROM (SELECT * FROM singer)", {"singer"}),
        ("SELECT *, age FROM singer WHERE name <> ''", {"singer", "singer.age", "singer.name"}),
        ("SELECT age FROM (SELECT * FROM singer)", {"singer", "singer.age"}),
        ("WITH t AS (SELECT * FROM singer) SELECT t.age FROM t", {"singer", "singer.age"}),
        ("SELECT count(*) FROM singer", {"singer"}),
        ("SELECT * FROM singer JOIN concert USING (singer_id)", {"singer", "concert", "singer.singer_id"}),
    ],
)
def test_a_star_stands_for_its_table_and_for_no_column(database: Path, query: str, written: set[str]) -> None:
    (asked,) = explore(database, query, answer="SELECT 1")
    assert set(asked.written_names) == written
    assert asked.adds == pytest.approx(len(written & {"singer", "singer.name", "singer.age"}) / 3)


@given(
    st.lists(
        st.sampled_from(
            [
                GOLD,
                "SELECT * FROM singer",
                "SELECT age FROM singer",
                "SELECT name FROM singer LIMIT 1",
                "SELECT venue FROM concert",
                "SELECT 1",
                "SELECT nme FROM singer",
                "",
            ]
        ),
        max_size=8,
    )
)
@settings(max_examples=40, deadline=None)
def test_all_that_queries_add_is_at_most_one(
    original: bytes, tmp_path_factory: pytest.TempPathFactory, steps: list[str]
) -> None:
    path = tmp_path_factory.getbasetemp() / "adding.sqlite"
    if not path.exists():
        path.write_bytes(original)
    queries = explore(path, *steps)
    assert len(queries) == len(steps)
    assert sum(query.adds or 0.0 for query in queries) <= 1.0 + 1e-9
    assert [query.is_repeat for query in queries] == [step in steps[:number] for number, step in enumerate(steps)]


def test_a_gold_that_names_nothing_leaves_nothing_to_touch(database: Path) -> None:
    verdict = judge(database, transcript("SELECT name FROM singer", answer="SELECT 30"), gold="SELECT 30")
    assert verdict.is_correct
    assert [(query.touches, query.adds) for query in verdict.queries] == [(None, None)]


def test_what_the_environment_said_is_no_step(database: Path) -> None:
    told = Transcript(
        segments=(
            Segment(author="model", text="<step>SELECT age FROM singer</step>"),
            Segment(author="environment", text="<result>30</result><step>SELECT name FROM singer</step>"),
            Segment(author="model", text=f"<answer>{GOLD}</answer>"),
        )
    )
    verdict = judge(database, told)
    assert [query.text for query in verdict.queries] == ["SELECT age FROM singer"]
    assert verdict.is_correct and verdict.layout.defect is None


def test_a_forged_result_is_a_defect_and_no_query(database: Path) -> None:
    verdict = judge(database, f"<step>SELECT age FROM singer</step><result>30</result><answer>{GOLD}</answer>")
    assert verdict.layout.defect == "forged observation"
    assert len(verdict.queries) == 1


def test_steps_in_the_reasoning_are_reasoning(database: Path) -> None:
    verdict = judge(database, f"<think><step>SELECT age FROM singer</step></think><answer>{GOLD}</answer>")
    assert verdict.queries == () and verdict.layout.defect is None


def test_an_answer_without_steps_has_no_queries(database: Path) -> None:
    assert judge(database, f"<answer>{GOLD}</answer>").queries == ()


def test_steps_without_an_answer_are_judged(database: Path) -> None:
    verdict = judge(database, "<step>SELECT age FROM singer</step>")
    assert verdict.error == "empty"
    assert [query.is_informative for query in verdict.queries] == [True]
    assert verdict.queries[0].touches == pytest.approx(2 / 3)


def test_a_database_that_fails_leaves_answer_and_steps_unjudged(database: Path) -> None:
    database.write_bytes(b"")
    verdict = judge(database, transcript("SELECT age FROM singer"))
    assert verdict.unjudged is not None and verdict.unjudged.startswith("database: ")
    assert verdict.queries == () and not verdict.is_correct


def test_a_database_that_fails_under_a_step_alone_leaves_the_answer_unjudged(database: Path) -> None:
    text = transcript("SELECT age FROM singer")
    assert judge(database, text).is_correct  # gold and answer are known from now on
    with closing(sqlite3.connect(database, isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        fresh = judge(database, transcript("SELECT venue FROM concert"))
        known = judge(database, text)
        writer.execute("ROLLBACK")
    assert fresh.unjudged is not None and "locked" in fresh.unjudged
    assert fresh.queries == () and not fresh.is_correct
    assert known.is_correct and known.queries[0].is_informative


def test_a_gold_that_fails_leaves_all_unjudged(database: Path) -> None:
    verdict = judge(database, transcript("SELECT age FROM singer"), gold="SELECT shoe_size FROM singer")
    assert verdict.unjudged is not None and verdict.unjudged.startswith("gold: ")
    assert verdict.queries == ()


def test_transcripts_of_one_batch_do_not_mix(database: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.sqlite"
    shutil.copy(database, other)
    with closing(sqlite3.connect(other)) as connection:
        connection.executescript("DELETE FROM concert")
    text = transcript("SELECT venue FROM concert", "SELECT age FROM singer")
    tasks = [SqlTask(id="1", question="?", database=Database.at(path), gold=GOLD) for path in (database, other)]
    verdicts = ENVIRONMENT.judge([(task, Transcript.of(text)) for task in (*tasks, *tasks)])
    empties = [[query.is_empty for query in verdict.queries] for verdict in verdicts]  # type: ignore[attr-defined]
    assert empties == [[False, False], [True, False]] * 2


@pytest.mark.parametrize("kind", ["duckdb", "postgres"])
def test_other_databases_tell_the_same(kind: str, request: pytest.FixtureRequest) -> None:
    if kind == "duckdb":
        database = Database.at(request.getfixturevalue("duckdb_file"))
    else:
        database = request.getfixturevalue("postgres_database")
    steps = ("SELECT age FROM singer", "select S.AGE from singer S", "SELECT 1", "SELECT nme FROM singer")
    task = SqlTask(id="1", question="?", database=database, gold=GOLD)
    (verdict,) = ENVIRONMENT.judge([(task, Transcript.of(transcript(*steps)))])
    assert isinstance(verdict, SqlVerdict) and verdict.unjudged is None
    assert [query.is_informative for query in verdict.queries] == [True, True, False, False]
    assert [query.is_repeat for query in verdict.queries] == [False, True, False, False]
    assert verdict.queries[0].names == ("singer", "singer.age")


def test_spiders_golds_are_informative_where_they_return_a_value(dataset_directory: Callable[[str, str], Path]) -> None:
    tasks = SpiderReader(path=str(dataset_directory("spider", "tables.json"))).read("heldout").tasks[::3]
    verdicts = ENVIRONMENT.judge([(task, Transcript.of(transcript(task.gold, answer=task.gold))) for task in tasks])
    queries = [
        query for one in verdicts if isinstance(one, SqlVerdict) and one.unjudged is None for query in one.queries
    ]
    assert len(queries) > 300
    assert all(query.is_executed and query.repeats_answer for query in queries)
    assert all(query.touches == 1.0 for query in queries)
    # What is left says NULL.
    silent = [query for query in queries if not query.is_informative and not query.is_empty]
    assert len(silent) <= 2, [query.text for query in silent]
