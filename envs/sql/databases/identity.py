"""What tells that a database has changed, so that what was read of it can be cached."""

import os
import stat
from collections.abc import Hashable
from pathlib import Path

from envs.sql.databases.database import Database
from envs.sql.databases.execution import DatabaseFaultError

FileIdentity = tuple[int, int, int]


def identity_of(database: Database) -> Hashable:
    """Of a file: inode, modification time in nanoseconds, size. Of a server's database: its connection string, since
    nothing cheaper tells; it is taken not to change while a process runs.

    Raises:
        DatabaseFaultError: there is no such file, or it is empty.
    """
    return database.location if database.kind == "postgres" else file_identity(database.location)


def file_identity(path: str | Path) -> FileIdentity:
    """Inode, modification time in nanoseconds and size of a file that is not empty.

    Raises:
        DatabaseFaultError: there is no such file, or it is empty.
    """
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:
        raise DatabaseFaultError(f"no database file '{path}'") from error
    if not stat.S_ISREG(status.st_mode):
        raise DatabaseFaultError(f"'{path}' is not a file")
    if status.st_size == 0:
        raise DatabaseFaultError(f"'{path}' has 0 bytes")
    return (status.st_ino, status.st_mtime_ns, status.st_size)
