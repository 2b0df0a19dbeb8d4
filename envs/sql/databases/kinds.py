"""The kinds of databases that there are: who opens each. DuckDB and PostgreSQL are imported when first asked for."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

from envs.errors import ConfigurationError
from envs.sql.databases.connection import Connection, Scratch
from envs.sql.databases.database import Database
from envs.sql.databases.execution import ExecutionLimits

ScratchOpener = Callable[[Database, ExecutionLimits], Scratch]

_MODULES = {
    "sqlite": ("envs.sql.databases.sqlite", "Sqlite"),
    "duckdb": ("envs.sql.databases.duckdb", "Duckdb"),
    "postgres": ("envs.sql.databases.postgres", "Postgres"),
}


def open_connection(database: Database, limits: ExecutionLimits) -> Connection:
    """A sealed connection to ``database``.

    Raises:
        ConfigurationError: the driver of this kind is not installed.
        DatabaseFaultError: the database cannot be asked anything.
    """
    opened: Connection = _class(database, "Connection")(database, limits)
    return opened


def open_scratch(database: Database, limits: ExecutionLimits) -> Scratch:
    """An empty copy of the schema of ``database`` that can be filled with rows.

    Raises:
        ConfigurationError: the driver of this kind is not installed.
        DatabaseFaultError: the schema cannot be read, or not be made again.
    """
    opened: Scratch = _class(database, "Scratch")(database, limits)
    return opened


def _class(database: Database, role: str) -> Callable[[Database, ExecutionLimits], Any]:
    module, prefix = _MODULES[database.kind]
    try:
        made: Callable[[Database, ExecutionLimits], Any] = getattr(import_module(module), prefix + role)
        return made
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"a {database.kind} database needs the package '{error.name}': pip install 'structrl[databases]'"
        ) from error
