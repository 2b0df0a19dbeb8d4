"""The test suites of one worker's golds: read from the disk or built when first asked for, their databases kept filled.

Test databases are small, and so is the time that a query gets on one: what runs on the task's own database in its time
and not on ten rows is at fault.
"""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import replace

from envs.sql.databases.connection import Connection
from envs.sql.databases.database import Database
from envs.sql.databases.execution import DatabaseFault, DatabaseFaultError, ExecutionLimits
from envs.sql.executor.deadline import Deadline
from envs.sql.executor.memo import Memo
from envs.sql.suite.agreement import ScratchPool
from envs.sql.suite.build import SuiteBuilder
from envs.sql.suite.settings import SuiteSettings
from envs.sql.suite.stability import agrees
from envs.sql.suite.storage import load_suite, store_suite
from envs.sql.suite.suite import TestSuite

INSTANCE_SECONDS = 1.0
"""At most, of a query on a test database."""
FILLING_SECONDS = 10.0
"""Of opening and filling a test database."""
BUILDERS = 4
"""Databases of which the worker remembers what building a suite has to know."""
SUITE_BYTES = 16_777_216
"""Suites that the worker keeps, counted as 100 bytes a value."""


class Suites:
    """Test suites by database and gold."""

    def __init__(self, settings: SuiteSettings, limits: ExecutionLimits, deadline: Deadline) -> None:
        self._settings = settings
        self._limits = limits
        self._instance_limits = replace(limits, seconds=min(limits.seconds, INSTANCE_SECONDS))
        self._deadline = deadline
        self._suites: Memo[TestSuite] = Memo(SUITE_BYTES, _suite_bytes)
        self._builders: OrderedDict[tuple[Database, Hashable], SuiteBuilder] = OrderedDict()
        self._scratches = ScratchPool(self._instance_limits)

    def get(self, database: Database, connection: Connection, gold: str) -> TestSuite:
        """The suite of ``gold``.

        Raises:
            DatabaseFaultError: the database cannot be read, or no test database can be made of its schema.
        """
        key = (database, connection.identity, gold)
        suite = self._suites.get(key)
        if suite is None:
            # The building ends by itself at settings.seconds, between two queries.
            self._deadline.allow("test suite", self._settings.seconds + 4 * self._limits.seconds + FILLING_SECONDS)
            suite = load_suite(database, connection.identity, gold, self._settings)
            if suite is None:
                suite = self._builder(database, connection).build(gold)
                store_suite(database, connection.identity, self._settings, suite)
            self._suites.put(key, suite)
        return suite

    def failed_instance(self, database: Database, suite: TestSuite, query: str) -> int | None:
        """The number of the first instance on which ``query`` and the gold part; None when they never do.

        Raises:
            DatabaseFaultError: a test database cannot be made or asked.
        """
        for number in range(len(suite.instances)):
            self._deadline.allow("test suite", FILLING_SECONDS)
            filled = self._scratches.get(database, suite, number)
            self._deadline.allow("instance", self._instance_limits.seconds)
            outcome = filled.scratch.execute(query, self._instance_limits)
            if isinstance(outcome, DatabaseFault):
                raise DatabaseFaultError(outcome.message)
            if not agrees(filled.gold, outcome, is_ordered=suite.is_ordered):
                return number
        return None

    def _builder(self, database: Database, connection: Connection) -> SuiteBuilder:
        key = (database, connection.identity)
        if key in self._builders:
            self._builders.move_to_end(key)
        else:
            while len(self._builders) >= BUILDERS:
                self._builders.popitem(last=False)[1].close()
            self._builders[key] = SuiteBuilder(database, self._settings, connection, self._limits)
        return self._builders[key]


def _suite_bytes(suite: TestSuite) -> int:
    return 1_000 + 100 * sum(len(row) for instance in suite.instances for rows in instance.values() for row in rows)
