"""The contracts of a sealed connection and of a scratch database; ``kinds.py`` holds those who fulfil them."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Protocol

from envs.sql.databases.execution import Execution, ExecutionLimits, Row
from envs.sql.databases.schema import Table


class Connection(Protocol):
    """An open, read-only, sealed connection. Belongs to one thread."""

    identity: Hashable
    """What changes when the database does, as far as that can be seen cheaply: caches of results are keyed by it."""

    def execute(self, query: str, limits: ExecutionLimits) -> Execution:
        """Runs one query written by a model. Whatever goes wrong is a value, never an exception.

        Nothing that the query says may write, reach a file or the network, change a setting or read another database.
        ``limits.seconds`` is enforced as well as the database allows; a call that cannot be interrupted ends with the
        worker process that runs it.
        """
        ...

    def execute_reversed(self, query: str, limits: ExecutionLimits) -> Execution | None:
        """As ``execute``, with the rows of every table visited in the opposite order: a query whose result differs then
        depends on an order that it does not ask for. None where the database cannot be told so."""
        ...

    def tables(self) -> tuple[Table, ...]:
        """The tables and views, in the order of their creation (or by name, where the database does not know it).

        Raises:
            DatabaseFaultError: the catalogue cannot be read.
        """
        ...

    def close(self) -> None:
        """Gives up the connection."""
        ...


class Scratch(Protocol):
    """A private, in-memory copy of a database's schema, without its rows, for the databases of a test suite.

    Sealed against queries in the same way as ``Connection``, so that both give the same outcome for the same query.
    """

    def fill(self, rows: Mapping[str, Sequence[Row]]) -> None:
        """Replaces the rows of every table; a table that is not named becomes empty.

        A row that violates a constraint of the schema (a key, NOT NULL, CHECK) is left out. Foreign keys are not
        enforced: the caller draws rows that obey them.

        Raises:
            DatabaseFaultError: the database refuses.
        """
        ...

    def reverse(self) -> None:
        """From now on, until it is called again or ``fill`` is, the rows of every table are visited in the opposite
        order."""
        ...

    def execute(self, query: str, limits: ExecutionLimits) -> Execution:
        """As ``Connection.execute``."""
        ...

    def close(self) -> None:
        """Forgets schema and rows."""
        ...
