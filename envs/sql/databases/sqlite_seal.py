"""Closes a SQLite connection to everything but reading: authorizer, limits, bounded functions; and runs queries on it.

Not covered: the deadline is looked at between virtual machine steps, not inside one call of an SQL function.
``value_bytes`` and the limit on LIKE patterns bound how long one call takes (tenths of a second at the default), but a
query that strings hundreds of the slowest calls together within one row overruns its deadline: the worker process that
runs it is then killed (``envs.sql.executor``).
"""

import math
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from envs.sql.databases.execution import (
    Execution,
    ExecutionLimits,
    QueryError,
    QueryResult,
    RefusedError,
    RowCollector,
    too_long,
)
from envs.sql.databases.sqlite_authorizer import TABLE_FUNCTIONS, Authorizer, make_authorizer
from envs.sql.databases.sqlite_errors import classified

OPCODES_BETWEEN_CLOCK_LOOKS = 2_000
"""Virtual machine steps between two looks at the deadline: some tens of microseconds."""
ROWS_A_FETCH = 100

_LIMITS = {
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_COLUMN: 1_000,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 50,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 200,
    # A LIKE costs (length of the text) x (length of the pattern) in one call, which no deadline interrupts.
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 500,
    sqlite3.SQLITE_LIMIT_WORKER_THREADS: 0,
}


class SealedSqlite:
    """A SQLite connection that can only be read through ``execute``."""

    def __init__(self, connection: sqlite3.Connection, limits: ExecutionLimits) -> None:
        """Seals a connection that was opened with ``cached_statements=0``: a statement has to be prepared, and so
        authorized, each time that it runs.

        Raises:
            sqlite3.Error: the file is no database, or it is locked.
        """
        self.connection = connection
        self._reads: set[tuple[str, str]] = set()
        self._deadline = 0.0
        connection.execute("PRAGMA query_only = ON")
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA temp_store = MEMORY")  # sorters stay off the disk, under the heap limit
        connection.execute(f"PRAGMA hard_heap_limit = {limits.memory_bytes:d}")
        for name in TABLE_FUNCTIONS:
            connection.execute(f"SELECT 1 FROM {name} LIMIT 0")
        types = dict(connection.execute("SELECT lower(name), type FROM sqlite_master WHERE type IN ('table', 'view')"))
        for limit, value in {**_LIMITS, sqlite3.SQLITE_LIMIT_LENGTH: limits.value_bytes}.items():
            connection.setlimit(limit, value)
        for name, strip in (("trim", str.strip), ("ltrim", str.lstrip), ("rtrim", str.rstrip)):
            connection.create_function(name, 2, _bounded_trim(strip), deterministic=True)
        views = frozenset(name for name, kind in types.items() if kind == "view")
        self._authorize: Authorizer = make_authorizer(frozenset(types), views, self._reads)
        connection.set_progress_handler(self._is_late, OPCODES_BETWEEN_CLOCK_LOOKS)
        connection.set_authorizer(self._authorize)

    def _is_late(self) -> bool:
        return time.monotonic() > self._deadline

    @contextmanager
    def opened(self, *, for_writing: bool = False) -> Iterator[sqlite3.Connection]:
        """The connection without its seal, for statements of our own."""
        self._deadline = math.inf
        self.connection.set_authorizer(None)
        if for_writing:
            self.connection.execute("PRAGMA query_only = OFF")
        try:
            yield self.connection
        finally:
            if for_writing:
                self.connection.execute("PRAGMA query_only = ON")
            self.connection.set_authorizer(self._authorize)

    def visit_rows_in_reverse(self, is_reversed: bool) -> None:
        """Turns the order around in which tables are scanned where a query does not ask for one."""
        with self.opened() as connection:
            connection.execute(f"PRAGMA reverse_unordered_selects = {is_reversed:d}")

    def execute(self, query: str, limits: ExecutionLimits) -> Execution:
        """Runs one query; whatever goes wrong is a value."""
        if (error := too_long(query, limits)) is not None:
            return error
        self._reads.clear()
        self._deadline = time.monotonic() + limits.seconds
        try:
            try:
                return self._fetch(query, limits)
            except sqlite3.OperationalError as error:
                if "decode to UTF-8" not in str(error):
                    raise
                # Public databases hold text in other encodings; bytes that are not UTF-8 become escapes, one to one.
                self.connection.text_factory = _decode_leniently
                return self._fetch(query, limits)
        except RefusedError as refusal:
            return QueryError(category=refusal.category, message=str(refusal), reads=frozenset(self._reads))
        except (sqlite3.Error, sqlite3.Warning, MemoryError, UnicodeEncodeError, ValueError) as error:
            # ValueError and UnicodeEncodeError: null characters and lone surrogates in the text of the query.
            return classified(error, frozenset(self._reads))

    def _fetch(self, query: str, limits: ExecutionLimits) -> QueryResult:
        cursor = self.connection.execute(query)
        try:
            if cursor.description is None:
                raise RefusedError("not SQL", "the text holds no statement")
            collector = RowCollector(limits)
            while rows := cursor.fetchmany(ROWS_A_FETCH):
                collector.add(rows)
                if len(rows) < ROWS_A_FETCH:
                    break
            return QueryResult(
                columns=tuple([column[0] for column in cursor.description]),
                rows=tuple(collector.rows),
                reads=frozenset(self._reads),
                size=collector.size,
            )
        finally:
            cursor.close()  # gives the statement, its sorters and the file lock back now, not when the next query comes


def _decode_leniently(raw: bytes) -> str:
    return raw.decode(errors="backslashreplace")


def _bounded_trim(strip: Callable[[str, str], str]) -> Callable[[object, object], str | None]:
    """SQLite's own two-argument trim takes seconds where both texts are long, and no deadline interrupts a call."""

    def trim(text: object, characters: object) -> str | None:
        if text is None or characters is None:
            return None
        return strip(_as_text(text), _as_text(characters))

    return trim


def _as_text(value: object) -> str:
    """A value as SQLite's CAST AS TEXT writes it."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, float):
        mantissa, exponent_mark, exponent = f"{value:.15g}".partition("e")
        if mantissa.lstrip("-").isdigit():
            mantissa += ".0"
        return mantissa + exponent_mark + exponent
    return str(value)
