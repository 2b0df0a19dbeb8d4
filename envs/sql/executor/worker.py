"""What runs in a worker process: jobs come in over a socket, outcomes go back, in order.

The process can allocate no more than its settings allow, and can write no file: what a database might be talked into
despite its seal, the kernel refuses. (The cache of test suites raises that limit for the moment in which it writes.)
"""

import gc
import logging
import mmap
import resource
import signal
import socket
import sys
import time
from pathlib import Path

from envs.sql.executor.channel import pack, receive
from envs.sql.executor.deadline import NOTE_BYTES, OWN_SECONDS, Deadline
from envs.sql.executor.job import ExamineJob, ExecuteJob, InspectJob, Job, JudgeJob, Outcome
from envs.sql.executor.judging import Judge
from envs.sql.executor.settings import ExecutorSettings

SECONDS_BETWEEN_SENDS = 0.005
"""Outcomes are sent together, but none waits longer for the next job to end."""
BLOATED = 0.8
"""Share of its memory at which a worker is replaced."""


def main(connection_descriptor: int, note_descriptor: int) -> None:
    """Serves until the parent closes the connection."""
    logging.getLogger("sqlglot").setLevel(logging.CRITICAL)  # it warns of what models write, at every query
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then closes the connection
    deadline = Deadline(mmap.mmap(note_descriptor, NOTE_BYTES))
    with socket.socket(fileno=connection_descriptor) as connection:
        settings: ExecutorSettings = receive(connection)
        _limit_process(settings.worker_bytes)
        judge = Judge(settings, deadline)
        # What is remembered is long-lived and holds no cycles: looking through it every 700 rows costs a tenth.
        gc.freeze()
        gc.set_threshold(100_000, 20, 20)
        try:
            connection.sendall(pack([]))  # ready
            while not _is_bloated(settings.worker_bytes):
                _serve(connection, receive(connection), judge, deadline)
        except (EOFError, ConnectionError, BrokenPipeError):
            return


def _serve(connection: socket.socket, jobs: list[tuple[int, Job]], judge: Judge, deadline: Deadline) -> None:
    outcomes: list[tuple[int, Outcome]] = []
    sent = time.monotonic()
    deadline.allow(OWN_SECONDS)
    for number, job in jobs:
        deadline.start(number)
        outcomes.append((number, _outcome(judge, job)))
        if time.monotonic() - sent > SECONDS_BETWEEN_SENDS:
            connection.sendall(pack(outcomes))
            outcomes = []
            sent = time.monotonic()
    deadline.stop()
    if outcomes:
        connection.sendall(pack(outcomes))


def _outcome(judge: Judge, job: Job) -> Outcome:
    if isinstance(job, JudgeJob):
        return judge.judge(job)
    if isinstance(job, ExecuteJob):
        return judge.execute(job)
    if isinstance(job, ExamineJob):
        return judge.examine(job)
    return judge.inspect(job) if isinstance(job, InspectJob) else judge.preview(job)


def _is_bloated(worker_bytes: int) -> bool:
    """The process holds so much that the next query would have little left. Allocators do not give back what a database
    once had: the worker then ends, and a new one takes its place."""
    try:
        data_pages = int(Path("/proc/self/statm").read_text().split()[5])
    except (OSError, IndexError, ValueError):  # not Linux
        return False
    return data_pages * resource.getpagesize() > BLOATED * worker_bytes


def _limit_process(worker_bytes: int) -> None:
    for kind, wanted in ((resource.RLIMIT_DATA, worker_bytes), (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_CORE, 0)):
        _, hard = resource.getrlimit(kind)
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        try:
            resource.setrlimit(kind, (soft, hard))
        except (OSError, ValueError) as error:  # macOS refuses some
            print(f"structrl: a worker runs without limit {kind}: {error}", file=sys.stderr)
