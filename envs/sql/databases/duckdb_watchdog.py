"""Interrupts queries that are past their deadline, from a thread of its own: DuckDB knows no time limit.

One thread serves all connections of a process: a thread for each would reserve 80 MiB of address space each. It sleeps
most of the time; a query that ends in time does not wake it.
"""

import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SECONDS_BETWEEN_INTERRUPTS = 0.01
"""An interrupt that arrives between two steps of a query is forgotten, so that one is not enough."""

_Interrupt = Callable[[], None]


class Watchdog:
    """Knows the deadlines of the queries that run."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._deadlines: dict[_Interrupt, float] = {}
        self._wakes_at = math.inf
        self._thread: threading.Thread | None = None

    @contextmanager
    def limited(self, seconds: float, interrupt: _Interrupt) -> Iterator[None]:
        """Calls ``interrupt`` again and again once the block has taken ``seconds``, and never after its end."""
        with self._condition:
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="query watchdog", daemon=True)
                self._thread.start()
            deadline = time.monotonic() + seconds
            self._deadlines[interrupt] = deadline
            if deadline < self._wakes_at:
                self._condition.notify()
        try:
            yield
        finally:
            with self._condition:
                del self._deadlines[interrupt]

    def _watch(self) -> None:
        with self._condition:
            while True:
                now = time.monotonic()
                for interrupt, deadline in self._deadlines.items():
                    if deadline <= now:
                        interrupt()
                first = min(self._deadlines.values(), default=math.inf)
                self._wakes_at = first if first > now else now + SECONDS_BETWEEN_INTERRUPTS
                self._condition.wait(None if first == math.inf else self._wakes_at - now)


WATCHDOG = Watchdog()
"""The process's own; always asked for by its module, since it is another one after a fork."""


def _start_afresh() -> None:
    """A forked process has no thread, and perhaps a lock that nobody gives back."""
    global WATCHDOG
    WATCHDOG = Watchdog()


os.register_at_fork(after_in_child=_start_afresh)
