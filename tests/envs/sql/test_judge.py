"""Verdicts on SQL answers."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from envs.sql.databases.database import Database
from envs.sql.databases.execution import ExecutionLimits
from envs.sql.environment import SqlEnvironment
from envs.sql.executor.settings import ExecutorSettings
from envs.sql.judge import SqlVerdict
from envs.sql.task import SqlTask
from envs.transcript import Transcript

GOLD = "SELECT name, age FROM singer WHERE age = 30"
ENVIRONMENT = SqlEnvironment(executor=ExecutorSettings(limits=ExecutionLimits(seconds=0.5), workers=1))


def verdict(database: Path, answer: str, gold: str = GOLD) -> SqlVerdict:
    task = SqlTask(id="1", question="?", database=Database.at(database), gold=gold)
    (judged,) = ENVIRONMENT.judge([(task, Transcript.of(answer))])
    assert isinstance(judged, SqlVerdict)
    return judged


@pytest.mark.parametrize(
    "answer",
    [
        GOLD,
        "```sql\nSELECT age, name FROM singer WHERE age > 20;\n```",
        "SELECT name, age FROM singer WHERE age = 30 ORDER BY name DESC",
    ],
)
def test_an_answer_with_the_golds_result_is_correct(database: Path, answer: str) -> None:
    judged = verdict(database, answer)
    assert judged.is_correct and judged.is_executed and judged.is_parsed
    assert (judged.error, judged.unjudged, judged.row_count) == (None, None, 2)


@pytest.mark.parametrize(
    ("answer", "error", "is_parsed", "is_executed"),
    [
        ("", "no answer", False, False),
        ("I cannot say.", "syntax", False, False),
        ("SELECT name FROM singer; DROP TABLE singer", "several statements", False, False),
        ("DROP TABLE singer", "forbidden", False, False),
        ("SELECT name FROM nobody", "unknown table", True, False),
        ("SELECT shoe_size FROM singer", "unknown column", True, False),
        ("SELECT count(*) FROM " + ", ".join(f"singer AS t{n}" for n in range(30)), "timeout", True, False),
        ("SELECT name FROM singer WHERE age = 30", "wrong result", True, True),
        ("SELECT name, age FROM singer", "wrong result", True, True),
        ("SELECT name, age FROM singer WHERE 0", "wrong result", True, True),
    ],
)
def test_a_wrong_answer_has_a_category(
    database: Path, answer: str, error: str, is_parsed: bool, is_executed: bool
) -> None:
    judged = verdict(database, answer)
    assert not judged.is_correct
    assert judged.unjudged is None
    assert (judged.error, judged.is_parsed, judged.is_executed) == (error, is_parsed, is_executed)


def test_the_gold_decides_whether_order_counts(database: Path) -> None:
    answer = "SELECT name FROM singer ORDER BY name DESC"
    assert verdict(database, answer, gold="SELECT name FROM singer").is_correct
    assert not verdict(database, answer, gold="SELECT name FROM singer ORDER BY name").is_correct


def test_names_are_what_answer_and_gold_were_resolved_to(database: Path) -> None:
    judged = verdict(database, "SELECT T1.NAME FROM Singer AS T1")
    assert judged.names == ("singer", "singer.name")
    assert judged.gold_names == ("singer", "singer.age", "singer.name")


@pytest.mark.parametrize(
    ("gold", "reason"),
    [
        ("SELECT shoe_size FROM singer", "gold: unknown column"),
        ("SELECT 1; SELECT 2", "gold: several statements"),
        ("SELECT count(*) FROM " + ", ".join(f"singer AS t{n}" for n in range(30)), "gold: timeout"),
    ],
)
def test_a_failing_gold_leaves_the_answer_unjudged(database: Path, gold: str, reason: str) -> None:
    judged = verdict(database, "SELECT 1", gold=gold)
    assert judged.unjudged is not None and judged.unjudged.startswith(reason)
    assert not judged.is_correct and judged.error is None


def test_a_broken_database_leaves_the_answer_unjudged(database: Path) -> None:
    assert verdict(database, GOLD).is_correct
    database.write_bytes(b"")
    judged = verdict(database, GOLD)
    assert judged.unjudged is not None and judged.unjudged.startswith("database: ")
    database.unlink()
    assert verdict(database, GOLD).unjudged is not None


def test_a_locked_database_is_judged_once_it_is_free(database: Path) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        assert verdict(database, GOLD).unjudged is not None
        writer.execute("ROLLBACK")
    assert verdict(database, GOLD).is_correct


def test_a_changed_database_changes_what_is_right(database: Path) -> None:
    count = "SELECT count(*) FROM singer"
    assert verdict(database, "SELECT 4", gold=count).is_correct
    with closing(sqlite3.connect(database)) as connection:
        connection.executescript("DELETE FROM singer WHERE age IS NULL")
    assert verdict(database, "SELECT 3", gold=count).is_correct


def test_a_cut_off_answer_says_so_and_is_judged(database: Path) -> None:
    task = SqlTask(id="1", question="?", database=Database.at(database), gold=GOLD)
    (judged,) = ENVIRONMENT.judge([(task, Transcript.of(GOLD, is_truncated=True))])
    assert judged.is_truncated and judged.is_correct


def test_verdicts_come_in_the_order_of_the_episodes(database: Path) -> None:
    task = SqlTask(id="1", question="?", database=Database.at(database), gold=GOLD)
    answers = [GOLD, "SELECT 1", "", GOLD]
    judged = ENVIRONMENT.judge([(task, Transcript.of(answer)) for answer in answers])
    assert [one.is_correct for one in judged] == [True, False, False, True]
