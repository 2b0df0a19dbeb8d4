"""DuckDB: a sealed connection to a file, and scratch databases in memory with the same schema."""

from collections.abc import Hashable, Mapping, Sequence

import duckdb

from envs.sql.databases.database import Database
from envs.sql.databases.duckdb_catalog import creating_statements, read_tables
from envs.sql.databases.duckdb_seal import SealedDuckdb, is_broken, open_unsealed
from envs.sql.databases.execution import DatabaseFault, DatabaseFaultError, Execution, ExecutionLimits, Row
from envs.sql.databases.identity import identity_of
from envs.sql.databases.schema import Table
from envs.sql.identifiers import quoted


class DuckdbConnection:
    """A sealed, read-only connection to a DuckDB file."""

    def __init__(self, database: Database, limits: ExecutionLimits) -> None:
        """
        Raises:
            DatabaseFaultError: the file is missing, empty, corrupt, locked by a process that writes, or no database.
        """
        self.identity: Hashable = identity_of(database)
        self._database = database
        self._limits = limits
        self._connection, self._sealed = self._open()

    def _open(self) -> tuple[duckdb.DuckDBPyConnection, SealedDuckdb]:
        connection = open_unsealed(self._limits)
        try:
            attach(connection, self._database)
            return connection, SealedDuckdb(connection)
        except (duckdb.Error, MemoryError) as error:
            connection.close()
            raise DatabaseFaultError(f"'{self._database.location}' cannot be read: {error}") from error

    def execute(self, query: str, limits: ExecutionLimits) -> Execution:
        """Runs one query of a model (``envs.sql.databases.connection``)."""
        execution = self._sealed.execute(query, limits)
        if is_broken(execution):
            self._sealed.close()
            try:
                self._connection, self._sealed = self._open()
            except DatabaseFaultError as error:
                return DatabaseFault(message=str(error))
        return execution

    def execute_reversed(self, query: str, limits: ExecutionLimits) -> Execution | None:
        """None: DuckDB cannot be told to scan a table from its end."""
        return None

    def tables(self) -> tuple[Table, ...]:
        """The tables of the schema ``main`` by name, each after those that it refers to, then the views.

        Raises:
            DatabaseFaultError: the catalogue cannot be read.
        """
        return read_tables(self._connection)

    def close(self) -> None:
        """Gives up the connection."""
        self._sealed.close()


class DuckdbScratch:
    """The schema of a DuckDB file in memory, to be filled with rows. Foreign keys are left out."""

    def __init__(self, database: Database, limits: ExecutionLimits) -> None:
        """
        Raises:
            DatabaseFaultError: the schema cannot be read, or not be made again.
        """
        identity_of(database)
        self._limits = limits
        self._rows: Mapping[str, Sequence[Row]] = {}
        connection = open_unsealed(limits)
        try:
            attach(connection, database)
            self._statements = creating_statements(connection)
            self._tables = tuple(table for table in read_tables(connection) if not table.is_view)
        except (duckdb.Error, MemoryError) as error:
            raise DatabaseFaultError(f"the schema of '{database.location}' cannot be read: {error}") from error
        finally:
            connection.close()
        self._name = database.name
        self._connection, self._sealed = self._open()

    def _open(self) -> tuple[duckdb.DuckDBPyConnection, SealedDuckdb]:
        connection = open_unsealed(self._limits)
        try:
            for statement in self._statements:
                connection.execute(statement)
            return connection, SealedDuckdb(connection)
        except (duckdb.Error, MemoryError) as error:
            connection.close()
            raise DatabaseFaultError(f"the schema of '{self._name}' cannot be made again: {error}") from error

    def fill(self, rows: Mapping[str, Sequence[Row]]) -> None:
        """Replaces all rows; those that violate a constraint are left out.

        Raises:
            DatabaseFaultError: the database refuses.
        """
        self._rows = rows
        try:
            for table in self._tables:
                self._connection.execute(f"DELETE FROM {quoted(table.name)}")
                self._insert(table, rows.get(table.name, ()))
        except (duckdb.Error, MemoryError) as error:
            raise DatabaseFaultError(f"the test database cannot be filled: {error}") from error

    def _insert(self, table: Table, rows: Sequence[Row]) -> None:
        if not rows:
            return
        places = "(" + ", ".join("?" * len(rows[0])) + ")"
        statement = f"INSERT INTO {quoted(table.name)} VALUES " + ", ".join([places] * len(rows))
        try:
            # INSERT OR IGNORE takes more than twice as long, and most rows violate nothing.
            self._connection.execute(statement, [value for row in rows for value in row])
        except (duckdb.ConstraintException, duckdb.ConversionException, duckdb.InvalidInputException):
            # DuckDB does not tell which row is to blame.
            if len(rows) > 1:
                middle = len(rows) // 2
                self._insert(table, rows[:middle])
                self._insert(table, rows[middle:])

    def reverse(self) -> None:
        """Turns the order round in which tables are scanned: the rows are put in the other way round."""
        self.fill({name: rows[::-1] for name, rows in self._rows.items()})

    def execute(self, query: str, limits: ExecutionLimits) -> Execution:
        """Runs one query of a model."""
        execution = self._sealed.execute(query, limits)
        if is_broken(execution):
            self._sealed.close()
            try:
                self._connection, self._sealed = self._open()
                self.fill(self._rows)
            except DatabaseFaultError as error:
                return DatabaseFault(message=str(error))
        return execution

    def close(self) -> None:
        """Forgets schema and rows."""
        self._sealed.close()


def attach(connection: duckdb.DuckDBPyConnection, database: Database) -> None:
    """Makes the file the default database of ``connection``, read-only.

    Raises:
        duckdb.Error: it cannot be opened.
    """
    location = database.location.replace("'", "''")
    # TYPE: without it DuckDB looks into the file, and fetches an extension for one of another kind.
    connection.execute(f"ATTACH '{location}' AS {quoted(database.name)} (READ_ONLY, TYPE duckdb)")
    connection.execute(f"USE {quoted(database.name)}")
