"""Verifier processes with a hard deadline for each pair, shared by all threads of the caller.

One thread for each process hands it pairs, a few at a time, and takes the outcomes as they come. A process that passes
a deadline ends itself; only the pair that it was at is lost, the others are given out again. Under a process that died
of anything else the pair is tried once more.

Callable from any thread. Nothing is installed in the caller: no signal handler, no alarm, no import hook. Processes
start with the first pair and end with the interpreter. (pebble's pool hangs when its workers are killed from outside,
and leaves a worker computing for ever when the parent is killed.)
"""

import atexit
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from typing import Literal, cast

from envs.math.process import VerifierProcess

Pair = tuple[str, ...]
"""Gold, answer and, where the answer claims one, its rounding: the arguments of ``envs.math.comparison.compare``. Or an
expression alone, for ``envs.math.evaluation.evaluate``."""
Outcome = Literal["equal", "different", "defective gold", "deadline", "verifier crash"]

PAIRS_A_MESSAGE = 8
ATTEMPTS = 2
"""How often a pair is tried under which a process died."""
FAILED_STARTS, KILLED_STARTS = 3, 30
"""How often in a row processes for one batch may end by themselves, or in all, before one is ready: a signal says
little of the next process. Counted by batch, so that a start which fails late does not fail the next batch."""


class _Order:
    """A pair on its way, and the batch that waits for it."""

    __slots__ = ("attempts", "batch", "pair", "place")

    def __init__(self, pair: Pair, batch: "_Batch", place: int) -> None:
        self.pair = pair
        self.batch = batch
        self.place = place
        self.attempts = 0


class _Batch:
    """The outcomes of one call, as they come in."""

    def __init__(self, size: int) -> None:
        self.future: Future[list[str]] = Future()
        self._outcomes: list[str] = ["verifier crash"] * size
        self._missing = size
        self._lock = threading.Lock()
        self.endings: list[int] = []
        """The signals, 0 for none, by which processes ended that were started for it and never got ready."""

    @property
    def is_hopeless(self) -> bool:
        """Too many processes in a row ended before they were ready."""
        return self.endings.count(0) >= FAILED_STARTS or len(self.endings) >= KILLED_STARTS

    def answer(self, place: int, outcome: str) -> None:
        with self._lock:
            self._outcomes[place] = outcome
            self._missing -= 1
            if self._missing == 0 and not self.future.done():
                self.future.set_result(self._outcomes)

    def fail(self, error: Exception) -> None:
        with self._lock:
            if not self.future.done():
                self.future.set_exception(error)


class VerifierPool:
    """A number of verifier processes and the queue before them."""

    def __init__(self, *, workers: int, deadline: float) -> None:
        """
        Args:
            workers: how many processes.
            deadline: seconds that one pair may take.
        """
        self._deadline = deadline
        self._waiting: deque[_Order] = deque()
        self._condition = threading.Condition()
        self._is_closed = False
        self._processes: list[VerifierProcess | None] = [None] * workers
        self._threads = [
            threading.Thread(target=self._serve, args=(place,), name=f"math-verifier-{place}", daemon=True)
            for place in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def pids(self) -> tuple[int, ...]:
        """The processes as they are now."""
        return tuple(process.pid for process in self._processes if process is not None)

    def run(self, pairs: Sequence[Pair]) -> list[Outcome]:
        """Compares: one outcome a pair, in order.

        Raises:
            RuntimeError: the processes cannot be started, or the pool is closed.
        """
        return cast(list[Outcome], self._run(pairs))

    def evaluate(self, expression: str) -> str:
        """What ``envs.math.evaluation.evaluate`` says of an expression, or ``deadline`` or ``verifier crash``.

        Raises:
            RuntimeError: as ``run``.
        """
        return self._run([(expression,)])[0]

    def _run(self, pairs: Sequence[Pair]) -> list[str]:
        if not pairs:
            return []
        batch = _Batch(len(pairs))
        with self._condition:
            if self._is_closed:
                raise RuntimeError("the math verifier is closed")
            self._waiting.extend(_Order(pair, batch, place) for place, pair in enumerate(pairs))
            self._condition.notify_all()
        return batch.future.result()

    def close(self) -> None:
        """Ends the processes. Who still waits gets a RuntimeError."""
        with self._condition:
            self._is_closed = True
            self._condition.notify_all()
        for process in self._processes:
            if process is not None:
                process.kill()
        for thread in self._threads:
            thread.join()
        self._fail_all("the math verifier is closed")

    def forget(self) -> None:
        """In a forked process: gives up the parent's connections, so that its verifiers still notice its end."""
        for process in self._processes:
            if process is not None:
                process.close()

    def _serve(self, place: int) -> None:
        while orders := self._take():
            try:
                self._process_orders(place, orders)
            except Exception as error:  # whatever it is: who waits must hear of it, and this thread must go on
                if (process := self._processes[place]) is not None:
                    self._processes[place] = None
                    process.abandon()
                self._fail(orders, f"the math verifier failed: {error!r}")
        if (process := self._processes[place]) is not None:
            process.end()

    def _process_orders(self, place: int, orders: deque[_Order]) -> None:
        """Has the orders answered or given back; each leaves ``orders`` with that, so that what is left is held."""
        batches = {order.batch for order in orders}
        process = self._processes[place] or self._started(place, batches)
        if process is None:
            self._give_back(orders)
            self._fail_hopeless(batches)
            return
        for batch in batches:
            batch.endings.clear()
        for outcome in process.compare([order.pair for order in orders]):
            order = orders.popleft()
            order.batch.answer(order.place, outcome)
        if orders:
            self._processes[place] = None
            ended_by = process.end()
            self._blame(orders.popleft(), ended_by)
            self._give_back(orders)

    def _take(self) -> deque[_Order]:
        """The next orders, as many as leave enough for the other processes; empty when the pool is closed."""
        with self._condition:
            self._condition.wait_for(lambda: self._waiting or self._is_closed)
            if self._is_closed:
                return deque()
            count = min(PAIRS_A_MESSAGE, -(-len(self._waiting) // (2 * len(self._threads))))
            return deque(self._waiting.popleft() for _ in range(count))

    def _started(self, place: int, batches: set[_Batch]) -> VerifierProcess | None:
        """A new process that is ready; None when it ended before, which each batch that waits for it remembers.

        The system may refuse one, too: no memory, no file descriptor, no working directory.
        """
        ended_by = 0
        try:
            process = self._processes[place] = VerifierProcess(self._deadline)
        except OSError as error:
            print(f"structrl: a math verifier cannot be started: {error}", file=sys.stderr)
        else:
            if not self._is_closed and process.wait_until_ready():
                return process
            self._processes[place] = None
            ended_by = process.end()
        for batch in batches:
            batch.endings.append(ended_by)
        return None

    def _blame(self, order: _Order, ended_by: int) -> None:
        """A process died at this pair, or (``ended_by`` 0) ended by itself before it: it had grown too large."""
        if ended_by == signal.SIGALRM:
            order.batch.answer(order.place, "deadline")
            return
        order.attempts += ended_by != 0
        if order.attempts < ATTEMPTS:
            self._give_back(deque([order]))
        else:
            order.batch.answer(order.place, "verifier crash")

    def _give_back(self, orders: deque[_Order]) -> None:
        """Puts orders back in front; none of them is left in ``orders``."""
        with self._condition:
            while orders:
                self._waiting.appendleft(orders.pop())
            self._condition.notify_all()

    def _fail_hopeless(self, batches: set[_Batch]) -> None:
        hopeless = {batch for batch in batches if batch.is_hopeless}
        for batch in hopeless:
            batch.fail(
                RuntimeError("the math verifier's processes die before they are ready; what they print says why")
            )
        with self._condition:
            self._waiting = deque(order for order in self._waiting if order.batch not in hopeless)

    def _fail_all(self, reason: str) -> None:
        with self._condition:
            orders = list(self._waiting)
            self._waiting.clear()
        self._fail(orders, reason)

    @staticmethod
    def _fail(orders: Iterable[_Order], reason: str) -> None:
        for order in orders:
            order.batch.fail(RuntimeError(reason))


_LOCK = threading.Lock()
_POOLS: dict[tuple[int, float], VerifierPool] = {}


def shared_pool(*, workers: int, deadline: float) -> VerifierPool:
    """The pool of this process with these settings, started when first asked for."""
    with _LOCK:
        if (workers, deadline) not in _POOLS:
            _POOLS[workers, deadline] = VerifierPool(workers=workers, deadline=deadline)
        return _POOLS[workers, deadline]


@atexit.register
def close_shared_pools() -> None:
    """Ends the processes of all shared pools; the next ``shared_pool`` starts new ones."""
    with _LOCK:
        pools = list(_POOLS.values())
        _POOLS.clear()
    for pool in pools:
        pool.close()


def _after_fork() -> None:
    """A forked child has the parent's pools, but none of the threads that serve them."""
    global _LOCK
    _LOCK = threading.Lock()
    for pool in _POOLS.values():
        pool.forget()
    _POOLS.clear()


os.register_at_fork(after_in_child=_after_fork)
