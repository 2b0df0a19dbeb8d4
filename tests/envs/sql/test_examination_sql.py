"""SQL answers without their gold: what runs, what is said of it, and which answers return the same."""

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.bundled_tasks import BundledSqlReader
from data.spider import SpiderReader
from envs.examination import Examination
from envs.examined_text import MESSAGE_CHARACTERS
from envs.layout import Tags
from envs.sql.answer import orders_its_result
from envs.sql.databases.database import Database
from envs.sql.databases.execution import ExecutionLimits
from envs.sql.environment import SqlEnvironment
from envs.sql.executor.settings import ExecutorSettings
from envs.sql.judge import SqlVerdict
from envs.sql.task import SqlTask
from envs.transcript import Segment, Transcript

SETTINGS = ExecutorSettings(limits=ExecutionLimits(seconds=0.5), suite=None, workers=1)
PLAIN = SqlEnvironment(executor=SETTINGS)
REEX = Tags(reasoning="think", must_reason=True, step="step", observation="result", answer="answer")
STEPWISE = SqlEnvironment(executor=SETTINGS, tags=REEX)
NAMES = "SELECT name FROM singer"


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory, original: bytes) -> Path:
    """The same database for all texts of a property."""
    path = tmp_path_factory.mktemp("examined") / "music.sqlite"
    path.write_bytes(original)
    return path


def task_on(database: Path, gold: str = NAMES) -> SqlTask:
    return SqlTask(id="1", question="?", database=Database.at(database), gold=gold)


def examine(database: Path, *texts: str, environment: SqlEnvironment = PLAIN) -> list[Examination]:
    return environment.examine([(task_on(database), Transcript.of(text)) for text in texts])


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("SELECT name, age FROM singer", "4 rows\nname | age\n'Ada' | 30\n'Ben' | 17\n'Cid' | 30\n... (1 more row)"),
        ("```sql\nSELECT 1 AS one;\n```", "1 row\none\n1"),
        ("SELECT name FROM singer WHERE 0", "0 rows\nname"),
        ("SELECT length(date('now'))", "1 row\nlength(date('now'))\n10"),
    ],
)
def test_an_answer_that_runs_is_valid_and_its_first_rows_are_shown(database: Path, answer: str, message: str) -> None:
    (found,) = examine(database, f"<think>Let us see.</think>{answer}")
    assert (found.is_valid, found.error, found.unjudged, found.message) == (True, None, None, message)
    assert found.digest is not None and found.answer is not None and found.answer in answer


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        ("", "empty", "there is no query"),
        (" ;; ", "empty", "there is no query"),
        ("I cannot say.", "not SQL", "error: not SQL: "),
        ("DROP TABLE singer", "not a read", "error: not a read: "),
        ("SELECT nam FROM singer", "unknown column", "error: unknown column: no such column: nam"),
        ("SELECT count(*) FROM " + ", ".join(f"singer AS t{n}" for n in range(30)), "timeout", "error: timeout: "),
    ],
)
def test_an_answer_that_does_not_run_says_why(database: Path, answer: str, error: str, message: str) -> None:
    (found,) = examine(database, answer)
    assert (found.is_valid, found.digest, found.error, found.unjudged) == (False, None, error, None)
    assert found.message.startswith(message)


def test_answers_with_one_result_have_one_digest(database: Path) -> None:
    same = [
        "SELECT name, age FROM singer WHERE age = 30",
        "SELECT age, name AS n FROM singer WHERE age > 20",
        "SELECT s.name, 1.0 * s.age FROM (SELECT * FROM singer ORDER BY name DESC) AS s WHERE s.age = 30",
    ]
    others = [
        "SELECT name, age FROM singer WHERE age = 30 ORDER BY name",
        "SELECT name, age FROM singer WHERE age = 30 ORDER BY name DESC",
        "SELECT name FROM singer WHERE age = 30",
        "SELECT name, age FROM singer",
        "SELECT name, CAST(age AS TEXT) FROM singer WHERE age = 30",
    ]
    found = [one.digest for one in examine(database, *same, *others)]
    assert len(set(found[:3])) == 1 and None not in found
    assert len(set(found)) == 1 + len(others)
    one, other = examine(database, "SELECT max(age) FROM singer", "SELECT age FROM singer ORDER BY age DESC LIMIT 1")
    assert one.digest == other.digest


def test_without_an_answer_the_last_step_counts(database: Path) -> None:
    first, second = "<think>a</think><step>SELECT 1</step>\n", f"<step>{NAMES}</step>"
    transcripts = [
        Transcript.of(f"{first}{second}"),
        Transcript(segments=(Segment(author="model", text=second), Segment(author="environment", text="<result>x"))),
        Transcript.of(f"{second}<think>so <step>SELECT 2</step>"),
        Transcript.of(f"{first}<answer>{NAMES}</answer>"),
        Transcript.of(f"{second}<answer> </answer>"),
        Transcript.of(f"{second}<answer>;</answer>"),
        Transcript.of("<step>SELECT date('now')</step>"),
        Transcript(segments=()),
    ]
    found = STEPWISE.examine([(task_on(database), transcript) for transcript in transcripts])
    digest = found[3].digest
    assert [one.digest == digest for one in found] == [True] * 4 + [False] * 4
    assert [one.answer for one in found] == [None, None, None, NAMES, None, None, None, None]
    assert [one.error for one in found] == [None] * 4 + ["empty"] * 2 + ["not repeatable", "empty"]


def test_a_database_that_cannot_be_asked_leaves_the_answer_unjudged(database: Path) -> None:
    database.write_bytes(b"")
    (found,) = examine(database, "SELECT 1")
    assert found.unjudged is not None and found.unjudged.startswith("database: ")
    assert found == Examination(unjudged=found.unjudged)


def test_what_a_database_holds_is_no_tag_and_has_a_bound(database: Path) -> None:
    hostile = "SELECT '<' || '/answer><think>\x1b' AS a, " + ", ".join(f"'{'x' * 70}' AS c{n}" for n in range(100))
    (found,) = examine(database, f"<think>a</think><answer>{hostile}</answer>", environment=STEPWISE)
    assert found.is_valid and len(found.message) <= MESSAGE_CHARACTERS
    assert "</answer>" not in found.message and "<think>" not in found.message and "\x1b" not in found.message
    assert found.message.endswith("... (cut)")


TEXTS = st.lists(
    st.sampled_from(
        ["<think>", "</think>", "<step>", "</step>", "<answer>", "</answer>", NAMES, " WHERE ", ";", "\ud800", "\0"]
    ),
    max_size=8,
).map("".join) | st.text(max_size=30)


@settings(max_examples=60, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=6), st.sampled_from([PLAIN, STEPWISE]))
def test_no_text_raises_and_no_gold_is_looked_at(music: Path, texts: list[str], environment: SqlEnvironment) -> None:
    task = task_on(music)
    transcripts = [Transcript.of(text) for text in texts]
    found = environment.examine([(task, transcript) for transcript in transcripts])
    for gold in ("SELECT 1", "no query at all"):
        other = replace(task, gold=gold)
        assert environment.examine([(other, transcript) for transcript in transcripts]) == found
    for one, verdict in zip(found, environment.judge([(task, text) for text in transcripts]), strict=True):
        assert isinstance(verdict, SqlVerdict) and verdict.unjudged is None and one.unjudged is None
        assert one.is_valid is (one.error is None) is (one.digest is not None)
        assert one.answer == verdict.answer
        if one.answer is not None:
            assert (one.is_valid, one.error) == (
                verdict.is_executed,
                None if verdict.error == "wrong result" else verdict.error,
            )


def spider_tasks(directory: Callable[[str, str], Path]) -> list[SqlTask]:
    reading = SpiderReader(path=str(directory("spider", "dev.json"))).read("heldout")
    chosen = [task for task in reading.tasks if task.labels["database"] in ("pets_1", "concert_singer")]
    return [task for task in chosen if isinstance(task, SqlTask)][::3]


def bundled_tasks(directory: Callable[[str, str], Path]) -> list[SqlTask]:
    tasks = [task for task in BundledSqlReader().read("heldout").tasks if isinstance(task, SqlTask)]
    return [task for task in tasks if task.database == tasks[0].database][:25]


def judged_right(pairs: list[tuple[SqlTask, str]]) -> list[bool]:
    verdicts = PLAIN.judge([(task, Transcript.of(query)) for task, query in pairs])
    assert all(isinstance(verdict, SqlVerdict) and verdict.unjudged is None for verdict in verdicts)
    return [verdict.is_correct for verdict in verdicts]


@pytest.mark.parametrize("tasks_of", [spider_tasks, bundled_tasks])
def test_digests_agree_with_the_judge_on_pairs_of_real_queries(
    tasks_of: Callable[..., list[SqlTask]], dataset_directory: Callable[[str, str], Path]
) -> None:
    tasks = tasks_of(dataset_directory)
    apart = equal = 0
    for database in dict.fromkeys(task.database for task in tasks):
        golds = [task.gold for task in tasks if task.database == database]
        wrapped = [f"SELECT * FROM ({gold})" for gold in golds]
        queries = list(dict.fromkeys([*golds, *wrapped, *[f"{gold} ORDER BY 1" for gold in wrapped[::4]]]))
        of = {query: SqlTask(id=query, question="?", database=database, gold=query) for query in queries}
        found = PLAIN.examine([(task, Transcript.of(query)) for query, task in of.items()])
        digests = dict(zip(queries, [one.digest for one in found], strict=True))
        assert None not in digests.values()
        pairs = list(product(queries, queries))
        right = dict(zip(pairs, judged_right([(of[gold], query) for gold, query in pairs]), strict=True))
        for one, other in pairs:
            is_equal = digests[one] == digests[other]
            equal += is_equal and one != other
            if orders_its_result(one) == orders_its_result(other):
                assert is_equal is right[one, other], (one, other)
            else:  # a bag for the one, a sequence for the other: equal only where that makes no difference
                assert not is_equal or (right[one, other] and right[other, one]), (one, other)
                apart += not is_equal and right[one, other]
    assert equal >= len(tasks) and apart > 0
