"""Which category an error of SQLite belongs to."""

import sqlite3

from envs.sql.databases.execution import DatabaseFault, QueryError, shortened

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
    sqlite3.SQLITE_AUTH: "not a read",
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
    "vtable constructor failed": "not a read",
}
_CATEGORY_BY_WORDING = {
    "syntax error": "not SQL",
    "incomplete input": "not SQL",
    "unrecognized token": "not SQL",
    "null character": "not SQL",
    "surrogates not allowed": "not SQL",
    "bindings supplied": "not SQL",
    "one statement at a time": "several statements",
    "not authorized": "not a read",
    "prohibited": "not a read",
    "pattern too complex": "too large",
    "too many": "too complex",
    "tree is too large": "too complex",
    "stack overflow": "too complex",
    "at most": "too complex",
}


def classified(error: BaseException, reads: frozenset[tuple[str, str]]) -> QueryError | DatabaseFault:
    """What an exception of the sqlite3 module says: the query's fault, by category, or the database's."""
    code = getattr(error, "sqlite_errorcode", None)
    message = shortened(str(error)) or "out of memory"
    if isinstance(error, MemoryError):
        return QueryError(category="too large", message=message, reads=reads)
    if code is None and isinstance(error, sqlite3.ProgrammingError) and "closed" in message:
        return DatabaseFault(message=message)
    if code is not None:
        primary = code & 0xFF  # the upper bits only refine it
        if primary in _DATABASE_CODES:
            return DatabaseFault(message=message)
        if primary in _CATEGORY_BY_CODE:
            return QueryError(category=_CATEGORY_BY_CODE[primary], message=message, reads=reads)
    category = next((c for beginning, c in _CATEGORY_BY_BEGINNING.items() if message.startswith(beginning)), None)
    category = category or next((c for wording, c in _CATEGORY_BY_WORDING.items() if wording in message), None)
    return QueryError(category=category or "runtime error", message=message, reads=reads)
