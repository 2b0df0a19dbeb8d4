"""The worker pool: outcomes, deadlines that no query escapes, workers that die, databases that fail."""

import os
import shutil
import signal
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from envs.errors import ConfigurationError
from envs.sql.databases.database import Database
from envs.sql.databases.execution import DatabaseFault, ExecutionLimits, QueryError, QueryResult
from envs.sql.executor import pool as pool_module
from envs.sql.executor.job import ExecuteJob, JudgeJob, Judgement, Outcome, Unjudged
from envs.sql.executor.pool import WorkerPool
from envs.sql.executor.settings import ExecutorSettings

needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes through /proc")
SECONDS = 0.3
LIMITS = ExecutionLimits(seconds=SECONDS)
GOLD = "SELECT name, age FROM singer WHERE age = 30"
LONG = "printf('%.*c', 90000, 'a')"
# Each call takes tens of milliseconds inside C, where SQLite does not look at the clock, all within one row.
STUBBORN = "SELECT " + " + ".join([f"instr({LONG}, printf('%.*c', 45000, 'a') || 'b')"] * 190)
ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c"


@pytest.fixture(scope="module")
def pool() -> Iterator[WorkerPool]:
    made = WorkerPool(ExecutorSettings(limits=LIMITS, suite=None, workers=2))
    yield made
    made.close()


def judge_job(database: Path, query: str, gold: str = GOLD) -> JudgeJob:
    return JudgeJob(database=Database.at(database), gold=gold, query=query)


def execute_job(database: Path, query: str) -> ExecuteJob:
    return ExecuteJob(database=Database.at(database), query=query)


def judged(outcome: Outcome) -> Judgement:
    assert isinstance(outcome, Judgement), outcome
    return outcome


def test_outcomes_come_in_the_order_of_the_jobs(pool: WorkerPool, database: Path) -> None:
    jobs = [execute_job(database, f"SELECT {number}") for number in range(200)]
    outcomes = pool.run(jobs)
    assert [outcome.rows for outcome in outcomes if isinstance(outcome, QueryResult)] == [((n,),) for n in range(200)]
    assert pool.run([]) == []


def test_jobs_of_many_threads_are_all_answered(pool: WorkerPool, database: Path) -> None:
    answers: dict[int, list[Outcome]] = {}

    def ask(number: int) -> None:
        answers[number] = pool.run([execute_job(database, f"SELECT {number}, {part}") for part in range(20)])

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, outcomes in answers.items():
        assert [o.rows for o in outcomes if isinstance(o, QueryResult)] == [((number, part),) for part in range(20)]
    assert len(answers) == 8


def test_submit_does_not_wait(pool: WorkerPool, database: Path) -> None:
    future = pool.submit([execute_job(database, ENDLESS)])
    assert not future.done()
    (outcome,) = future.result()
    assert isinstance(outcome, QueryError) and outcome.category == "timeout"


def test_a_result_larger_than_any_buffer_arrives_whole(pool: WorkerPool, database: Path) -> None:
    query = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 300) SELECT x, " + LONG + " FROM c"
    jobs = [execute_job(database, query + f" WHERE x < {limit}") for limit in (200, 250)] * 3
    outcomes = pool.run(jobs)
    sizes = [len(outcome.rows) for outcome in outcomes if isinstance(outcome, QueryResult)]
    assert sizes == [199, 249] * 3


@pytest.mark.parametrize("query", [STUBBORN, ENDLESS])
def test_a_query_over_its_limit_is_a_timeout_and_harms_no_other(pool: WorkerPool, database: Path, query: str) -> None:
    jobs = [judge_job(database, query), *[judge_job(database, GOLD + " " * blank) for blank in range(60)]]
    first, *others = map(judged, pool.run(jobs))
    assert (first.error, first.is_correct) == ("timeout", False)
    assert all(other.is_correct for other in others)
    (again,) = pool.run([execute_job(database, query)])
    assert isinstance(again, QueryError) and again.category == "timeout"


def test_what_sqlite_cannot_interrupt_costs_the_worker(database: Path) -> None:
    pool = WorkerPool(ExecutorSettings(limits=LIMITS, suite=None, workers=1))
    (warm,) = pool.run([execute_job(database, "SELECT 1")])
    before = pool.pids
    (outcome,) = pool.run([execute_job(database, STUBBORN)])
    assert isinstance(outcome, QueryError) and outcome.category == "timeout"
    assert pool.replaced == 1 and pool.pids != before
    assert pool.run([execute_job(database, "SELECT 1")]) == [warm]
    pool.close()


def test_a_gold_over_its_limit_leaves_the_answer_unjudged(pool: WorkerPool, database: Path) -> None:
    for gold in (STUBBORN, ENDLESS):
        (outcome,) = pool.run([judge_job(database, "SELECT 1", gold=gold)])
        assert isinstance(outcome, Unjudged) and outcome.reason.startswith("gold: ")


def test_workers_killed_in_mid_batch_lose_nothing(database: Path) -> None:
    pool = WorkerPool(ExecutorSettings(limits=ExecutionLimits(seconds=20.0), suite=None, workers=2))
    slow = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 300000) SELECT count(*) + {} FROM c"
    future = pool.submit([execute_job(database, slow.format(number)) for number in range(40)])
    for _ in range(4):
        time.sleep(0.15)
        os.kill(pool.pids[0], signal.SIGKILL)
        os.kill(pool.pids[1], signal.SIGKILL)
    outcomes = future.result()
    assert pool.replaced >= 2
    # A job under which two workers died is given up; the others are all there, and right.
    given_up = [outcome for outcome in outcomes if isinstance(outcome, DatabaseFault)]
    assert len(given_up) <= 4 and all("workers died" in fault.message for fault in given_up)
    for number, outcome in enumerate(outcomes):
        assert isinstance(outcome, DatabaseFault) or (
            isinstance(outcome, QueryResult) and outcome.rows == ((300000 + number,),)
        )
    pool.close()


def test_one_kill_is_made_good_by_the_second_attempt(database: Path) -> None:
    pool = WorkerPool(ExecutorSettings(limits=ExecutionLimits(seconds=20.0), suite=None, workers=1))
    slow = "SELECT count(*) + (WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 2000000)"
    slow += " SELECT count(*) FROM c) FROM singer"
    pool.run([execute_job(database, "SELECT 1")])
    future = pool.submit([judge_job(database, slow, gold="SELECT 2000004")])
    time.sleep(0.1)
    assert not future.done()
    os.kill(pool.pids[0], signal.SIGKILL)
    assert judged(future.result()[0]).is_correct
    pool.close()


@needs_proc
def test_a_job_under_which_two_workers_die_is_unjudged(database: Path) -> None:
    pool = WorkerPool(ExecutorSettings(limits=ExecutionLimits(seconds=20.0), suite=None, workers=1))
    future = pool.submit([judge_job(database, ENDLESS)])
    killed: set[int] = set()
    while not future.done():
        (pid,) = pool.pids
        if pid not in killed and pool_is_busy(pid):
            os.kill(pid, signal.SIGKILL)
            killed.add(pid)
        time.sleep(0.01)
    (outcome,) = future.result()
    assert len(killed) == 2
    assert outcome == Unjudged(reason="executor: 2 workers died under it (signal 9)")
    (after,) = pool.run([judge_job(database, GOLD)])
    assert judged(after).is_correct
    pool.close()


def pool_is_busy(pid: int) -> bool:
    """The worker has used more processor time than starting takes: it is at the endless query."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except FileNotFoundError:
        return False
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") > 1.5


@pytest.mark.parametrize("defect", ["missing", "empty", "corrupt", "locked"])
def test_a_database_at_fault_leaves_its_rows_unjudged_and_no_others(
    pool: WorkerPool, database: Path, tmp_path: Path, defect: str
) -> None:
    broken = tmp_path / "broken.sqlite"
    shutil.copy(database, broken)
    (before,) = pool.run([judge_job(broken, GOLD)])
    assert judged(before).is_correct
    with closing(sqlite3.connect(broken, isolation_level=None)) as writer:
        if defect == "missing":
            broken.unlink()
        elif defect == "empty":
            broken.write_bytes(b"")
        elif defect == "corrupt":
            broken.write_bytes(b"no database " * 1000)
        else:
            writer.execute("BEGIN EXCLUSIVE")
        bad, good = pool.run([judge_job(broken, GOLD + "  "), judge_job(database, GOLD)])
        assert isinstance(bad, Unjudged) and bad.reason.startswith("database: ")
        assert judged(good).is_correct
        (executed,) = pool.run([execute_job(broken, "SELECT count(*) FROM concert")])
        assert isinstance(executed, DatabaseFault)


def test_a_database_that_is_free_again_is_judged(pool: WorkerPool, database: Path) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        (outcome,) = pool.run([judge_job(database, GOLD)])
        assert isinstance(outcome, Unjudged)
        writer.execute("ROLLBACK")
    (outcome,) = pool.run([judge_job(database, GOLD)])
    assert judged(outcome).is_correct


def test_a_changed_database_changes_what_is_right(pool: WorkerPool, database: Path) -> None:
    count = "SELECT count(*) FROM singer"
    assert judged(pool.run([judge_job(database, "SELECT 4", gold=count)])[0]).is_correct
    with closing(sqlite3.connect(database)) as connection:
        connection.executescript("DELETE FROM singer WHERE age IS NULL")
    three, four = pool.run([judge_job(database, f"SELECT {number}", gold=count) for number in (3, 4)])
    assert judged(three).is_correct and not judged(four).is_correct


@needs_proc
def test_an_idle_worker_helps_a_busy_one(database: Path) -> None:
    pool = WorkerPool(ExecutorSettings(limits=ExecutionLimits(seconds=20.0), suite=None, workers=2))
    slow = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 200000) SELECT count(*) + {} FROM c"
    before = [processor_seconds(pid) for pid in pool.pids]
    pool.run([execute_job(database, slow.format(number)) for number in range(128)])
    used = [processor_seconds(pid) - start for pid, start in zip(pool.pids, before, strict=True)]
    assert min(used) > 0.2 * max(used)  # one database, but both worked
    pool.close()


def processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@needs_proc
def test_workers_can_write_no_file_and_take_no_more_memory_than_allowed(pool: WorkerPool) -> None:
    for pid in pool.pids:
        limits = Path(f"/proc/{pid}/limits").read_text().splitlines()
        soft = {line[:25].strip(): line[25:].split()[0] for line in limits}
        assert soft["Max file size"] == "0"
        assert soft["Max data size"] == str(ExecutorSettings(limits=LIMITS).worker_bytes)


@needs_proc
def test_closing_ends_the_workers_and_leaves_what_is_on_its_way_unjudged(database: Path) -> None:
    pool = WorkerPool(ExecutorSettings(limits=ExecutionLimits(seconds=20.0), suite=None, workers=1))
    pids = pool.pids
    future = pool.submit([judge_job(database, ENDLESS)])
    pool.close()
    assert future.result() == [Unjudged(reason="executor: closed")]
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    with pytest.raises(RuntimeError, match="closed"):
        pool.submit([judge_job(database, GOLD)])
    pool.close()


@needs_proc
def test_workers_end_with_a_parent_that_is_killed(database: Path, tmp_path: Path) -> None:
    import subprocess

    script = (
        "from envs.sql.executor.pool import WorkerPool; from envs.sql.executor.settings import ExecutorSettings;"
        "import time; pool = WorkerPool(ExecutorSettings(suite=None, workers=2)); print(*pool.pids, flush=True);"
        "time.sleep(60)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 2
        parent.kill()
        parent.wait()
        wait_until(lambda: not any(is_running(pid) for pid in pids))


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_workers_that_are_stopped_from_outside_are_replaced(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "SECONDS_WITHOUT_SIGN", 0.5)
    made = WorkerPool(ExecutorSettings(limits=LIMITS, suite=None, workers=2))
    made.run([execute_job(database, "SELECT 1")] * 40)
    for pid in made.pids:
        os.kill(pid, signal.SIGSTOP)
    outcomes = made.run([execute_job(database, f"SELECT {number}") for number in range(10)])
    assert [outcome.rows for outcome in outcomes if isinstance(outcome, QueryResult)] == [((n,),) for n in range(10)]
    assert made.replaced >= 1
    made.close()


def test_a_forked_process_is_told_to_have_a_pool_of_its_own(pool: WorkerPool, database: Path) -> None:
    child = os.fork()
    if child == 0:
        try:
            pool.submit([execute_job(database, "SELECT 1")])
        except RuntimeError as error:
            os._exit(0 if "forked" in str(error) else 2)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"workers": 0}, "workers"),
        ({"workers": 1.5}, "workers"),
        ({"cache_bytes": 0}, "cache_bytes"),
        ({"worker_bytes": 1_000}, "twice"),
    ],
)
def test_settings_that_cannot_work_are_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        ExecutorSettings(**options)  # type: ignore[arg-type]


def test_processes_on_one_machine_share_its_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = ExecutorSettings().process_count
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "1000")
    assert ExecutorSettings().process_count == 1 <= alone
