"""A pool of worker processes that judge queries, each database mostly in the same worker.

One thread of the parent talks to all workers and never waits for one of them. A job goes to the worker that its
database belongs to, whose caches know it, or to an idle one. When a worker dies, its other jobs are given out again,
the one that it was running is tried once more (unless its own deadline ended the worker, which answers it), and a new
worker takes its place.

Callable from any thread. Nothing is installed in the parent: no signal handler, no import hook.
"""

import os
import selectors
import signal
import socket
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from zlib import crc32

from envs.sql.executor.deadline import OPENING_SECONDS, OWN_SECONDS, Phase
from envs.sql.executor.job import Job, Outcome
from envs.sql.executor.order import ANSWER_PHASES, Batch, Order, crashed, overdue
from envs.sql.executor.process import WorkerProcess
from envs.sql.executor.settings import ExecutorSettings

JOBS_A_MESSAGE = 16
JOBS_IN_FLIGHT = 2 * JOBS_A_MESSAGE
"""A worker finds the next message waiting when it is done with one."""
ATTEMPTS = 2
"""How often a job is run under which a worker died."""
DELIVERIES = 5
"""How often a job is given out that no worker ever came to."""
CRASHES = frozenset({signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL, signal.SIGFPE})
"""What a database's own code dies of. A worker that was killed (SIGKILL) died of something else, memory for example."""
SECONDS_BETWEEN_LOOKS = 1.0
SECONDS_WITHOUT_SIGN = OPENING_SECONDS + OWN_SECONDS + 10.0
"""The longest that a worker may say nothing, on top of the limit of a query: more than its own timers allow it."""
FAILED_STARTS = 3
"""How often in a row, for each worker, one may end with an error before any has answered."""


class _Worker:
    """One place of the pool: its process, the orders that wait for it and those that it has."""

    def __init__(self, settings: ExecutorSettings) -> None:
        self.process = WorkerProcess(settings)
        self.waiting: deque[Order] = deque()
        self.in_flight: dict[int, Order] = {}
        self.fed = 0.0
        """When it was last handed orders."""


class WorkerPool:
    """Runs jobs in worker processes."""

    def __init__(self, settings: ExecutorSettings) -> None:
        self._settings = settings
        self._owner = os.getpid()
        self._lock = threading.Lock()
        self._submitted: deque[Order] = deque()
        self._is_closing = False
        self._number = 0
        self._failed_starts = 0
        self.replaced = 0
        """How many workers died and were replaced."""
        self._wake_up, self._woken = socket.socketpair()
        self._woken.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._workers = [_Worker(settings) for _ in range(settings.process_count)]
        for worker in self._workers:
            self._register(worker)
        self._thread = threading.Thread(target=self._run, name="sql-executor", daemon=True)
        self._thread.start()

    @property
    def pids(self) -> tuple[int, ...]:
        """The processes as they are now."""
        return tuple(worker.process.pid for worker in self._workers)

    def submit(self, jobs: Sequence[Job]) -> "Future[list[Outcome]]":
        """Runs ``jobs``; the future's result is one outcome a job, in order. Returns at once.

        Raises:
            RuntimeError: the pool is closed, or it is the parent's of a forked process.
        """
        if os.getpid() != self._owner:
            raise RuntimeError("a forked process needs a SQL executor of its own: envs.sql.executor.shared.shared_pool")
        batch = Batch(len(jobs))
        if not jobs:
            batch.future.set_result([])
            return batch.future
        with self._lock:
            if self._is_closing:
                raise RuntimeError("the SQL executor is closed")
            self._submitted.extend(Order(job, batch, place) for place, job in enumerate(jobs))
        self._wake_up.send(b"\0")
        return batch.future

    def run(self, jobs: Sequence[Job]) -> list[Outcome]:
        """As ``submit``, and waits."""
        return self.submit(jobs).result()

    def close(self) -> None:
        """Ends the workers. What is still on its way is unjudged."""
        with self._lock:
            if self._is_closing:
                return
            self._is_closing = True
        self._wake_up.send(b"\0")
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._is_closing:
                self._turn()
            self._end("executor: closed")
        except BaseException as error:  # a defect of ours: whoever waits must hear of it
            with self._lock:
                self._is_closing = True
            self._end(f"executor: {error!r}")
            raise

    def _turn(self) -> None:
        for key, events in self._selector.select(SECONDS_BETWEEN_LOOKS if self._is_busy() else None):
            if key.data is None:
                self._woken.recv(4096)
                continue
            if events & selectors.EVENT_WRITE:
                key.data.process.channel.flush()
            if events & selectors.EVENT_READ:
                self._receive(key.data)
        self._take_submitted()
        for worker in self._workers:
            self._feed(worker)
        self._kill_stopped()

    def _is_busy(self) -> bool:
        return any(worker.in_flight for worker in self._workers)

    def _kill_stopped(self) -> None:
        """A worker's own timer ends it whatever it does, unless it is stopped from outside (SIGSTOP, for example)."""
        now = time.monotonic()
        patience = self._settings.limits.seconds + SECONDS_WITHOUT_SIGN
        for worker in self._workers:
            if worker.in_flight and now - max(worker.fed, worker.process.last_sign()) > patience:
                worker.process.kill()

    def _take_submitted(self) -> None:
        with self._lock:
            orders, self._submitted = self._submitted, deque()
        for order in orders:
            place = crc32(order.job.database.location.encode(errors="replace")) % len(self._workers)
            self._workers[place].waiting.append(order)

    def _feed(self, worker: _Worker) -> None:
        while len(worker.in_flight) <= JOBS_IN_FLIGHT - JOBS_A_MESSAGE:
            taken = self._next_orders(worker)
            if not taken:
                break
            message = []
            for order in taken:
                self._number += 1
                order.deliveries += 1
                worker.in_flight[self._number] = order
                message.append((self._number, order.job))
            worker.fed = time.monotonic()
            worker.process.channel.send(message)
        self._watch(worker)

    def _next_orders(self, worker: _Worker) -> list[Order]:
        if worker.waiting:
            return [worker.waiting.popleft() for _ in range(min(JOBS_A_MESSAGE, len(worker.waiting)))]
        if worker.in_flight:
            return []
        # Idle: help the busiest, from the end of its queue, so that the two do not meet at one database.
        longest = max((other.waiting for other in self._workers), key=len)
        return [longest.pop() for _ in range(min(JOBS_A_MESSAGE, len(longest)))]

    def _receive(self, worker: _Worker) -> None:
        messages, is_open = worker.process.channel.receive()
        if messages:
            self._failed_starts = 0
        for message in messages:
            for number, outcome in message:
                worker.in_flight.pop(number).answer(outcome)
        if not is_open:
            self._replace(worker)

    def _replace(self, worker: _Worker) -> None:
        self._selector.unregister(worker.process.channel.socket)
        ended_by, number, phase = worker.process.end()
        self._start_again(worker, has_crashed=ended_by == 0)
        left, worker.in_flight = worker.in_flight, {}
        culprit = left.pop(number, None)
        for order in reversed(left.values()):
            if order.deliveries < DELIVERIES:
                worker.waiting.appendleft(order)
            else:
                order.give_up(f"executor: {order.deliveries} workers died before they came to it")
        if culprit is not None:
            self._answer_or_retry(worker, culprit, ended_by, phase)

    def _start_again(self, worker: _Worker, *, has_crashed: bool) -> None:
        self.replaced += 1
        self._failed_starts += has_crashed  # one that was killed says nothing of the next
        if self._failed_starts > FAILED_STARTS * len(self._workers):
            raise RuntimeError("the workers die before they are ready; what they print says why")
        worker.process = WorkerProcess(self._settings)
        self._register(worker)

    def _answer_or_retry(self, worker: _Worker, culprit: Order, ended_by: int, phase: Phase) -> None:
        culprit.attempts += 1
        if ended_by == signal.SIGALRM:
            culprit.answer(overdue(culprit.job, phase, self._settings.limits.seconds))
        elif culprit.attempts < ATTEMPTS:
            worker.waiting.appendleft(culprit)
        elif ended_by in CRASHES and phase in ANSWER_PHASES:
            culprit.answer(crashed(culprit.job, ended_by))
        else:
            culprit.give_up(f"executor: {ATTEMPTS} workers died under it (signal {ended_by})")

    def _register(self, worker: _Worker) -> None:
        self._selector.register(worker.process.channel.socket, selectors.EVENT_READ, worker)
        self._watch(worker)

    def _watch(self, worker: _Worker) -> None:
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if worker.process.channel.has_unsent else 0)
        key = self._selector.get_key(worker.process.channel.socket)
        if key.events != wanted:
            self._selector.modify(key.fileobj, wanted, worker)

    def _end(self, reason: str) -> None:
        for worker in self._workers:
            worker.process.end()
            for order in [*worker.in_flight.values(), *worker.waiting]:
                order.give_up(reason)
        for order in self._submitted:
            order.give_up(reason)
        self._selector.close()
        self._wake_up.close()
        self._woken.close()
