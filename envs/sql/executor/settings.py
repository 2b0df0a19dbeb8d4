"""How many workers there are and what each may take."""

import os
from dataclasses import dataclass, field
from typing import get_args

from envs.errors import ConfigurationError, nearest
from envs.sql.databases.execution import ExecutionLimits
from envs.sql.executor.job import Fact
from envs.sql.executor.spider_suite import require_suite_directory
from envs.sql.suite.settings import SuiteSettings


@dataclass(frozen=True, kw_only=True)
class ExecutorSettings:
    """The worker processes of one pool. Pools are shared by all who ask for the same settings."""

    limits: ExecutionLimits = field(default_factory=ExecutionLimits)
    """What one query may cost."""
    suite: SuiteSettings | None = field(default_factory=SuiteSettings)
    """The fuzzed databases that an answer must agree on beside the task's own; null for the task's own alone."""
    facts: tuple[str, ...] = ()
    """What is said of an answer besides: any of ``envs.sql.executor.job.Fact``. Components that need one name it."""
    spider_test_suite: str | None = None
    """For the fact of this name: the directory of Spider's official test suites, ``NAME/*.sqlite`` for each database
    (``envs.sql.executor.spider_suite``)."""
    workers: int | None = None
    """Processes; by default the machine's cores, divided by the training processes on it (``LOCAL_WORLD_SIZE``)."""
    worker_bytes: int = 2_147_483_648
    """Private memory of one worker (RLIMIT_DATA). What would pass it is ``too large``."""
    cache_bytes: int = 134_217_728
    """Results that one worker keeps for the next query on the same database."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "facts", tuple(self.facts))
        known = get_args(Fact)
        for fact in self.facts:
            if fact not in known:
                raise ConfigurationError(f"sql: unknown fact '{fact}'{nearest(fact, known)}; known: {', '.join(known)}")
        if "spider_test_suite" in self.facts:
            require_suite_directory(self.spider_test_suite)
        elif self.spider_test_suite is not None:
            raise ConfigurationError("sql: spider_test_suite is given, but facts do not hold 'spider_test_suite'")
        if self.workers is not None and (not isinstance(self.workers, int) or self.workers < 1):
            raise ConfigurationError(f"sql: workers is {self.workers!r}; expected an integer from 1, or null")
        for name in ("worker_bytes", "cache_bytes"):
            if not isinstance(getattr(self, name), int) or getattr(self, name) < 1:
                raise ConfigurationError(f"sql: {name} is {getattr(self, name)!r}; expected a positive integer")
        if self.worker_bytes < 2 * self.limits.memory_bytes:
            raise ConfigurationError(
                f"sql: worker_bytes {self.worker_bytes} must be at least twice the limit memory_bytes "
                f"{self.limits.memory_bytes}, or the limit could not be reached"
            )

    @property
    def process_count(self) -> int:
        """``workers``, or its default on this machine."""
        if self.workers is not None:
            return self.workers
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return max(1, cores // max(1, int(os.environ.get("LOCAL_WORLD_SIZE") or 1)))
