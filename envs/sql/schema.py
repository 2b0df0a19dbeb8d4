"""The schema of a task's database as prompts and grammars read it: once for each state of the database."""

from collections.abc import Hashable
from functools import lru_cache

from envs.errors import ConfigurationError
from envs.sql.databases.database import Database
from envs.sql.databases.execution import DatabaseFaultError, ExecutionLimits, QueryResult
from envs.sql.databases.identity import identity_of
from envs.sql.databases.kinds import open_connection
from envs.sql.databases.schema import Table
from envs.sql.identifiers import quoted

_SAMPLE_LIMITS = ExecutionLimits(seconds=1.0, rows=1_000)


def read_schema(database: Database, only: tuple[str, ...] | None = None) -> tuple[Table, ...]:
    """The tables and views of a database.

    Args:
        only: the names of those that are wanted; None for all.

    Raises:
        ConfigurationError: the database cannot be read.
    """
    tables = _read_schema(database, current_identity(database))
    return tables if only is None else tuple(table for table in tables if table.name in only)


def current_identity(database: Database) -> Hashable:
    """What changes when the database does (``envs.sql.databases.identity``).

    Raises:
        ConfigurationError: there is no such database.
    """
    try:
        return identity_of(database)
    except DatabaseFaultError as fault:
        raise ConfigurationError(f"SQL task: {fault}") from fault


@lru_cache(maxsize=1024)
def _read_schema(database: Database, _identity: Hashable) -> tuple[Table, ...]:
    try:
        connection = open_connection(database, _SAMPLE_LIMITS)
        try:
            return connection.tables()
        finally:
            connection.close()
    except DatabaseFaultError as fault:
        raise ConfigurationError(f"SQL task: the schema of '{database.name}' cannot be read: {fault}") from fault


Samples = dict[tuple[str, str], tuple[object, ...]]


def sample_values(database: Database, count: int, only: tuple[str, ...] | None = None) -> Samples:
    """Up to ``count`` different values of each column, by (table, column); none where they take over a second.

    Args:
        only: the names of the tables that are wanted; None for all.

    Raises:
        ConfigurationError: the database cannot be read.
    """
    return _sample_values(database, count, only, current_identity(database)) if count else {}


@lru_cache(maxsize=1024)
def _sample_values(database: Database, count: int, only: tuple[str, ...] | None, _identity: Hashable) -> Samples:
    samples: Samples = {}
    try:
        connection = open_connection(database, _SAMPLE_LIMITS)
    except DatabaseFaultError as fault:
        raise ConfigurationError(f"SQL task: '{database.name}' cannot be read: {fault}") from fault
    try:
        for table in read_schema(database, only):
            for column in table.columns:
                name = quoted(column.name)
                result = connection.execute(
                    f"SELECT DISTINCT {name} FROM {quoted(table.name)} WHERE {name} IS NOT NULL LIMIT {count:d}",
                    _SAMPLE_LIMITS,
                )
                if isinstance(result, QueryResult):
                    samples[table.name, column.name] = tuple(value for (value,) in result.rows)
    finally:
        connection.close()
    return samples
