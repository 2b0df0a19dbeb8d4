"""What the real rows say about each column: the kind of its values, some of them, and whether NULL occurs."""

import datetime
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from envs.sql.databases.connection import Connection
from envs.sql.databases.execution import DatabaseFault, DatabaseFaultError, ExecutionLimits, QueryResult, Row
from envs.sql.databases.schema import Column, Table
from envs.sql.identifiers import quoted
from envs.sql.suite.query import ColumnKey

ValueKind = Literal["integer", "real", "decimal", "text", "date", "datetime", "boolean", "blob"]

SAMPLED_ROWS = 400
COUNTED_ROWS = 100_000
"""Rows in which a NULL is looked for."""
VALUES_A_COLUMN = 40
LONGEST_TEXT = 80
"""Longer texts are cut: a comment of a kilobyte distinguishes no more than its beginning."""

_KIND_BY_TYPE: dict[type, ValueKind] = {
    bool: "boolean",
    int: "integer",
    float: "real",
    Decimal: "decimal",
    str: "text",
    bytes: "blob",
    datetime.datetime: "datetime",
    datetime.date: "date",
}


@dataclass(frozen=True, kw_only=True)
class ColumnProfile:
    """What is known of a column's values."""

    kind: ValueKind
    values: tuple[Any, ...]
    """Different ones, as they come; possibly none."""
    rows: int
    """How many rows were looked at."""
    nulls: int
    """How many of them hold NULL."""


Profiles = Mapping[ColumnKey, ColumnProfile]


def read_profiles(connection: Connection, tables: Sequence[Table], limits: ExecutionLimits) -> Profiles:
    """The profile of every column of every table; views have no rows of their own.

    Raises:
        DatabaseFaultError: the database cannot be read.
    """
    profiles: dict[ColumnKey, ColumnProfile] = {}
    for table in tables:
        if table.is_view:
            continue
        name = quoted(table.name)
        rows = _rows(connection, f"SELECT * FROM {name} LIMIT {SAMPLED_ROWS}", limits)
        counts = ", ".join(f"COUNT({quoted(column.name)})" for column in table.columns)
        counted = f"SELECT COUNT(*), {counts} FROM (SELECT * FROM {name} LIMIT {COUNTED_ROWS}) AS counted"
        total, *known = (_rows(connection, counted, limits) or ((0,) * (len(table.columns) + 1),))[0]
        for index, column in enumerate(table.columns):
            values = [row[index] for row in rows if row[index] is not None]
            profiles[table.name, column.name] = ColumnProfile(
                kind=_kind(column, values),
                values=tuple(dict.fromkeys(_cut(value) for value in values))[:VALUES_A_COLUMN],
                rows=total,
                nulls=total - known[index],
            )
    return profiles


def _rows(connection: Connection, query: str, limits: ExecutionLimits) -> tuple[Row, ...]:
    outcome = connection.execute(query, limits)
    if isinstance(outcome, DatabaseFault):
        raise DatabaseFaultError(outcome.message)
    return outcome.rows if isinstance(outcome, QueryResult) else ()  # too large, too slow: the type has to do


def _kind(column: Column, values: Sequence[Any]) -> ValueKind:
    """The kind of most values; what the declared type says where there are none or of a kind of their own."""
    declared = declared_kind(column.type)
    counted = Counter(_KIND_BY_TYPE.get(type(value)) for value in values).most_common(1)
    if not counted or counted[0][0] is None:
        return declared
    kind = counted[0][0]
    # SQLite's columns take any value, but an INTEGER PRIMARY KEY refuses all but integers.
    return "integer" if declared == "integer" and column.is_primary_key else kind


def declared_kind(type_name: str) -> ValueKind:
    """The kind of value that a declared type promises (SQLite's affinity rules, with dates apart)."""
    name = type_name.upper()
    for words, kind in _KIND_BY_WORD.items():
        if any(word in name for word in words):
            return kind
    return "text"


_KIND_BY_WORD: dict[tuple[str, ...], ValueKind] = {
    ("INTERVAL", "POINT"): "text",
    ("INT", "SERIAL"): "integer",
    ("CHAR", "TEXT", "CLOB", "STRING"): "text",
    ("BLOB", "BYTEA"): "blob",
    ("REAL", "FLOA", "DOUB"): "real",
    ("NUMERIC", "DECIMAL", "NUMBER", "MONEY"): "real",
    ("BOOL",): "boolean",
}


def _cut(value: Any) -> Any:
    return value[:LONGEST_TEXT] if isinstance(value, (str, bytes)) else value
