"""Runs one query on a SQLite file: read-only, sealed by an allow-list, inside limits of time, rows and bytes.

A query written by a model cannot write, attach, load, change a pragma or see another file: the authorizer knows only
reading, a list of functions and three pragmas that describe a table. What goes wrong is a value, never an exception:
``QueryError`` when the query is at fault, ``DatabaseFault`` when the database is (and nothing may be concluded about
the query).

Not covered: the deadline is looked at between rows, not inside one call of an SQL function. ``value_bytes`` and the
limit on LIKE patterns bound how long one call takes (tenths of a second at the default), but a query that strings
hundreds of the slowest calls together within one row still overruns its deadline. Only a process that can be killed
ends that.
"""

import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from envs.errors import ConfigurationError
from envs.sql.connections import DatabaseFaultError, WarmConnection, warm_connection

Row = tuple[Any, ...]

MESSAGE_CHARACTERS = 300


@dataclass(frozen=True, kw_only=True)
class ExecutionLimits:
    """What one query may cost."""

    seconds: float = 5.0
    """Wall time."""
    rows: int = 100_000
    """Rows of the result."""
    result_bytes: int = 32_000_000
    """Text and blobs of the whole result, each other value counted as 8 bytes."""
    value_bytes: int = 100_000
    """One text, blob or intermediate row (SQLITE_LIMIT_LENGTH)."""
    query_bytes: int = 20_000
    """The text of the query."""
    memory_bytes: int = 268_435_456
    """SQLite's heap. SQLite knows one such limit a process: the smallest that was ever asked for holds."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not isinstance(value, (int, float)) or isinstance(value, bool) or not value > 0:
                raise ConfigurationError(f"SQL limit '{name}' is {value!r}; expected a positive number")


@dataclass(frozen=True, kw_only=True)
class QueryResult:
    """What a query returned."""

    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    reads: frozenset[tuple[str, str]]
    """The (table, column) pairs that SQLite resolved the query to, in the schema's spelling; the column is empty where
    a table is only counted."""
    size: int
    """Bytes of the result as ``ExecutionLimits.result_bytes`` counts them."""


@dataclass(frozen=True, kw_only=True)
class QueryError:
    """Why a query returned nothing: its own fault."""

    category: str
    """``syntax``, ``several statements``, ``unknown table``, ``unknown column``, ``unknown function``, ``forbidden``,
    ``too complex`` (the query itself is beyond a limit), ``too large`` (what it computes is beyond one), ``timeout`` or
    ``runtime``."""
    message: str
    """The database's own words, cut to a length."""
    reads: frozenset[tuple[str, str]] = frozenset()
    """What SQLite had resolved before it stopped."""

    @property
    def is_parsed(self) -> bool:
        """SQLite's parser took the text as one permitted statement; what went wrong came after."""
        return self.category not in ("syntax", "several statements", "forbidden", "too complex")


@dataclass(frozen=True, kw_only=True)
class DatabaseFault:
    """The database is missing, empty, corrupt or locked: nothing can be said about the query."""

    message: str


Execution = QueryResult | QueryError | DatabaseFault


def execute(database: Path, query: str, limits: ExecutionLimits) -> Execution:
    """Runs ``query`` on ``database`` and says what came of it. Never raises because of either.

    The connection stays open for the next query of this thread on the same, unchanged file.
    """
    if len(query) > limits.query_bytes or len(query.encode(errors="replace")) > limits.query_bytes:
        return QueryError(category="too complex", message=f"the query is longer than {limits.query_bytes} bytes")
    try:
        warm = warm_connection(database, limits.value_bytes, limits.memory_bytes)
        return _run(warm, query, limits)
    except DatabaseFaultError as fault:
        return DatabaseFault(message=_shortened(str(fault)))


def _run(warm: WarmConnection, query: str, limits: ExecutionLimits) -> Execution:
    warm.reads.clear()
    deadline = time.monotonic() + limits.seconds
    warm.deadline = deadline
    try:
        try:
            columns, rows, size = _fetch(warm.connection, query, limits)
        except sqlite3.OperationalError as error:
            if "decode to UTF-8" not in str(error):
                raise
            # Public databases hold text in other encodings; bytes that are not UTF-8 become escapes, one to one.
            warm.connection.text_factory = _decode_leniently
            columns, rows, size = _fetch(warm.connection, query, limits)
    except _Refused as refusal:
        return QueryError(category=refusal.category, message=str(refusal), reads=frozenset(warm.reads))
    except (sqlite3.Error, sqlite3.Warning, MemoryError, UnicodeEncodeError, ValueError) as error:
        # ValueError and UnicodeEncodeError: null characters and lone surrogates in the text of the query.
        return _classified(error, frozenset(warm.reads))
    return QueryResult(columns=columns, rows=rows, reads=frozenset(warm.reads), size=size)


class _Refused(Exception):
    """A limit of ours, not of SQLite, was reached."""

    def __init__(self, category: str, message: str) -> None:
        super().__init__(message)
        self.category = category


def _fetch(
    connection: sqlite3.Connection, query: str, limits: ExecutionLimits
) -> tuple[tuple[str, ...], tuple[Row, ...], int]:
    cursor = connection.execute(query)
    try:
        if cursor.description is None:
            raise _Refused("syntax", "the text holds no statement")
        columns = tuple(column[0] for column in cursor.description)
        rows: list[Row] = []
        size = 0
        for row in cursor:
            size += sum(len(value) if isinstance(value, (str, bytes)) else 8 for value in row)
            rows.append(row)
            if len(rows) > limits.rows:
                raise _Refused("too large", f"more than {limits.rows} rows")
            if size > limits.result_bytes:
                raise _Refused("too large", f"a result of more than {limits.result_bytes} bytes")
        return columns, tuple(rows), size
    finally:
        cursor.close()  # gives the statement, its sorters and the file lock back now, not when the next query comes


def _decode_leniently(raw: bytes) -> str:
    return raw.decode(errors="backslashreplace")


_DATABASE_CODES = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_READONLY,  # what remains of it behind the authorizer: a hot journal that needs rolling back
    }
)
_CATEGORY_BY_CODE = {
    sqlite3.SQLITE_AUTH: "forbidden",
    sqlite3.SQLITE_INTERRUPT: "timeout",
    sqlite3.SQLITE_NOMEM: "too large",
    sqlite3.SQLITE_TOOBIG: "too large",
}
# SQLite reports most mistakes under one code; its wording, unchanged for many versions, tells them apart. The names in
# a message are the model's own words, so that what has a fixed beginning is looked for there and first.
_CATEGORY_BY_BEGINNING = {
    "no such column": "unknown column",
    "no such function": "unknown function",
    "no such table": "unknown table",
    "no such window function": "unknown function",
    "vtable constructor failed": "forbidden",
}
_CATEGORY_BY_WORDING = {
    "syntax error": "syntax",
    "incomplete input": "syntax",
    "unrecognized token": "syntax",
    "null character": "syntax",
    "surrogates not allowed": "syntax",
    "bindings supplied": "syntax",
    "one statement at a time": "several statements",
    "not authorized": "forbidden",
    "prohibited": "forbidden",
    "pattern too complex": "too large",
    "too many": "too complex",
    "tree is too large": "too complex",
    "stack overflow": "too complex",
    "at most": "too complex",
}


def _classified(error: BaseException, reads: frozenset[tuple[str, str]]) -> QueryError | DatabaseFault:
    code = getattr(error, "sqlite_errorcode", None)
    message = _shortened(str(error)) or "out of memory"
    if isinstance(error, MemoryError):
        return QueryError(category="too large", message=message, reads=reads)
    if code is not None:
        primary = code & 0xFF  # the upper bits only refine it
        if primary in _DATABASE_CODES:
            return DatabaseFault(message=message)
        if primary in _CATEGORY_BY_CODE:
            return QueryError(category=_CATEGORY_BY_CODE[primary], message=message, reads=reads)
    category = next((c for beginning, c in _CATEGORY_BY_BEGINNING.items() if message.startswith(beginning)), None)
    category = category or next((c for wording, c in _CATEGORY_BY_WORDING.items() if wording in message), "runtime")
    return QueryError(category=category, message=message, reads=reads)


def _shortened(message: str) -> str:
    return message if len(message) <= MESSAGE_CHARACTERS else message[: MESSAGE_CHARACTERS - 3] + "..."
