"""The test suites of one worker's golds: read from the disk or built when first asked for, their databases kept filled.

Test databases are small, and so is the time that a query gets on one.
"""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

from envs.sql.databases.connection import Connection
from envs.sql.databases.database import Database
from envs.sql.databases.execution import ExecutionLimits
from envs.sql.executor.deadline import Deadline
from envs.sql.executor.memo import Memo
from envs.sql.executor.timed import TimedScratch
from envs.sql.suite.agreement import Agreement, Disagreement, ScratchPool
from envs.sql.suite.build import SuiteBuilder
from envs.sql.suite.settings import SuiteSettings
from envs.sql.suite.storage import load_or_build
from envs.sql.suite.suite import TestSuite

INSTANCE_SECONDS = 1.0
"""At most, of a query on a test database."""
DATABASES = {"sqlite": 32, "duckdb": 8, "postgres": 2}
"""Databases of which the worker remembers what building a suite has to know, and keeps a test database to build on."""
SUITE_BYTES = 4_194_304
"""Suites that the worker keeps of each database, counted as 100 bytes a value."""
FILLED = {"sqlite": 512, "duckdb": 32, "postgres": 2}
"""Test databases that are kept filled, by kind: in SQLite 100 KiB each, in DuckDB some MiB, in PostgreSQL a session."""
FILE_BYTES = 64_000_000
"""What the cache of suites may write at a time; all other writing is forbidden to a worker."""


@dataclass(frozen=True, kw_only=True)
class _Suite:
    suite: TestSuite
    agreement: Agreement


@dataclass(frozen=True, kw_only=True)
class _Home:
    """All about one database as it is now."""

    connection: Connection
    """What the builder asks. When the worker has opened another one since, this one is closed."""
    builder: SuiteBuilder
    suites: Memo[_Suite]


class Suites:
    """Test suites by database and gold."""

    def __init__(self, settings: SuiteSettings, limits: ExecutionLimits, deadline: Deadline) -> None:
        self._settings = settings
        self._limits = limits
        self._instance_limits = replace(limits, seconds=min(limits.seconds, INSTANCE_SECONDS))
        self._deadline = deadline
        self._open_scratch = partial(TimedScratch, deadline=deadline)
        self._homes: dict[Database, _Home] = {}
        self._scratches = {
            kind: ScratchPool(self._instance_limits, capacity=capacity, open_scratch=self._open_scratch)
            for kind, capacity in FILLED.items()
        }

    def defect(self, database: Database, connection: Connection, gold: str) -> str | None:
        """Why the suite of ``gold`` tells too little; None when it does its work.

        Raises:
            DatabaseFaultError: the database cannot be read, or no test database can be made of its schema.
        """
        return self._get(database, connection, gold).suite.defect

    def disagreement(self, database: Database, connection: Connection, gold: str, query: str) -> Disagreement | None:
        """Where ``query`` and ``gold`` first part; None when they never do.

        Raises:
            DatabaseFaultError: as for ``defect``.
        """
        known = self._get(database, connection, gold)
        self._deadline.answer = query
        try:
            return known.agreement.disagreement(query)
        finally:
            self._deadline.answer = None

    def _get(self, database: Database, connection: Connection, gold: str) -> _Suite:
        self._deadline.enter("test suite")
        home = self._home(database, connection)
        known = home.suites.get(gold)
        if known is None:
            with _allowed_to_write():
                suite = load_or_build(home.builder, gold)
            known = _Suite(suite=suite, agreement=Agreement(home.builder, suite, self._scratches[database.kind]))
            home.suites.put(gold, known, _suite_bytes(known))
        return known

    def _home(self, database: Database, connection: Connection) -> _Home:
        home = self._homes.pop(database, None)
        if home is not None and home.connection is not connection:
            home.builder.close()
            if home.connection.identity != connection.identity:
                self._scratches[database.kind].close()  # among them those of the old schema
            home = None
        if home is None:
            while len(self._homes) >= DATABASES[database.kind]:  # the one that was not used for longest comes first
                self._homes.pop(next(iter(self._homes))).builder.close()
            home = _Home(
                connection=connection,
                builder=SuiteBuilder(database, self._settings, connection, self._limits, self._open_scratch),
                suites=Memo(SUITE_BYTES),
            )
        self._homes[database] = home
        return home


def _suite_bytes(known: _Suite) -> int:
    instances = known.suite.instances
    return 5_000 + 100 * sum(len(row) for instance in instances for rows in instance.values() for row in rows)


@contextmanager
def _allowed_to_write() -> Iterator[None]:
    """The worker may write files of a bounded size. No query of a model runs meanwhile."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES if hard < 0 else min(FILE_BYTES, hard), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
