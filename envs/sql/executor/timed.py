"""Connections and scratch databases whose every query is under the worker's deadline.

Each call gets the time that it is allowed, counted from its beginning. What the worker is doing meanwhile (the gold,
the answer, the test suite) is said beforehand, by ``Deadline.phase``.
"""

from collections.abc import Mapping, Sequence

from envs.sql.databases.connection import Connection, Scratch
from envs.sql.databases.database import Database
from envs.sql.databases.execution import Execution, ExecutionLimits, Row
from envs.sql.databases.kinds import open_connection, open_scratch
from envs.sql.databases.schema import Table
from envs.sql.executor.deadline import Deadline

OPENING_SECONDS = 30.0
"""What opening a database or reading its catalogue may take, waiting for a lock or for a server included."""
FILLING_SECONDS = 10.0
"""What opening or filling a test database may take."""


class TimedConnection:
    """A connection under the deadline."""

    def __init__(self, database: Database, limits: ExecutionLimits, deadline: Deadline) -> None:
        """
        Raises:
            ConfigurationError: the driver of this kind is not installed.
            DatabaseFaultError: the database cannot be asked anything.
        """
        self._deadline = deadline
        with deadline.allowing(OPENING_SECONDS):
            self._connection: Connection = open_connection(database, limits)
        self.identity = self._connection.identity

    def execute(self, query: str, limits: ExecutionLimits) -> Execution:
        """Runs one query of a model."""
        with self._deadline.allowing(limits.seconds):
            return self._connection.execute(query, limits)

    def execute_reversed(self, query: str, limits: ExecutionLimits) -> Execution | None:
        """As ``execute``, with rows visited in the opposite order."""
        with self._deadline.allowing(limits.seconds):
            return self._connection.execute_reversed(query, limits)

    def tables(self) -> tuple[Table, ...]:
        """The tables and views.

        Raises:
            DatabaseFaultError: the catalogue cannot be read.
        """
        with self._deadline.allowing(OPENING_SECONDS):
            return self._connection.tables()

    def close(self) -> None:
        """Gives up the connection."""
        self._connection.close()


class TimedScratch:
    """A scratch database under the deadline."""

    def __init__(self, database: Database, limits: ExecutionLimits, deadline: Deadline) -> None:
        """
        Raises:
            DatabaseFaultError: the schema cannot be read, or not be made again.
        """
        self._deadline = deadline
        with deadline.allowing(FILLING_SECONDS):
            self._scratch: Scratch = open_scratch(database, limits)

    def fill(self, rows: Mapping[str, Sequence[Row]]) -> None:
        """Replaces the rows of every table.

        Raises:
            DatabaseFaultError: the database refuses.
        """
        with self._deadline.allowing(FILLING_SECONDS):
            self._scratch.fill(rows)

    def reverse(self) -> None:
        """Visits rows in the opposite order from now on."""
        with self._deadline.allowing(FILLING_SECONDS):
            self._scratch.reverse()

    def execute(self, query: str, limits: ExecutionLimits) -> Execution:
        """Runs one query of a model."""
        with self._deadline.allowing(limits.seconds):
            return self._scratch.execute(query, limits)

    def close(self) -> None:
        """Forgets schema and rows."""
        self._scratch.close()
