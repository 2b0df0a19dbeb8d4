"""How fast SQL answers are judged, how late a query can end, and what it costs, on Spider's databases.

    python benchmarks/sql_executor.py --spider DIRECTORY

Every question gets a group of eight answers, as in training: drawn, with repetition, from its own gold and the golds of
three other questions to the same database, so that right and wrong answers mix and about half of a group repeats the
other half. All texts are respelled for each pass, so that none is known from before. Golds have been judged once
before, as they are when tasks are loaded. The baseline is the common design: for every answer, a thread that opens a
connection, executes gold and answer, and is interrupted at the limit; as many threads at a time as there are workers.
Both run in this process, one after the other.

The last line is one JSON object:

    dev_qps, train_qps  judged answers a second and core, on the task's own database
    dev_new_qps         the same when no answer repeats another: every one is executed and compared
    dev_memo_qps        the same answers a second time: none is
    dev_suite_qps       as dev_qps, with the test suite: what agrees on the database is tried on 8 more (built before)
    p99_ms              99th percentile of one answer, asked alone, from submission to outcome, on dev
    baseline_qps        the baseline on dev, a core; ratio = dev_qps / baseline_qps
    overrun_ms          the latest that a query ended after its limit, of some that SQLite can and cannot interrupt
    peak_rss_mib        the workers' and this process's largest memory together

Not covered: PostgreSQL and DuckDB, whose own speed would be measured.
"""

import argparse
import json
import os
import random
import sqlite3
import statistics
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from data.spider import SpiderReader
from envs.sql.databases.database import Database
from envs.sql.databases.execution import ExecutionLimits
from envs.sql.executor.job import ExecuteJob, JudgeJob, Judgement
from envs.sql.executor.pool import WorkerPool
from envs.sql.executor.settings import ExecutorSettings
from envs.sql.suite.settings import SuiteSettings

LIMIT_SECONDS = 0.2
LONG = "printf('%.*c', 90000, 'a')"
OVERDUE = {
    "an endless recursion": "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c",
    "a sort without end": "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x FROM c ORDER BY -x",
    "190 slow calls in a row": "SELECT " + " + ".join([f"instr({LONG}, printf('%.*c', 45000, 'a') || 'b')"] * 190),
    "60 slow patterns": "SELECT " + " + ".join([f"({LONG} LIKE '%' || printf('%.*c', 450, 'a') || 'b')"] * 60),
}


def read_jobs(spider: str, split: str, answers: int, limit: int | None) -> list[JudgeJob]:
    """The golds of a split, each as a job of its own."""
    tasks = SpiderReader(path=spider).read(split).tasks  # type: ignore[arg-type]
    tasks = tasks[:limit] if limit else tasks
    by_database: dict[Database, list[str]] = defaultdict(list)
    for task in tasks:
        by_database[task.database].append(task.gold)  # type: ignore[attr-defined]
    drawn = random.Random(0)
    jobs = []
    for number, task in enumerate(tasks):
        database, gold = task.database, task.gold  # type: ignore[attr-defined]
        candidates = [gold, *(drawn.choice(by_database[database]) for _ in range(3))]
        for text in drawn.choices(candidates, k=answers):
            # Blanks tell the groups' texts apart; they cost the database nothing.
            jobs.append(JudgeJob(database=database, gold=gold, query=text + " " * (1 + number % 97)))
    return jobs


def told_apart(jobs: Sequence[JudgeJob]) -> list[JudgeJob]:
    """The same jobs, no text like another."""
    return [
        JudgeJob(database=job.database, gold=job.gold, query=job.query + "\n" * (number % 31) + "\f" * (number % 37))
        for number, job in enumerate(jobs)
    ]


def respelled(jobs: Sequence[JudgeJob], mark: str) -> list[JudgeJob]:
    """The same jobs under texts that no cache has seen."""
    return [JudgeJob(database=job.database, gold=job.gold, query=job.query + mark) for job in jobs]


def rate(pool: WorkerPool, jobs: Sequence[JudgeJob], cores: int) -> float:
    """Judged answers a second and core."""
    start = time.perf_counter()
    outcomes = pool.run(jobs)
    seconds = time.perf_counter() - start
    unjudged = [outcome for outcome in outcomes if not isinstance(outcome, Judgement)]
    if unjudged:
        print(f"{len(unjudged)} unjudged, among them {unjudged[0]}")
    return len(jobs) / seconds / cores


def warmed(settings: ExecutorSettings, jobs: Sequence[JudgeJob]) -> WorkerPool:
    """A pool that has judged every gold once, as loading tasks does."""
    pool = WorkerPool(settings)
    golds = list(dict.fromkeys((job.database, job.gold) for job in jobs))
    pool.run([JudgeJob(database=database, gold=gold, query=gold) for database, gold in golds])
    return pool


def measure_split(jobs: Sequence[JudgeJob], settings: ExecutorSettings, cores: int) -> tuple[float, float, int]:
    """Rate of new texts (median of three passes), rate of known ones, and the workers' peak memory in bytes."""
    pool = warmed(settings, jobs)
    rates = [rate(pool, respelled(jobs, "\t" * number), cores) for number in range(1, 4)]
    known = rate(pool, respelled(jobs, "\t"), cores)
    peak = sum(map(peak_bytes, pool.pids))
    pool.close()
    return statistics.median(rates), known, peak


def measure_latency(jobs: Sequence[JudgeJob], settings: ExecutorSettings) -> float:
    """99th percentile of one answer asked alone, in milliseconds."""
    pool = warmed(settings, jobs)
    times = []
    for job in respelled(jobs, "\r"):
        start = time.perf_counter()
        pool.run([job])
        times.append(time.perf_counter() - start)
    pool.close()
    return 1000 * statistics.quantiles(times, n=100)[98]


def measure_overrun(database: Database, settings: ExecutorSettings) -> float:
    """The latest end after the limit, in milliseconds."""
    pool = WorkerPool(settings)
    worst = 0.0
    for name, query in OVERDUE.items():
        pool.run([ExecuteJob(database=database, query="SELECT 1") for _ in range(64)])
        start = time.perf_counter()
        pool.run([ExecuteJob(database=database, query=query)])
        late = 1000 * (time.perf_counter() - start - LIMIT_SECONDS)
        print(f"{name}: {late:+.1f} ms after its limit")
        worst = max(worst, late)
    pool.close()
    return worst


def measure_baseline(jobs: Sequence[JudgeJob], threads: int) -> float:
    """Answers a second of one thread a query, with a fresh connection and interrupt()."""
    with ThreadPoolExecutor(threads) as callers:
        start = time.perf_counter()
        list(callers.map(judge_in_threads, jobs))
        return len(jobs) / (time.perf_counter() - start)


def judge_in_threads(job: JudgeJob) -> bool:
    """True when gold and answer return the same set of rows."""
    gold, answer = (rows_in_thread(job.database.location, query) for query in (job.gold, job.query))
    return gold is not None and answer is not None and frozenset(gold) == frozenset(answer)


def rows_in_thread(location: str, query: str) -> list[tuple[object, ...]] | None:
    """What a query returns within five seconds, executed in a thread of its own."""
    connection = sqlite3.connect(location, check_same_thread=False)
    rows: list[list[tuple[object, ...]]] = []

    def execute() -> None:
        try:
            rows.append(connection.execute(query).fetchall())
        except sqlite3.Error:
            pass  # no rows: the answer is wrong

    thread = threading.Thread(target=execute)
    thread.start()
    thread.join(timeout=5.0)
    if thread.is_alive():
        connection.interrupt()
        thread.join()
    connection.close()
    return rows[0] if rows else None


def peak_bytes(pid: int) -> int:
    """The largest resident memory that a process has had."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spider", required=True, help="Spider in its official layout")
    parser.add_argument("--workers", type=int, help="worker processes; by default one a core")
    parser.add_argument("--answers", type=int, default=8, help="answers to each question")
    parser.add_argument("--limit", type=int, help="only the first questions of each split")
    arguments = parser.parse_args()
    plain = ExecutorSettings(suite=None, workers=arguments.workers)
    cores = plain.process_count
    dev = read_jobs(arguments.spider, "heldout", arguments.answers, arguments.limit)
    train = read_jobs(arguments.spider, "train", arguments.answers, arguments.limit)
    print(f"{len(dev)} answers to dev, {len(train)} to train, {cores} workers")
    dev_qps, memo_qps, dev_peak = measure_split(dev, plain, cores)
    new_qps, _, _ = measure_split(told_apart(dev), plain, cores)
    baseline = measure_baseline(dev[:: arguments.answers], cores) / cores
    print(f"dev {dev_qps:.0f}, new {new_qps:.0f}, known {memo_qps:.0f}, baseline {baseline:.0f} a second and core")
    train_qps, _, train_peak = measure_split(train, plain, cores)
    suite_qps, _, suite_peak = measure_split(
        dev, ExecutorSettings(suite=SuiteSettings(), workers=arguments.workers), cores
    )
    p99 = measure_latency(told_apart(dev[:: arguments.answers]), plain)
    late = ExecutorSettings(suite=None, workers=arguments.workers, limits=ExecutionLimits(seconds=LIMIT_SECONDS))
    summary = {
        "dev_qps": round(dev_qps),
        "train_qps": round(train_qps),
        "p99_ms": round(p99, 3),
        "baseline_qps": round(baseline),
        "ratio": round(dev_qps / baseline, 2),
        "overrun_ms": round(measure_overrun(dev[0].database, late), 1),
        "peak_rss_mib": round((max(dev_peak, train_peak, suite_peak) + peak_bytes(os.getpid())) / 2**20),
        "dev_new_qps": round(new_qps),
        "dev_memo_qps": round(memo_qps),
        "dev_suite_qps": round(suite_qps),
        "workers": cores,
    }
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
