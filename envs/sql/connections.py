"""Warm read-only connections to SQLite files, a bounded number a thread, reopened when the file has changed."""

import os
import sqlite3
import stat
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from envs.sql.authorizer import TABLE_FUNCTIONS, make_authorizer

CONNECTIONS_PER_THREAD = 64
LOCK_SECONDS = 0.2
"""How long a query waits for a database that another process has locked."""
OPCODES_BETWEEN_CLOCK_LOOKS = 200
"""Virtual machine steps between two looks at the deadline; measured, fewer cost time and more gain none."""

_LIMITS = {
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_COLUMN: 1_000,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 50,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 200,
    # A LIKE costs (length of the text) x (length of the pattern) in one call, which no deadline interrupts.
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 500,
    sqlite3.SQLITE_LIMIT_WORKER_THREADS: 0,
}


class DatabaseFaultError(Exception):
    """The database cannot be asked anything; never leaves the executor."""


FileIdentity = tuple[int, int, int]


@dataclass(kw_only=True)
class WarmConnection:
    """An open, sealed connection and what its callbacks share with the executor."""

    connection: sqlite3.Connection
    identity: FileIdentity
    reads: set[tuple[str, str]] = field(default_factory=set)
    deadline: float = 0.0


class _ThreadConnections(threading.local):
    def __init__(self) -> None:
        self.process = os.getpid()
        self.by_key: OrderedDict[tuple[Path, int, int], WarmConnection] = OrderedDict()
        self.of_parent: list[object] = []


_connections = _ThreadConnections()


def file_identity(database: Path) -> FileIdentity:
    """What changes when the file does: inode, modification time in nanoseconds, size.

    Raises:
        DatabaseFaultError: there is no such file, or it is empty.
    """
    try:
        status = os.stat(database)
    except (OSError, ValueError) as error:
        raise DatabaseFaultError(f"no database file '{database}'") from error
    if not stat.S_ISREG(status.st_mode):
        raise DatabaseFaultError(f"'{database}' is not a file")
    if status.st_size == 0:
        raise DatabaseFaultError(f"'{database}' has 0 bytes")
    return (status.st_ino, status.st_mtime_ns, status.st_size)


def warm_connection(database: Path, value_bytes: int, memory_bytes: int) -> WarmConnection:
    """This thread's connection to ``database``, opened when there is none or when the file has changed since.

    Raises:
        DatabaseFaultError: the file is missing, empty or no database, or it is locked.
    """
    if _connections.process != os.getpid():
        # SQLite forbids the use of a connection across fork, its closing included: keep the parent's out of reach.
        _connections.of_parent.append(_connections.by_key)
        _connections.by_key = OrderedDict()
        _connections.process = os.getpid()
    opened = _connections.by_key
    key = (database, value_bytes, memory_bytes)
    warm = opened.get(key)
    try:
        identity = file_identity(database)
        if warm is not None and warm.identity == identity:
            opened.move_to_end(key)
            return warm
    except DatabaseFaultError:
        if warm is not None:
            opened.pop(key).connection.close()
        raise
    if warm is not None:
        opened.pop(key).connection.close()
    while len(opened) >= CONNECTIONS_PER_THREAD:
        opened.popitem(last=False)[1].connection.close()
    opened[key] = _open(database, identity, value_bytes, memory_bytes)
    return opened[key]


def _open(database: Path, identity: FileIdentity, value_bytes: int, memory_bytes: int) -> WarmConnection:
    try:
        # No statement cache: a statement must be prepared, and so authorized, each time that it runs.
        connection = sqlite3.connect(
            _location(database), uri=True, timeout=LOCK_SECONDS, isolation_level=None, cached_statements=0
        )
    except (OSError, sqlite3.Error) as error:
        raise DatabaseFaultError(f"'{database}' cannot be opened: {error}") from error
    try:
        connection.execute("PRAGMA query_only = ON")
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA temp_store = MEMORY")  # sorters stay off the disk, under the heap limit
        connection.execute(f"PRAGMA hard_heap_limit = {memory_bytes:d}")
        for name in TABLE_FUNCTIONS:
            connection.execute(f"SELECT 1 FROM {name} LIMIT 0")
        types = dict(connection.execute("SELECT lower(name), type FROM sqlite_master WHERE type IN ('table', 'view')"))
    except (sqlite3.Error, MemoryError) as error:
        connection.close()
        raise DatabaseFaultError(f"'{database}' cannot be read: {error}") from error
    for limit, value in {**_LIMITS, sqlite3.SQLITE_LIMIT_LENGTH: value_bytes}.items():
        connection.setlimit(limit, value)
    for name, strip in (("trim", str.strip), ("ltrim", str.lstrip), ("rtrim", str.rstrip)):
        connection.create_function(name, 2, _bounded_trim(strip), deterministic=True)
    warm = WarmConnection(connection=connection, identity=identity)
    views = frozenset(name for name, kind in types.items() if kind == "view")
    connection.set_authorizer(make_authorizer(frozenset(types), views, warm.reads))
    connection.set_progress_handler(lambda: time.monotonic() > warm.deadline, OPCODES_BETWEEN_CLOCK_LOOKS)
    return warm


def _location(database: Path) -> str:
    """The URI that opens the file without ever creating one beside it."""
    location = database.absolute().as_uri() + "?mode=ro"
    with database.open("rb") as file:
        header = file.read(20)
    if header[18:20] != b"\x02\x02":
        return location
    # Write-ahead logging: even a read-only connection creates a log and an index beside the file, unless it is told
    # that the file never changes. True while no log is pending.
    log = database.with_name(database.name + "-wal")
    if log.exists() and log.stat().st_size > 0:
        raise DatabaseFaultError(f"'{database}' has a pending write-ahead log; run PRAGMA wal_checkpoint(TRUNCATE)")
    return location + "&immutable=1"


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
