"""The tables of a SQLite database as prompts and grammars need them: columns, types, keys, a few values."""

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from envs.errors import ConfigurationError
from envs.sql.connections import DatabaseFaultError, FileIdentity, file_identity
from envs.sql.executor import ExecutionLimits, QueryResult, Row, execute

# SQLite's keywords that cannot stand bare as a name of a table or column (the others fall back to identifiers).
RESERVED = frozenset(
    """
    add all alter and as autoincrement between case check collate commit constraint create default deferrable delete
    distinct drop else escape except exists foreign from group having in index insert intersect into is isnull join
    limit not nothing notnull null on or order primary references returning select set table then to transaction union
    unique update using values when where
    """.split()
)
# Bare names of columns they may be, but where a table or an alias is expected they start a join.
JOIN_WORDS = frozenset("cross full inner left natural outer right".split())
# Names that mean something else as an expression.
_VALUE_WORDS = frozenset("current_date current_time current_timestamp raise cast true false".split())

_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")

_SCHEMA_LIMITS = ExecutionLimits(seconds=30.0)


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of a table."""

    name: str
    type: str
    is_primary_key: bool = False


@dataclass(frozen=True, kw_only=True)
class ForeignKey:
    """Columns of a table that refer to columns of another."""

    columns: tuple[str, ...]
    table: str
    references: tuple[str, ...]
    """Empty where the schema leaves it at the other table's primary key."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """One table or view."""

    name: str
    columns: tuple[Column, ...]
    foreign_keys: tuple[ForeignKey, ...] = ()
    is_view: bool = False


def is_plain_name(name: str) -> bool:
    """True when ``name`` can be written without quotes wherever a name is expected."""
    lowered = name.lower()
    return bool(_PLAIN_NAME.match(name)) and lowered not in RESERVED | JOIN_WORDS | _VALUE_WORDS


def quoted(name: str) -> str:
    """``name`` in double quotes."""
    return '"' + name.replace('"', '""') + '"'


def identifier(name: str) -> str:
    """``name`` as SQL writes it: bare where it can be, in double quotes where it must be."""
    return name if is_plain_name(name) else quoted(name)


def read_schema(database: Path) -> tuple[Table, ...]:
    """The tables and views of a database, in the order of their creation.

    Raises:
        ConfigurationError: the database cannot be read.
    """
    return _read_schema(database, identity_of(database))


def identity_of(database: Path) -> FileIdentity:
    """What changes when the file does, so that what was read of it can be cached.

    Raises:
        ConfigurationError: there is no such file, or it is empty.
    """
    try:
        return file_identity(database)
    except DatabaseFaultError as fault:
        raise ConfigurationError(f"SQL task: {fault}") from fault


@lru_cache(maxsize=1024)
def _read_schema(database: Path, _identity: FileIdentity) -> tuple[Table, ...]:
    keys: dict[str, dict[int, list[Row]]] = {}
    for name, number, *link in _rows(
        database,
        'SELECT m.name, k.id, k."table", k."from", k."to" FROM sqlite_master AS m,'
        " pragma_foreign_key_list(m.name) AS k WHERE m.type = 'table' ORDER BY m.rowid, k.id, k.seq",
    ):
        keys.setdefault(name, {}).setdefault(number, []).append(tuple(link))
    columns: dict[tuple[str, bool], list[Column]] = {}
    for name, kind, column, type_name, position in _rows(
        database,
        "SELECT m.name, m.type, c.name, c.type, c.pk FROM sqlite_master AS m, pragma_table_info(m.name) AS c"
        " WHERE m.type IN ('table', 'view') AND m.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY m.rowid, c.cid",
    ):
        columns.setdefault((name, kind == "view"), []).append(
            Column(name=column, type=type_name, is_primary_key=position > 0)
        )
    return tuple(
        Table(
            name=name,
            columns=tuple(of_table),
            foreign_keys=tuple(_foreign_key(links) for links in keys.get(name, {}).values()),
            is_view=is_view,
        )
        for (name, is_view), of_table in columns.items()
    )


def _foreign_key(links: list[Row]) -> ForeignKey:
    return ForeignKey(
        columns=tuple(source for _, source, _ in links),
        table=links[0][0],
        references=tuple(target for _, _, target in links if target is not None),
    )


def _rows(database: Path, query: str) -> tuple[Row, ...]:
    result = execute(database, query, _SCHEMA_LIMITS)
    if not isinstance(result, QueryResult):
        raise ConfigurationError(f"SQL task: the schema of '{database}' cannot be read: {result.message}")
    return result.rows


def sample_values(database: Path, table: str, column: str, count: int, limits: ExecutionLimits) -> tuple[object, ...]:
    """Up to ``count`` different values of a column; none where they cannot be had within the limits."""
    name = quoted(column)
    result = execute(
        database, f"SELECT DISTINCT {name} FROM {quoted(table)} WHERE {name} IS NOT NULL LIMIT {count:d}", limits
    )
    return tuple(value for (value,) in result.rows) if isinstance(result, QueryResult) else ()
