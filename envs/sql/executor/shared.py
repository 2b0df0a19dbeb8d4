"""The pools of this process, one for each settings, started when first asked for and ended with the process."""

import atexit
import os
import threading

from envs.sql.executor.pool import WorkerPool
from envs.sql.executor.settings import ExecutorSettings

_POOLS_LOCK = threading.Lock()
_POOLS: dict[tuple[int, ExecutorSettings], WorkerPool] = {}


def shared_pool(settings: ExecutorSettings) -> WorkerPool:
    """The pool of this process with these settings, started when first asked for."""
    with _POOLS_LOCK:
        key = (os.getpid(), settings)  # a forked child must not use its parent's
        if key not in _POOLS:
            _POOLS[key] = WorkerPool(settings)
        return _POOLS[key]


@atexit.register
def close_shared_pools() -> None:
    """Ends the workers of all shared pools of this process; the next ``shared_pool`` starts new ones."""
    with _POOLS_LOCK:
        own = [key for key in _POOLS if key[0] == os.getpid()]
        pools = [_POOLS.pop(key) for key in own]
    for pool in pools:
        pool.close()
