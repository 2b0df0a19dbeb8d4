"""Worker processes with a hard deadline for each comparison; a worker that is late is killed and replaced.

Callable from any thread; nothing is installed in the caller, no signal handler and no alarm. Workers are spawned, since
forking a process that runs threads or CUDA breaks it. They start with the first comparison and end with the
interpreter.
"""

import atexit
import multiprocessing.context
import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError, Future, TimeoutError
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any, Literal

from pebble import ProcessExpired, ProcessPool

from envs.math.worker import Comparison, compare, prepare

Outcome = Comparison | Literal["deadline", "verifier crash"]

START_SECONDS = 120.0
"""What starting workers may take on a busy machine, on top of the deadlines."""
REPLACE_SECONDS = 15.0
"""What killing a late worker and starting the next one may take."""
ATTEMPTS = 2
"""How often a pair is tried whose pool broke under it through no fault of its own."""

_LOCK = threading.Lock()
_POOLS: dict[tuple[int, int], ProcessPool] = {}


def compare_pairs(pairs: Sequence[tuple[str, str]], *, workers: int, deadline: float) -> list[Outcome]:
    """Compares (gold, answer) pairs in parallel, each within ``deadline`` seconds; one outcome a pair, in order.

    Pools are shared by all callers that ask for the same number of workers.
    """
    outcomes: list[Outcome] = ["verifier crash"] * len(pairs)
    waiting = list(range(len(pairs)))
    for _ in range(ATTEMPTS):
        if not waiting:
            break
        pool = _pool(workers)
        futures = {place: future for place in waiting if (future := _schedule(pool, pairs[place], deadline))}
        until = time.monotonic() + START_SECONDS + len(futures) * (deadline + REPLACE_SECONDS)
        for place, future in futures.items():
            outcome = _outcome(future, until)
            if outcome is not None:
                outcomes[place] = outcome
                waiting.remove(place)
        if waiting:
            _discard(workers, pool)
    return outcomes


def _schedule(pool: ProcessPool, pair: tuple[str, str], deadline: float) -> Future | None:
    try:
        return pool.schedule(compare, args=pair, timeout=deadline)
    except RuntimeError:  # the pool broke while idle, or another thread found it broken
        return None


def _outcome(future: Future, until: float) -> Outcome | None:
    """The outcome of a call; None when the pool broke before it was decided."""
    try:
        return future.result(timeout=max(until - time.monotonic(), 0))
    except TimeoutError:
        return "deadline" if future.done() else None
    except (BrokenProcessPool, CancelledError):
        return None
    except ProcessExpired:  # the worker died: out of memory, or of a stack overflow in C
        return "verifier crash"
    except Exception:
        # Whatever math-verify or sympy raised over hostile text comes back as an exception of any type.
        return "verifier crash"


def _pool(workers: int) -> ProcessPool:
    with _LOCK:
        key = (os.getpid(), workers)  # a forked child must not use its parent's
        if key not in _POOLS:
            _POOLS[key] = ProcessPool(max_workers=workers, initializer=prepare, context=_Context())
        return _POOLS[key]


def _discard(workers: int, pool: ProcessPool) -> None:
    with _LOCK:
        key = (os.getpid(), workers)
        if _POOLS.get(key) is pool:
            del _POOLS[key]
    pool.stop()
    pool.join()


@atexit.register
def _close() -> None:
    with _LOCK:
        own = [pool for (process, _), pool in _POOLS.items() if process == os.getpid()]
        _POOLS.clear()
    for pool in own:
        pool.stop()
        pool.join()


class _Process(multiprocessing.context.SpawnProcess):
    """A spawned process that does not import the caller's main module again.

    That module is a training script which loads torch and much else, a notebook, or a script without a main guard:
    seconds and gigabytes a worker at best, a worker that dies at once and is replaced for ever at worst.
    """

    @staticmethod
    def _Popen(process_obj: Any) -> Any:
        with _without_main():
            return multiprocessing.context.SpawnProcess._Popen(process_obj)


class _Context(multiprocessing.context.SpawnContext):
    Process = _Process


_MAIN_LOCK = threading.Lock()


@contextmanager
def _without_main() -> Iterator[None]:
    """Hides where the main module comes from while a process is launched (some milliseconds)."""
    with _MAIN_LOCK:
        main = sys.modules["__main__"]
        hidden: dict[str, Any] = {
            name: main.__dict__[name] for name in ("__file__", "__spec__") if name in main.__dict__
        }
        main.__dict__.pop("__file__", None)
        main.__spec__ = None
        try:
            yield
        finally:
            main.__dict__.update(hidden)
