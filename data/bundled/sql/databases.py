"""Builds the SQLite databases that the bundled SQL tasks ask.

The rows come from seeded generators (one module a database), so no binary file has to be shipped. Built files carry a
digest of their schema and rows in SQLite's ``user_version`` and are built again only when that differs.

    python data/bundled/sql/databases.py [DIRECTORY]
"""

import contextlib
import hashlib
import os
import sqlite3
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from data.bundled.sql import bicycle_shop, museum, orchard, railway
from data.bundled.sql.row import Row
from envs.cache import cache_directory


@dataclass(frozen=True, kw_only=True)
class Database:
    """A schema and the function that makes its rows."""

    schema: str
    """CREATE TABLE statements."""
    rows: Callable[[], dict[str, list[Row]]]
    """Rows by table, parents before children; the same on every call."""


DATABASES: dict[str, Database] = {
    "bicycle_shop": Database(schema=bicycle_shop.SCHEMA, rows=bicycle_shop.rows),
    "museum": Database(schema=museum.SCHEMA, rows=museum.rows),
    "orchard": Database(schema=orchard.SCHEMA, rows=orchard.rows),
    "railway": Database(schema=railway.SCHEMA, rows=railway.rows),
}


def build(directory: Path | None = None) -> dict[str, Path]:
    """Makes sure that every database lies in ``directory``.

    Several processes may call it at once: each builds in a folder of its own and renames the finished file into
    place, and all of them write the same content. A file that is current is left untouched.

    Args:
        directory: where to, created when absent; the cache (``envs.cache``) by default.

    Returns:
        The file of each database, by name.

    Raises:
        OSError: the directory cannot be created or written.
    """
    home = cache_directory("databases") if directory is None else directory
    home.mkdir(parents=True, exist_ok=True)
    return {name: _ensure(home / f"{name}.sqlite", database) for name, database in DATABASES.items()}


def _ensure(path: Path, database: Database) -> Path:
    rows = database.rows()
    version = content_version(database.schema, rows)
    if not _is_current(path, version):
        with tempfile.TemporaryDirectory(prefix=f".{path.stem}-", dir=path.parent) as workshop:
            fresh = Path(workshop) / path.name
            _write(fresh, database.schema, rows, version)
            os.replace(fresh, path)
    return path


def content_version(schema: str, rows: dict[str, list[Row]]) -> int:
    """A positive 31-bit digest of a database's content, the size of SQLite's ``user_version``; never 0, its default."""
    digest = hashlib.sha256(repr((schema, rows)).encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1 or 1


def _is_current(path: Path, version: int) -> bool:
    if not path.exists():
        return False
    try:
        with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            found = connection.execute("PRAGMA user_version").fetchone()[0]
            return bool(found == version and connection.execute("PRAGMA quick_check").fetchone()[0] == "ok")
    except sqlite3.DatabaseError:  # a damaged file is not current: it is built again
        return False


def _write(path: Path, schema: str, rows: dict[str, list[Row]], version: int) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.executescript(schema)
        with connection:
            for table, table_rows in rows.items():
                places = ", ".join("?" * len(table_rows[0]))
                connection.executemany(f"INSERT INTO {table} VALUES ({places})", table_rows)
            connection.execute(f"PRAGMA user_version = {version}")


if __name__ == "__main__":
    for built in build(Path(sys.argv[1]) if len(sys.argv) > 1 else None).values():
        print(built)
