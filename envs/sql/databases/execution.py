"""What one execution of a query may cost, and what can come of it. Values only: nothing runs here."""

from dataclasses import dataclass
from typing import Any

from envs.errors import ConfigurationError

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
    """One text, blob or intermediate row (SQLite: SQLITE_LIMIT_LENGTH)."""
    query_bytes: int = 20_000
    """The text of the query."""
    memory_bytes: int = 268_435_456
    """What the database may take in a worker: SQLite's heap, DuckDB's buffers, PostgreSQL's work_mem. SQLite knows one
    such limit a process: the smallest that was ever asked for holds."""

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
    """The (table, column) pairs that the query was resolved to, in the schema's spelling; the column is empty where a
    table is only counted."""
    size: int
    """Bytes of the result as ``ExecutionLimits.result_bytes`` counts them."""


@dataclass(frozen=True, kw_only=True)
class QueryError:
    """Why a query returned nothing: its own fault."""

    category: str
    """``not SQL``, ``several statements``, ``unknown table``, ``unknown column``, ``unknown function``,
    ``not a read`` (or a read of what is not the task's), ``too complex`` (the query itself is beyond a
    limit), ``too large`` (what it computes is beyond one), ``timeout`` or ``runtime error``; of an intermediate query
    also ``not repeatable`` (``envs.sql.parsing.repeatability``)."""
    message: str
    """The database's own words, cut to a length."""
    reads: frozenset[tuple[str, str]] = frozenset()
    """What had been resolved before it stopped."""

    @property
    def is_parsed(self) -> bool:
        """The database's parser took the text as one permitted statement; what went wrong came after."""
        return self.category not in ("not SQL", "several statements", "not a read", "too complex")


@dataclass(frozen=True, kw_only=True)
class DatabaseFault:
    """The database is missing, empty, corrupt, locked or out of reach: nothing can be said about the query."""

    message: str


Execution = QueryResult | QueryError | DatabaseFault


class DatabaseFaultError(Exception):
    """The database cannot be asked anything. Raised where a connection is opened; never by a query."""


class RefusedError(Exception):
    """A limit of ours, not of the database, was reached; caught where the query was run."""

    def __init__(self, category: str, message: str) -> None:
        super().__init__(message)
        self.category = category


def shortened(message: str) -> str:
    """The message, cut to ``MESSAGE_CHARACTERS``."""
    return message if len(message) <= MESSAGE_CHARACTERS else message[: MESSAGE_CHARACTERS - 3] + "..."


def too_long(query: str, limits: ExecutionLimits) -> QueryError | None:
    """The error of a query whose text is longer than allowed; None when it is not."""
    size = len(query) if query.isascii() else len(query.encode(errors="replace"))
    if size > limits.query_bytes:
        return QueryError(category="too complex", message=f"the query is longer than {limits.query_bytes} bytes")
    return None


class RowCollector:
    """Gathers the rows of a result and raises ``RefusedError`` as soon as they pass the limits."""

    def __init__(self, limits: ExecutionLimits) -> None:
        self.rows: list[Row] = []
        self.size = 0
        self._limits = limits

    def add(self, rows: list[Row]) -> None:
        """Adds a few rows: callers fetch so many at a time that those in between fit in memory."""
        self.rows += rows
        self.size += sum([len(value) if isinstance(value, (str, bytes)) else 8 for row in rows for value in row])
        if len(self.rows) > self._limits.rows:
            raise RefusedError("too large", f"more than {self._limits.rows} rows")
        if self.size > self._limits.result_bytes:
            raise RefusedError("too large", f"a result of more than {self._limits.result_bytes} bytes")
