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
        "```sql\nSELECT age, name FROM singer WHERE age <= 30 AND age >= 30;\n```",
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
        ("", "empty", False, False),
        ("I cannot say.", "not SQL", False, False),
        ("SELECT name FROM singer; DROP TABLE singer", "several statements", False, False),
        ("DROP TABLE singer", "not a read", False, False),
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
    assert verdict(database, "SELECT 4", gold=count).agrees_on_database
    with closing(sqlite3.connect(database)) as connection:
        connection.executescript("DELETE FROM singer WHERE age IS NULL")
    assert verdict(database, "SELECT 3", gold=count).agrees_on_database
    assert not verdict(database, "SELECT 4", gold=count).agrees_on_database


def test_a_cut_off_answer_says_so_and_is_judged(database: Path) -> None:
    task = SqlTask(id="1", question="?", database=Database.at(database), gold=GOLD)
    (judged,) = ENVIRONMENT.judge([(task, Transcript.of(GOLD, is_truncated=True))])
    assert judged.is_truncated and judged.is_correct


def test_verdicts_come_in_the_order_of_the_episodes(database: Path) -> None:
    task = SqlTask(id="1", question="?", database=Database.at(database), gold=GOLD)
    answers = [GOLD, "SELECT 1", "", GOLD]
    judged = ENVIRONMENT.judge([(task, Transcript.of(answer)) for answer in answers])
    assert [one.is_correct for one in judged] == [True, False, False, True]


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        (GOLD, "SELECT age, name FROM singer WHERE age > 20"),
        ("SELECT count(*) FROM singer", "SELECT 4"),
        ("SELECT name FROM singer WHERE age > 90", "SELECT 1 WHERE 0"),
        ("SELECT name FROM singer WHERE age > 90", "SELECT name FROM singer WHERE age > 95"),
        ("SELECT name FROM singer ORDER BY age DESC LIMIT 1", "SELECT 'Ada'"),
        # Without an ORDER BY the database may visit rows as it likes; it likes the order of the key.
        ("SELECT name FROM singer ORDER BY singer_id LIMIT 1", "SELECT name FROM singer LIMIT 1"),
    ],
)
def test_an_answer_that_is_right_by_luck_is_wrong(database: Path, gold: str, answer: str) -> None:
    judged = verdict(database, answer, gold=gold)
    assert judged.agrees_on_database and judged.is_executed
    assert (judged.is_correct, judged.error) == (False, "wrong result")
    assert judged.disagreement is not None


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("SELECT name FROM singer WHERE age > 90", "SELECT s.name FROM singer AS s WHERE 90 < s.age"),
        (
            "SELECT name FROM singer ORDER BY age DESC LIMIT 1",
            "SELECT s.name FROM singer AS s ORDER BY s.age DESC LIMIT 1 OFFSET 0",
        ),
        (
            "SELECT T1.name FROM singer AS T1 JOIN concert AS T2 ON T1.singer_id = T2.singer_id WHERE T2.year = 2021",
            "SELECT name FROM concert, singer WHERE year = 2021 AND concert.singer_id = singer.singer_id",
        ),
    ],
)
def test_an_answer_that_means_the_gold_is_right(database: Path, gold: str, answer: str) -> None:
    judged = verdict(database, answer, gold=gold)
    assert judged.is_correct, judged


@pytest.mark.parametrize("gold", ["SELECT name FROM singer WHERE 1 = 0", "SELECT name FROM singer WHERE age > age"])
def test_a_gold_that_nothing_tells_from_an_empty_result_is_unjudged(database: Path, gold: str) -> None:
    judged = verdict(database, gold, gold=gold)
    assert judged.unjudged is not None and judged.unjudged.startswith("gold: its result is empty")


def test_tied_rows_at_a_limit_may_be_any_of_them(database: Path) -> None:
    gold = "SELECT name FROM singer WHERE age IS NOT NULL ORDER BY age DESC LIMIT 1"
    for answer in (gold, "SELECT name FROM singer WHERE age IS NOT NULL ORDER BY age DESC, singer_id DESC LIMIT 1"):
        judged = verdict(database, answer, gold=gold)
        assert judged.agrees_on_database, answer


def test_without_a_test_suite_the_database_alone_decides(database: Path) -> None:
    environment = SqlEnvironment(executor=ExecutorSettings(suite=None, workers=1))
    task = SqlTask(id="1", question="?", database=Database.at(database), gold="SELECT count(*) FROM singer")
    (judged,) = environment.judge([(task, Transcript.of("SELECT 4"))])
    assert judged.is_correct


def test_facts_are_there_when_they_are_asked_for(database: Path) -> None:
    facts = ("parsed", "spider_execution", "spider_exact_match", "bird_execution", "soft_f1", "r_ves")
    environment = SqlEnvironment(executor=ExecutorSettings(facts=facts, workers=1))
    task = SqlTask(id="1", question="?", database=Database.at(database), gold=GOLD)
    answers = [GOLD, "SELECT name, age FROM singer WHERE age = 17", "SELECT nme FROM singer", ""]
    right, wrong, failing, empty = environment.judge([(task, Transcript.of(answer)) for answer in answers])
    for judged in (right, wrong, failing, empty):
        assert isinstance(judged, SqlVerdict) and judged.unjudged is None
        assert set(judged.metrics) == set(facts[1:])
    assert isinstance(right, SqlVerdict) and isinstance(wrong, SqlVerdict)
    assert isinstance(failing, SqlVerdict) and isinstance(empty, SqlVerdict)
    assert right.metrics["r_ves"] > 0
    assert {right.metrics[name] for name in facts[1:5]} == {1.0}
    # The value does not count in Spider's exact-set match.
    assert wrong.metrics == {**dict.fromkeys(facts[1:], 0.0), "spider_exact_match": 1.0}
    assert set(failing.metrics.values()) == set(empty.metrics.values()) == {0.0}
    assert right.parsed is not None and right.parsed.is_exact is True
    assert wrong.parsed is not None and wrong.parsed.clause_scores["where"] == 0.0
    assert wrong.parsed.clause_scores["select"] == 1.0
    assert failing.parsed is not None and failing.parsed.clause_scores["from"] == 1.0
    assert empty.parsed is None


def test_facts_are_not_there_when_they_are_not_asked_for(database: Path) -> None:
    judged = verdict(database, GOLD)
    assert judged.parsed is None and judged.metrics == {}


def test_an_answer_that_hangs_on_a_test_database_only_is_a_timeout(database: Path) -> None:
    long = "printf('%.*c', 90000 + 0 * coalesce(age, 0), 'a')"
    endless = " + ".join([f"instr({long}, printf('%.*c', 45000, 'a') || 'b')"] * 180)
    answer = f"{GOLD} AND CASE WHEN (SELECT count(*) FROM singer) = 4 THEN 0 ELSE {endless} END = 0"
    roomy = SqlEnvironment(
        executor=ExecutorSettings(limits=ExecutionLimits(seconds=0.2, query_bytes=100_000), workers=1)
    )
    task = SqlTask(id="1", question="?", database=Database.at(database), gold=GOLD)
    (judged,) = roomy.judge([(task, Transcript.of(answer))])
    assert (judged.error, judged.is_correct, judged.unjudged) == ("timeout", False, None)
