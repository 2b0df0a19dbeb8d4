"""Connections and scratch databases whose every call is under the worker's deadline.

Each call gets the time that it is allowed, counted from its beginning, and our own code behind it ``OWN_SECONDS``
again. What the worker is doing meanwhile (the gold, the answer, the test suite) is said beforehand, by
``Deadline.enter``.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import ParamSpec, TypeVar

from envs.sql.databases.connection import Connection, Scratch
from envs.sql.databases.database import Database
from envs.sql.databases.execution import Execution, ExecutionLimits, Row
from envs.sql.databases.kinds import open_connection, open_scratch
from envs.sql.databases.schema import Table
from envs.sql.executor.deadline import OPENING_SECONDS, OWN_SECONDS, Deadline

FILLING_SECONDS = 10.0
"""What opening or filling a test database may take."""

Arguments = ParamSpec("Arguments")
ResultT = TypeVar("ResultT")


def _within(
    deadline: Deadline,
    seconds: float,
    call: Callable[Arguments, ResultT],
    *arguments: Arguments.args,
    **options: Arguments.kwargs,
) -> ResultT:
    deadline.allow(seconds)
    try:
        return call(*arguments, **options)
    finally:
        deadline.allow(OWN_SECONDS)


class TimedConnection:
    """A connection under the deadline."""

    def __init__(self, database: Database, limits: ExecutionLimits, deadline: Deadline) -> None:
        """
        Raises:
            ConfigurationError: the driver of this kind is not installed.
            DatabaseFaultError: the database cannot be asked anything.
        """
        self._deadline = deadline
        self._connection: Connection = _within(deadline, OPENING_SECONDS, open_connection, database, limits)
        self.identity = self._connection.identity

    def execute(self, query: str, limits: ExecutionLimits) -> Execution:
        """Runs one query of a model."""
        return _within(self._deadline, limits.seconds, self._connection.execute, query, limits)

    def execute_reversed(self, query: str, limits: ExecutionLimits) -> Execution | None:
        """As ``execute``, with rows visited in the opposite order."""
        return _within(self._deadline, limits.seconds, self._connection.execute_reversed, query, limits)

    def tables(self) -> tuple[Table, ...]:
        """The tables and views.

        Raises:
            DatabaseFaultError: the catalogue cannot be read.
        """
        return _within(self._deadline, OPENING_SECONDS, self._connection.tables)

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
        self._scratch: Scratch = _within(deadline, FILLING_SECONDS, open_scratch, database, limits)

    def fill(self, rows: Mapping[str, Sequence[Row]]) -> None:
        """Replaces the rows of every table.

        Raises:
            DatabaseFaultError: the database refuses.
        """
        _within(self._deadline, FILLING_SECONDS, self._scratch.fill, rows)

    def reverse(self) -> None:
        """Visits rows in the opposite order from now on."""
        _within(self._deadline, FILLING_SECONDS, self._scratch.reverse)

    def execute(self, query: str, limits: ExecutionLimits) -> Execution:
        """Runs one query, of a model or of our own."""
        self._deadline.enter("instance" if query == self._deadline.answer else "test suite")
        return _within(self._deadline, limits.seconds, self._scratch.execute, query, limits)

    def close(self) -> None:
        """Forgets schema and rows."""
        self._scratch.close()
