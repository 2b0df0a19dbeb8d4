"""How a SQLite file is opened without leaving anything beside it."""

from pathlib import Path

from envs.sql.databases.execution import DatabaseFaultError


def read_only_location(database: Path) -> str:
    """The URI that opens the file without ever creating one beside it.

    Raises:
        DatabaseFaultError: it has a write-ahead log that is not yet in the file.
        OSError: it cannot be read.
    """
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
