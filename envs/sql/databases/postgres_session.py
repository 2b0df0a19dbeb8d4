"""A session with a PostgreSQL server that runs queries sealed and limited.

A query runs as ``DECLARE c CURSOR FOR query`` in a read-only transaction that is rolled back: the server takes nothing
there but one SELECT, VALUES, TABLE or WITH without writes. It is sent by the extended protocol, in which a text holds
one statement. What its functions and tables may be is a matter of the role's privileges
(``postgres_privileges.py``), which the server enforces.

Not covered: the memory of one large value, on the server (give it a limit, see ``postgres_role.py``) and here (the
worker process has one). A call of a function that does not look for interrupts runs on in the server; here the query
ends with the worker process, and the server notices within ``client_connection_check_interval``, once it looks.
"""

import re
import time
from dataclasses import replace
from typing import Any

import psycopg
from psycopg.pq import ConnStatus, ExecStatus, TransactionStatus
from psycopg.pq.abc import PGconn, PGresult

from envs.sql.databases.database import Database
from envs.sql.databases.execution import (
    DatabaseFault,
    DatabaseFaultError,
    Execution,
    ExecutionLimits,
    QueryError,
    QueryResult,
    RefusedError,
    RowCollector,
    shortened,
    too_long,
)
from envs.sql.databases.postgres_errors import SYNTAX_ERROR, classified, state_of
from envs.sql.databases.postgres_values import columns_of, rows_of

SECONDS_TO_CONNECT = 10
LOCK_SECONDS = 0.2
"""How long a query waits for a table that another session has locked."""
FIRST_ROWS = 16
MOST_ROWS_A_FETCH = 1_000
BYTES_A_FETCH = 1_000_000
SHORTEST_TIMEOUT = 0.01
"""Seconds: what is left of a query's time is told to the server again after so many, and less is no time at all."""
_LARGEST_WORK_MEMORY = 2**31 - 1_024
_VERSION_THAT_CHECKS_CLIENTS = 140_000
_COMMENTS = re.compile(rb"--[^\n]*|/\*.*?\*/", re.DOTALL)
_CALLED = re.compile(r'([^\s".(]+)"?\(')
_EXPLAIN = re.compile(rb"\s*EXPLAIN\s(?P<read>.*)", re.IGNORECASE | re.DOTALL)


def connect(database: Database, limits: ExecutionLimits) -> "psycopg.Connection[Any]":
    """A connection with settings of ours, on which every query runs for itself.

    Raises:
        DatabaseFaultError: the server cannot be reached, or does not let us in.
    """
    try:
        connection = psycopg.connect(
            database.location, autocommit=True, connect_timeout=SECONDS_TO_CONNECT, application_name="structrl"
        )
    except (psycopg.Error, UnicodeError) as error:
        raise DatabaseFaultError(f"'{database.name}' cannot be reached: {shortened(str(error))}") from error
    settings = {
        "bytea_output": "hex",
        "client_encoding": "UTF8",
        "cursor_tuple_fraction": "1",  # all rows are fetched: planned as without a cursor
        "datestyle": "ISO",
        "extra_float_digits": "1",
        "hash_mem_multiplier": "1",
        "idle_in_transaction_session_timeout": "60s",
        "intervalstyle": "postgres",
        "jit": "off",
        "lock_timeout": f"{LOCK_SECONDS * 1000:.0f}ms",
        "max_parallel_workers_per_gather": "0",
        "standard_conforming_strings": "on",
        "timezone": "UTC",
        "work_mem": f"{max(64, min(limits.memory_bytes, _LARGEST_WORK_MEMORY) // 1024)}kB",
    }
    if connection.info.server_version >= _VERSION_THAT_CHECKS_CLIENTS:
        settings["client_connection_check_interval"] = "500ms"
    try:
        connection.execute("; ".join(f"SET {name} = '{value}'" for name, value in settings.items()).encode())
    except psycopg.Error as error:
        connection.close()
        raise DatabaseFaultError(f"'{database.name}' refuses a setting: {shortened(str(error))}") from error
    return connection


class SealedPostgres:
    """Runs queries of a model on a connection."""

    def __init__(self, connection: "psycopg.Connection[Any]", role: str | None = None) -> None:
        """
        Args:
            role: the role that queries are run as, where it is not the session's own.
        """
        self.connection = connection
        # libpq's own interface: its results are the server's texts, whose range Python's types do not limit.
        self._pgconn: PGconn = connection.pgconn
        self._role = b"" if role is None else b'; SET LOCAL ROLE "%s"' % role.replace('"', '""').encode()

    @property
    def is_lost(self) -> bool:
        """The server has ended the connection."""
        return self._pgconn.status != ConnStatus.OK

    def execute(self, query: str, limits: ExecutionLimits) -> Execution:
        """Runs one query; whatever goes wrong is a value."""
        if (error := too_long(query, limits)) is not None:
            return error
        try:
            text = query.encode()
        except UnicodeEncodeError as error_of_text:
            return QueryError(category="not SQL", message=str(error_of_text))
        if b"\0" in text:  # libpq would stop reading there
            return QueryError(category="not SQL", message="the query contains a null character")
        try:
            execution = _Run(self._pgconn, limits, self._role).execute(text)
            if isinstance(execution, QueryError) and execution.category == "unknown function":
                return self._with_function_looked_up(execution)
            return execution
        except RefusedError as refusal:
            return QueryError(category=refusal.category, message=str(refusal))
        except MemoryError:
            return QueryError(category="too large", message="out of memory")
        except psycopg.Error as error_of_connection:
            return DatabaseFault(message=shortened(str(error_of_connection)))

    def _with_function_looked_up(self, error: QueryError) -> QueryError:
        """PostgreSQL says of a known function with wrong arguments, too, that it does not exist."""
        called = _CALLED.search(error.message)
        name = "" if called is None else called[1]
        known = self.connection.execute("SELECT proname FROM pg_proc WHERE proname = %s LIMIT 1", [name]).fetchone()
        return error if known is None else replace(error, category="runtime error")


class _FailedError(Exception):
    """The server answered with an error."""

    def __init__(self, result: PGresult) -> None:
        super().__init__()
        self.result = result


class _Run:
    """One query in its transaction."""

    def __init__(self, pgconn: PGconn, limits: ExecutionLimits, role: bytes) -> None:
        self._pgconn = pgconn
        self._limits = limits
        self._role = role
        self._deadline = time.monotonic() + limits.seconds
        self._timeout_set_at = 0.0

    def execute(self, text: bytes) -> Execution:
        """Begins, runs, rolls back."""
        try:
            self._begin()
            explain = _EXPLAIN.fullmatch(text)
            if explain is None:
                return self._fetch(text)
            # What can be declared is a read, and has no ANALYZE in front of it, which would run it.
            self._declare(explain["read"], text)
            plan = self._statement(b"EXPLAIN " + explain["read"])
            collector = RowCollector(self._limits)
            collector.add(rows_of(plan))
            return _query_result(plan, collector)
        except _FailedError as failure:
            return classified(failure.result, is_late=time.monotonic() > self._deadline - SHORTEST_TIMEOUT)
        finally:
            self._roll_back()

    def _roll_back(self) -> None:
        """Leaves no transaction behind, or no connection. A ROLLBACK can itself fail once: over the limit on temporary
        files it does, and what the session was asked next would then fail for this query's sake."""
        for _ in range(2):
            if self._pgconn.status != ConnStatus.OK or self._pgconn.transaction_status == TransactionStatus.IDLE:
                return
            self._pgconn.exec_(b"ROLLBACK")
        if self._pgconn.transaction_status != TransactionStatus.IDLE:
            self._pgconn.finish()

    def _begin(self) -> None:
        _checked(self._pgconn.exec_(b"BEGIN READ ONLY; SET LOCAL statement_timeout = " + self._timeout() + self._role))

    def _timeout(self) -> bytes:
        """What is left of the query's time, in milliseconds. The server's limit is for each statement, ours for all."""
        self._timeout_set_at = time.monotonic()
        left = self._deadline - self._timeout_set_at
        if left < SHORTEST_TIMEOUT:
            raise RefusedError("timeout", f"more than {self._limits.seconds} s")
        return b"%d" % round(left * 1000)

    def _statement(self, text: bytes) -> PGresult:
        """Runs one statement by the extended protocol, which refuses several."""
        if time.monotonic() - self._timeout_set_at > SHORTEST_TIMEOUT:
            _checked(self._pgconn.exec_(b"SET LOCAL statement_timeout = " + self._timeout()))
        return _checked(self._pgconn.exec_params(text, None))

    def _declare(self, read: bytes, text: bytes) -> None:
        """Opens the cursor for ``read``, which the whole of ``text`` is, or explains."""
        try:
            self._statement(b"DECLARE c NO SCROLL CURSOR WITHOUT HOLD FOR " + read)
        except _FailedError as failure:
            if state_of(failure.result) != SYNTAX_ERROR:
                raise
            if not _COMMENTS.sub(b"", text).strip(b"; \t\r\n\f"):
                raise RefusedError("not SQL", "the text holds no statement") from None
            # Is it SQL, but no read? Preparing a statement does not run it, and its message has no DECLARE in it.
            self._roll_back()
            self._begin()
            _checked(self._pgconn.prepare(b"", text))
            raise RefusedError("not a read", "only reading is permitted") from None

    def _fetch(self, text: bytes) -> QueryResult:
        self._declare(text, text)
        collector = RowCollector(self._limits)
        count = FIRST_ROWS
        while True:
            result = self._statement(b"FETCH %d FROM c" % count)
            rows = rows_of(result)
            collector.add(rows)
            if len(rows) < count:
                return _query_result(result, collector)
            a_row = max(1, collector.size // len(collector.rows))
            count = min(MOST_ROWS_A_FETCH, max(1, BYTES_A_FETCH // a_row))


def _query_result(result: PGresult, collector: RowCollector) -> QueryResult:
    return QueryResult(columns=columns_of(result), rows=tuple(collector.rows), reads=frozenset(), size=collector.size)


def _checked(result: PGresult) -> PGresult:
    if result.status not in (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK):
        raise _FailedError(result)
    return result
