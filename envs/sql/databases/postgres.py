"""PostgreSQL: a sealed session with a server, and scratch databases made of temporary tables.

The role of the connection string is one that ``postgres_role.py`` has made; a more powerful one is refused.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import psycopg
from psycopg import sql

from envs.sql.databases.database import Database
from envs.sql.databases.execution import DatabaseFault, DatabaseFaultError, Execution, ExecutionLimits, Row, shortened
from envs.sql.databases.identity import identity_of
from envs.sql.databases.postgres_catalog import copying_statements, read_tables
from envs.sql.databases.postgres_privileges import SCRATCH_SUFFIX, check_privileges, remedy
from envs.sql.databases.postgres_session import SealedPostgres, connect
from envs.sql.databases.schema import Table


class PostgresConnection:
    """A sealed, read-only session. A server that went away is connected to again, once for each query."""

    def __init__(self, database: Database, limits: ExecutionLimits) -> None:
        """
        Raises:
            DatabaseFaultError: the server cannot be reached, does not let us in, or the role may do too much.
        """
        self.identity: Hashable = identity_of(database)
        self._database = database
        self._limits = limits
        self._sealed = self._open()

    def _open(self) -> SealedPostgres:
        connection = connect(self._database, self._limits)
        try:
            check_privileges(connection, self._database.name)
        except psycopg.Error as error:
            connection.close()
            raise DatabaseFaultError(f"'{self._database.name}' cannot be asked: {shortened(str(error))}") from error
        except DatabaseFaultError:
            connection.close()
            raise
        return SealedPostgres(connection)

    def execute(self, query: str, limits: ExecutionLimits) -> Execution:
        """Runs one query of a model (``envs.sql.databases.connection``)."""
        execution = self._sealed.execute(query, limits)
        if not self._sealed.is_lost:
            return execution
        try:
            self._sealed.connection.close()
            self._sealed = self._open()
        except DatabaseFaultError as error:
            return DatabaseFault(message=str(error))
        return self._sealed.execute(query, limits)

    def execute_reversed(self, query: str, limits: ExecutionLimits) -> Execution | None:
        """None: PostgreSQL cannot be told to scan a table from its end."""
        return None

    def tables(self) -> tuple[Table, ...]:
        """The tables and views on the role's search path, in the order of their creation.

        Raises:
            DatabaseFaultError: the catalogue cannot be read.
        """
        return read_tables(self._sealed.connection)

    def close(self) -> None:
        """Gives up the connection."""
        self._sealed.connection.close()


class PostgresScratch:
    """The tables of a database as temporary ones of a session, to be filled with rows; they end with the session.

    Queries run as the role NAME_scratch, which may read these and nothing else: not the tables that they are copies of.
    """

    def __init__(self, database: Database, limits: ExecutionLimits) -> None:
        """
        Raises:
            DatabaseFaultError: as of ``PostgresConnection``; or the schema cannot be made again.
        """
        self._database = database
        self._limits = limits
        self._rows: Mapping[str, Sequence[Row]] = {}
        self._connection, self._sealed = self._open()

    def _open(self) -> tuple["psycopg.Connection[Any]", SealedPostgres]:
        connection = connect(self._database, self._limits)
        name = self._database.name
        role = connection.info.user
        try:
            check_privileges(connection, name)
            self._tables = tuple(table for table in read_tables(connection) if not table.is_view)
            statements = copying_statements(connection)
            with connection.transaction():
                for statement in statements:
                    connection.execute(statement.encode())
                connection.execute("SET search_path = pg_temp")
                reader = sql.Identifier(role + SCRATCH_SUFFIX)
                for table in read_tables(connection):
                    connection.execute(
                        sql.SQL("GRANT SELECT ON {} TO {}").format(sql.Identifier("pg_temp", table.name), reader)
                    )
                connection.execute(sql.SQL("SET LOCAL ROLE {}").format(reader))
                check_privileges(connection, name)
        except psycopg.errors.InsufficientPrivilege as error:
            connection.close()
            raise DatabaseFaultError(f"no scratch tables in '{name}': {error}; {remedy(role)}") from error
        except psycopg.Error as error:
            connection.close()
            raise DatabaseFaultError(f"the schema of '{name}' cannot be made again: {shortened(str(error))}") from error
        except DatabaseFaultError:
            connection.close()
            raise
        return connection, SealedPostgres(connection, role + SCRATCH_SUFFIX)

    def fill(self, rows: Mapping[str, Sequence[Row]]) -> None:
        """Replaces all rows; those that violate a constraint, or do not fit a type, are left out.

        Raises:
            DatabaseFaultError: the server refuses.
        """
        self._rows = rows
        try:
            if self._connection.closed:
                self._connection, self._sealed = self._open()
            with self._connection.transaction():
                for table in self._tables:
                    self._connection.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(table.name)))
                    self._insert(table.name, rows.get(table.name, ()))
        except psycopg.Error as error:
            raise DatabaseFaultError(f"the test database cannot be filled: {shortened(str(error))}") from error

    def _insert(self, table: str, rows: Sequence[Row]) -> None:
        if not rows:
            return
        places = sql.SQL("({})").format(sql.SQL(", ").join([sql.Placeholder()] * len(rows[0])))
        statement = sql.SQL("INSERT INTO {} VALUES {} ON CONFLICT DO NOTHING").format(
            sql.Identifier(table), sql.SQL(", ").join([places] * len(rows))
        )
        try:
            with self._connection.transaction():  # a savepoint
                self._connection.execute(statement, [_parameter(value) for row in rows for value in row])
        except (psycopg.IntegrityError, psycopg.DataError):
            # A key that is taken is ignored; of other violations the server does not tell which row is to blame.
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
        if not self._sealed.is_lost:
            return execution
        try:
            self._connection.close()
            self.fill(self._rows)
        except DatabaseFaultError as error:
            return DatabaseFault(message=str(error))
        return self._sealed.execute(query, limits)

    def close(self) -> None:
        """Ends the session, and with it the tables."""
        self._connection.close()


def _parameter(value: object) -> str | bytes | None:
    """A value as text, which the server reads as what the column wants."""
    return value if value is None or isinstance(value, bytes) else str(value)
