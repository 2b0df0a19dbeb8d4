"""SQLite: a sealed connection to a file, and scratch databases in memory with the same schema."""

import sqlite3
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path

from envs.sql.databases.database import Database
from envs.sql.databases.execution import DatabaseFaultError, Execution, ExecutionLimits, Row
from envs.sql.databases.identity import file_identity
from envs.sql.databases.schema import Table
from envs.sql.databases.sqlite_catalog import read_tables
from envs.sql.databases.sqlite_file import read_only_location
from envs.sql.databases.sqlite_seal import SealedSqlite
from envs.sql.identifiers import quoted

LOCK_SECONDS = 0.2
"""How long a query waits for a database that another process has locked."""
FIRST_ROWID, ROWID_STEP = 11, 3


class SqliteConnection:
    """A sealed, read-only connection to a SQLite file."""

    def __init__(self, database: Database, limits: ExecutionLimits) -> None:
        """
        Raises:
            DatabaseFaultError: the file is missing, empty, locked or no database.
        """
        self.identity: Hashable = file_identity(database.location)
        self._connection = _connect(database)
        try:
            self._sealed = SealedSqlite(self._connection, limits)
        except (sqlite3.Error, MemoryError) as error:
            self._connection.close()
            raise DatabaseFaultError(f"'{database.location}' cannot be read: {error}") from error

    def execute(self, query: str, limits: ExecutionLimits) -> Execution:
        """Runs one query of a model (``envs.sql.databases.connection``)."""
        return self._sealed.execute(query, limits)

    def execute_reversed(self, query: str, limits: ExecutionLimits) -> Execution | None:
        """As ``execute``, with every table scanned from its end."""
        self._sealed.visit_rows_in_reverse(True)
        try:
            return self._sealed.execute(query, limits)
        finally:
            self._sealed.visit_rows_in_reverse(False)

    def tables(self) -> tuple[Table, ...]:
        """The tables and views, in the order of their creation.

        Raises:
            DatabaseFaultError: the catalogue cannot be read.
        """
        with self._sealed.opened() as connection:
            return read_tables(connection)

    def close(self) -> None:
        """Gives up the connection."""
        self._connection.close()


class SqliteScratch:
    """The schema of a SQLite file in memory, to be filled with rows."""

    def __init__(self, database: Database, limits: ExecutionLimits) -> None:
        """
        Raises:
            DatabaseFaultError: the schema cannot be read, or not be made again.
        """
        with_rows = _connect(database)
        try:
            statements = with_rows.execute(
                "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND type IN ('table', 'view', 'index')"
                " AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY rowid"
            ).fetchall()
        except sqlite3.Error as error:
            raise DatabaseFaultError(f"the schema of '{database.location}' cannot be read: {error}") from error
        finally:
            with_rows.close()
        self._is_reversed = False
        self._connection = sqlite3.connect(":memory:", isolation_level=None, cached_statements=0)
        try:
            for (statement,) in statements:
                self._connection.execute(statement)
            self._tables = tuple(table for table in read_tables(self._connection) if not table.is_view)
            self._with_hidden_rowid = frozenset(
                table.name for table in self._tables if _has_hidden_rowid(self._connection, table)
            )
            self._sealed = SealedSqlite(self._connection, limits)
        except (sqlite3.Error, sqlite3.Warning, DatabaseFaultError) as error:
            self._connection.close()
            raise DatabaseFaultError(f"the schema of '{database.location}' cannot be made again: {error}") from error

    def fill(self, rows: Mapping[str, Sequence[Row]]) -> None:
        """Replaces all rows; those that violate a constraint are left out.

        Raises:
            DatabaseFaultError: the database refuses.
        """
        if self._is_reversed:
            self.reverse()
        with self._sealed.opened(for_writing=True) as connection:
            try:
                connection.execute("BEGIN")
                for table in self._tables:
                    connection.execute(f"DELETE FROM {quoted(table.name)}")
                    if drawn := rows.get(table.name):
                        connection.executemany(*self._insertion(table, drawn))
                connection.execute("COMMIT")
            except (sqlite3.Error, ValueError) as error:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise DatabaseFaultError(f"the test database cannot be filled: {error}") from error

    def _insertion(self, table: Table, rows: Sequence[Row]) -> tuple[str, Sequence[Row]]:
        """The statement and what to give it for each row."""
        names = [quoted(column.name) for column in table.columns]
        if table.name in self._with_hidden_rowid:
            # With gaps, or max(rowid) would be the number of rows on every test database.
            names.insert(0, "rowid")
            rows = [(FIRST_ROWID + ROWID_STEP * number, *row) for number, row in enumerate(rows)]
        places = ", ".join("?" * len(names))
        return f"INSERT OR IGNORE INTO {quoted(table.name)} ({', '.join(names)}) VALUES ({places})", rows

    def reverse(self) -> None:
        """Turns the direction round in which tables are scanned."""
        self._is_reversed = not self._is_reversed
        self._sealed.visit_rows_in_reverse(self._is_reversed)

    def execute(self, query: str, limits: ExecutionLimits) -> Execution:
        """Runs one query of a model."""
        return self._sealed.execute(query, limits)

    def close(self) -> None:
        """Forgets schema and rows."""
        self._connection.close()


def _has_hidden_rowid(connection: sqlite3.Connection, table: Table) -> bool:
    """True when the rows have a number of their own that is none of the columns."""
    keys = [column for column in table.columns if column.is_primary_key]
    if len(keys) == 1 and keys[0].type.upper() == "INTEGER":
        return False
    if any(column.name.lower() == "rowid" for column in table.columns):
        return False
    try:
        connection.execute(f"SELECT rowid FROM {quoted(table.name)} LIMIT 0")
    except sqlite3.OperationalError:  # WITHOUT ROWID
        return False
    return True


def _connect(database: Database) -> sqlite3.Connection:
    path = Path(database.location)
    file_identity(path)
    try:
        # No statement cache: a statement must be prepared, and so authorized, each time that it runs.
        return sqlite3.connect(
            read_only_location(path), uri=True, timeout=LOCK_SECONDS, isolation_level=None, cached_statements=0
        )
    except (OSError, sqlite3.Error) as error:
        raise DatabaseFaultError(f"'{database.location}' cannot be opened: {error}") from error
