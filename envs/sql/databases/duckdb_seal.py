"""Closes a DuckDB connection to everything but reading: settings, the check of every statement; and runs queries on it.

Not covered: the parser, the optimizer and one call of a function are deaf to an interrupt, and what a function like
``replace`` builds in one call is not counted in DuckDB's memory limit. Both end with the worker process that runs the
query: it is killed at its deadline, and the operating system limits its memory (``envs.sql.executor``).
"""

from collections.abc import Callable

import duckdb

from envs.sql.databases import duckdb_watchdog
from envs.sql.databases.duckdb_errors import classified
from envs.sql.databases.duckdb_functions import SHOWN_VIEWS
from envs.sql.databases.duckdb_statement import permitted_statement
from envs.sql.databases.duckdb_values import make_row_converter
from envs.sql.databases.execution import (
    DatabaseFault,
    Execution,
    ExecutionLimits,
    QueryError,
    QueryResult,
    RefusedError,
    Row,
    RowCollector,
    too_long,
)

FIRST_ROWS = 16
MOST_ROWS_A_FETCH = 1_000
BYTES_A_FETCH = 1_000_000
"""How many bytes of rows are fetched at a time, judged by those before."""

_SETTINGS = {
    "allow_community_extensions": "false",
    "async_threads": "0",  # they read ahead from remote files; eight for each connection
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "max_expression_depth": "200",
    "python_enable_replacements": "false",  # FROM x would else read a variable of that name in our code
    "temp_directory": "",  # nothing spills to the disk
    "threads": "1",
}


def open_unsealed(limits: ExecutionLimits) -> duckdb.DuckDBPyConnection:
    """An empty database in memory under ``limits``; files can still be attached.

    Not a connection to the file itself: all those of a process share one database and its settings.
    """
    return duckdb.connect(":memory:", config={**_SETTINGS, "memory_limit": f"{limits.memory_bytes:d}B"})


class SealedDuckdb:
    """A DuckDB connection whose queries only read."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Seals ``connection``, to which everything that it needs has been attached.

        Raises:
            duckdb.Error: DuckDB refuses.
        """
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        internal = connection.execute("SELECT lower(view_name) FROM duckdb_views() WHERE internal").fetchall()
        self._hidden_views = frozenset(name for (name,) in internal) - SHOWN_VIEWS
        self._connection = connection
        self._functions: frozenset[str] = frozenset()
        self._interrupt = connection.interrupt

    def _is_function(self, name: str) -> bool:
        if not self._functions:
            names = self._connection.execute("SELECT DISTINCT lower(function_name) FROM duckdb_functions()").fetchall()
            self._functions = frozenset(known for (known,) in names)
        return name in self._functions

    def execute(self, query: str, limits: ExecutionLimits) -> Execution:
        """Runs one query; whatever goes wrong is a value."""
        if (error := too_long(query, limits)) is not None:
            return error
        try:
            with duckdb_watchdog.WATCHDOG.limited(limits.seconds, self._interrupt):
                statement = permitted_statement(self._connection, query, self._hidden_views, self._is_function)
                return self._fetch(statement, limits)
        except RefusedError as refusal:
            return QueryError(category=refusal.category, message=str(refusal))
        except RecursionError:
            return QueryError(category="too complex", message="the query is nested too deeply")
        except UnicodeEncodeError as error:
            return QueryError(category="not SQL", message=str(error))
        except (duckdb.Error, MemoryError, RuntimeError, ValueError, OverflowError) as error:
            # The last three: values that Python's types cannot hold.
            return classified(error)

    def _fetch(self, statement: str, limits: ExecutionLimits) -> QueryResult:
        cursor = self._connection.execute(statement)
        description = cursor.description or []
        convert: Callable[[list[Row]], list[Row]] = make_row_converter([str(column[1]) for column in description])
        collector = RowCollector(limits)
        count = FIRST_ROWS
        try:
            while rows := cursor.fetchmany(count):
                collector.add(convert(rows))
                a_row = max(1, collector.size // len(collector.rows))
                count = min(MOST_ROWS_A_FETCH, max(1, BYTES_A_FETCH // a_row))
        except RefusedError:
            self._connection.execute("SELECT 1")  # ends the stream of rows, and gives back what it holds
            raise
        return QueryResult(
            columns=tuple([column[0] for column in description]),
            rows=tuple(collector.rows),
            reads=frozenset(),
            size=collector.size,
        )

    def close(self) -> None:
        """Gives up the connection."""
        self._connection.close()


def is_broken(execution: Execution) -> bool:
    """DuckDB may refuse everything after an error of its own; the connection has to be opened again."""
    return isinstance(execution, (QueryError, DatabaseFault)) and execution.message.startswith(
        ("INTERNAL Error", "FATAL Error")
    )
