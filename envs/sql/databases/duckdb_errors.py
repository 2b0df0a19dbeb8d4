"""Which category an error of DuckDB belongs to."""

import re

import duckdb

from envs.sql.databases.execution import DatabaseFault, QueryError, shortened

_CATEGORY_BY_CLASS: tuple[tuple[type[Exception], str], ...] = (
    (MemoryError, "too large"),
    (duckdb.OutOfMemoryException, "too large"),
    (duckdb.InterruptException, "timeout"),
    (duckdb.PermissionException, "not a read"),
)
# Within a class DuckDB's wording tells mistakes apart. What a model wrote stands between the fixed words, so that only
# beginnings are looked at.
_CATEGORY_BY_BEGINNING = (
    (re.compile(r"Parser Error: Max expression depth"), "too complex"),
    (re.compile(r"Binder Error: Max(imum)? (expression|recursion) depth"), "too complex"),
    (re.compile(r"Parser Error: "), "not SQL"),
    (re.compile(r"Catalog Error: (Table|View|Schema|Catalog) with name "), "unknown table"),
    (re.compile(r"Catalog Error: [\w ]*\b(Function|Macro)\b[\w ]* with name "), "unknown function"),
    (re.compile(r"Binder Error: Catalog \".*?\" does not exist"), "unknown table"),
    (re.compile(r"Binder Error: Referenced (column|table) "), "unknown column"),
    (re.compile(r"Binder Error: Table \".*?\" does not have a column named "), "unknown column"),
    (re.compile(r"Binder Error: Column \".*?\" (referenced|not found)"), "unknown column"),
    (re.compile(r"Binder Error: Could not find key \".*?\" in struct"), "unknown column"),
    (re.compile(r"Invalid Input Error: Values were not provided for"), "not SQL"),
    (re.compile(r"Invalid Input Error: Python Conversion Failure"), "not SQL"),
)
_CORRUPT = re.compile(r"Corrupt database file|(IO|Serialization|FATAL|TransactionContext) Error", re.IGNORECASE)


def classified(error: BaseException) -> QueryError | DatabaseFault:
    """What an exception of the duckdb module says: the query's fault, by category, or the database's."""
    message = shortened(str(error)) or "out of memory"
    if "memory allocation failed" in message:  # under whichever class it happened
        return QueryError(category="too large", message=message)
    if isinstance(error, duckdb.IOException) or (isinstance(error, duckdb.Error) and _CORRUPT.match(message)):
        return DatabaseFault(message=message)
    category = next((category for kind, category in _CATEGORY_BY_CLASS if isinstance(error, kind)), None)
    category = category or next((c for beginning, c in _CATEGORY_BY_BEGINNING if beginning.match(message)), None)
    return QueryError(category=category or "runtime error", message=message)
