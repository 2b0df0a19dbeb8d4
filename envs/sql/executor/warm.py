"""The open connections of one worker: a bounded number, opened anew when their database has changed."""

from collections import OrderedDict
from collections.abc import Mapping

from envs.sql.databases.database import Database
from envs.sql.databases.execution import DatabaseFaultError, ExecutionLimits
from envs.sql.databases.identity import identity_of
from envs.sql.executor.deadline import Deadline
from envs.sql.executor.timed import TimedConnection

OPEN_CONNECTIONS = {"sqlite": 64, "duckdb": 32, "postgres": 2}
"""Of one worker. Each on PostgreSQL is a session of the server."""


class WarmConnections:
    """Connections by the database's location, least recently used first."""

    def __init__(
        self, limits: ExecutionLimits, deadline: Deadline, capacity: Mapping[str, int] = OPEN_CONNECTIONS
    ) -> None:
        """
        Args:
            capacity: how many may be open, by kind of database.
        """
        self._capacity = capacity
        self._limits = limits
        self._deadline = deadline
        self._opened: OrderedDict[str, TimedConnection] = OrderedDict()

    def __len__(self) -> int:
        return len(self._opened)

    def get(self, database: Database) -> TimedConnection:
        """The connection to ``database`` as it is now.

        Raises:
            ConfigurationError: its driver is not installed.
            DatabaseFaultError: it cannot be asked anything.
        """
        location = database.location
        connection = self._opened.get(location)
        try:
            identity = identity_of(database)
        except DatabaseFaultError:
            self._drop(location)
            raise
        if connection is not None and connection.identity == identity:
            self._opened.move_to_end(location)
            return connection
        self._drop(location)
        while len(self._opened) >= self._capacity[database.kind]:
            self._opened.popitem(last=False)[1].close()
        self._opened[location] = opened = TimedConnection(database, self._limits, self._deadline)
        return opened

    def _drop(self, location: str) -> None:
        if (connection := self._opened.pop(location, None)) is not None:
            connection.close()
