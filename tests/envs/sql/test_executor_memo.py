"""What one worker remembers: bounded, and never of a database that is another one by now."""

import mmap
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.sql.databases.database import Database
from envs.sql.databases.execution import Execution, ExecutionLimits, QueryResult
from envs.sql.databases.kinds import open_connection
from envs.sql.executor import warm
from envs.sql.executor.deadline import NOTE_BYTES, Deadline
from envs.sql.executor.job import JudgeJob, Judgement, Unjudged
from envs.sql.executor.judging import Judge
from envs.sql.executor.memo import Memo
from envs.sql.executor.settings import ExecutorSettings
from envs.sql.suite.build import SuiteBuilder
from envs.sql.suite.query import ParsedQuery
from envs.sql.suite.rewrites import equivalents
from envs.sql.suite.settings import SuiteSettings
from envs.sql.suite.storage import load_or_build, suite_path

GOLD = "SELECT count(*) FROM t"


class Untimed(Deadline):
    """Ends nobody: this process is not a worker."""

    def allow(self, seconds: float) -> None:
        assert seconds > 0


@pytest.fixture
def judge() -> Judge:
    return Judge(ExecutorSettings(limits=ExecutionLimits(seconds=5.0)), Untimed(mmap.mmap(-1, NOTE_BYTES)))


@pytest.fixture
def databases(tmp_path: Path) -> Iterator[list[Database]]:
    made = []
    for number in range(6):
        path = tmp_path / f"{number}.sqlite"
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript(f"CREATE TABLE t (a TEXT); INSERT INTO t VALUES ('x{number}'), ('y')")
        made.append(Database.at(path))
    yield made


def verdict(judge: Judge, database: Database, query: str, gold: str = GOLD) -> Judgement:
    outcome = judge.judge(JudgeJob(database=database, gold=gold, query=query))
    assert isinstance(outcome, Judgement), outcome
    return outcome


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 60)), max_size=60))
def test_a_memo_forgets_the_oldest_until_the_rest_fits(puts: list[tuple[int, int]]) -> None:
    memo: Memo[int] = Memo(100)
    expected: dict[int, int] = {}
    for key, weight in puts:
        memo.put(key, weight, weight)
        expected.pop(key, None)
        expected[key] = weight
        while sum(expected.values()) > 100:
            del expected[next(iter(expected))]
        assert len(memo) == len(expected)
    assert {key: memo.get(key) for key in range(10)} == {key: expected.get(key) for key in range(10)}


def test_what_was_used_last_is_forgotten_last() -> None:
    memo: Memo[str] = Memo(10)
    memo.put("a", "a", 5)
    memo.put("b", "b", 5)
    memo.get("a")
    memo.put("c", "c", 5)
    assert (memo.get("a"), memo.get("b"), memo.get("c")) == ("a", None, "c")


def test_what_weighs_too_much_is_not_kept_and_drives_nothing_out() -> None:
    memo: Memo[str] = Memo(10)
    memo.put("a", "small", 5)
    memo.put("b", "large", 11)
    assert (memo.get("a"), memo.get("b"), len(memo)) == ("small", None, 1)


def test_open_connections_are_bounded(judge: Judge, databases: list[Database], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(warm.OPEN_CONNECTIONS, "sqlite", 2)
    for database in databases:
        assert verdict(judge, database, "SELECT count(a) FROM t").agrees_on_database
    assert len(judge._connections) == 2


def test_a_suite_is_built_on_a_connection_that_is_open(
    judge: Judge, databases: list[Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(warm.OPEN_CONNECTIONS, "sqlite", 1)
    first, second, *_ = databases
    assert verdict(judge, first, "SELECT count(a) FROM t").is_correct  # knows the first database by its connection
    assert not verdict(judge, second, "SELECT 7").is_correct  # which is closed for that of the second
    lucky = verdict(judge, first, "SELECT a FROM t", gold="SELECT DISTINCT a FROM t")
    assert lucky.agrees_on_database and not lucky.is_correct


def test_a_suite_of_a_gold_that_did_not_run_is_not_kept(databases: list[Database]) -> None:
    limits = ExecutionLimits(seconds=5.0)
    connection = open_connection(databases[0], limits)
    builder = SuiteBuilder(databases[0], SuiteSettings(), connection, limits)
    failing, running = "SELECT abs(-9223372036854775807 - 1) FROM t", "SELECT a || a FROM t"
    assert load_or_build(builder, failing).defect is not None
    assert load_or_build(builder, running).defect is None
    assert not suite_path(builder, failing).exists() and suite_path(builder, running).exists()
    builder.close()
    connection.close()


def test_a_changed_schema_changes_the_suite(judge: Judge, databases: list[Database]) -> None:
    database = databases[0]
    gold = "SELECT a FROM t WHERE a = 'y'"
    assert verdict(judge, database, "SELECT t.a FROM t WHERE t.a = 'y'", gold).is_correct
    with closing(sqlite3.connect(database.location)) as connection:
        connection.executescript("DROP TABLE t; CREATE TABLE t (b INT, a TEXT); INSERT INTO t VALUES (1, 'y')")
    assert verdict(judge, database, "SELECT t.a FROM t WHERE t.a = 'y' ", gold).is_correct
    lucky = verdict(judge, database, "SELECT a FROM t WHERE b = 1", gold)
    assert lucky.agrees_on_database and not lucky.is_correct


def test_a_lock_is_not_remembered(judge: Judge, databases: list[Database]) -> None:
    database = databases[0]
    assert verdict(judge, database, GOLD).is_correct  # the connection is warm
    job = JudgeJob(database=database, gold=GOLD, query="SELECT count(t.a) FROM t")
    with closing(sqlite3.connect(database.location, isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        outcome = judge.judge(job)
        assert isinstance(outcome, Unjudged) and "locked" in outcome.reason
        writer.execute("ROLLBACK")
    assert judge.judge(job) == verdict(judge, database, job.query)


def test_a_gold_that_hangs_on_chance_leaves_other_answers_unjudged(judge: Judge, databases: list[Database]) -> None:
    outcome = judge.judge(JudgeJob(database=databases[0], gold="SELECT random() FROM t", query="SELECT 42 FROM t"))
    assert isinstance(outcome, Unjudged) and outcome.reason.startswith("gold: its result hangs on")


def test_the_number_of_the_last_row_is_not_the_number_of_rows(judge: Judge, databases: list[Database]) -> None:
    lucky = verdict(judge, databases[0], "SELECT max(rowid) FROM t")
    assert lucky.agrees_on_database and not lucky.is_correct


@pytest.mark.parametrize("selected", ["1", "'x'", "*", "a"])
def test_what_exists_selects_means_nothing(judge: Judge, databases: list[Database], selected: str) -> None:
    gold = "SELECT a FROM t WHERE a IN (SELECT a FROM t WHERE a > 'w')"
    answer = f"SELECT a FROM t WHERE EXISTS (SELECT {selected} FROM t AS s WHERE s.a = t.a AND s.a > 'w')"
    assert verdict(judge, databases[0], answer, gold).is_correct


def test_what_is_certain_of_a_gold_is_asked_with_whole_queries(judge: Judge, databases: list[Database]) -> None:
    gold = "SELECT u.a FROM t AS u JOIN t AS v ON u.a = v.a WHERE u.a = 'y'"
    assert verdict(judge, databases[0], gold, gold).is_correct
    inner = judge._connections.get(databases[0])._connection
    asked: list[str] = []
    execute = inner.execute

    def record(query: str, limits: ExecutionLimits) -> Execution:
        asked.append(query)
        outcome = execute(query, limits)
        assert isinstance(outcome, QueryResult), query
        return outcome

    inner.execute = record  # type: ignore[method-assign]
    assert not verdict(judge, databases[0], "SELECT a FROM t WHERE a <> 'y'", gold).agrees_on_database
    tables = judge._facts.tables(judge._connection(databases[0]), databases[0].location)
    rewrites = equivalents(ParsedQuery(gold, "sqlite", tables))
    assert rewrites and set(rewrites) <= set(asked)
