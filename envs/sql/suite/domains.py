"""Which values each column of a small database may hold: few, and shared by the columns that are compared.

Columns that refer to each other, or that the gold compares, form one class with one pool: the gold's constants and
their neighbours, and some real values. Whatever is drawn comes from there, so that joins meet and groups collide.
"""

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from random import Random
from typing import Any

from envs.sql.databases.schema import Column, ForeignKey, Table
from envs.sql.suite.literals import Demands
from envs.sql.suite.neighbours import above, below, numbered
from envs.sql.suite.profile import ColumnProfile, Profiles, ValueKind
from envs.sql.suite.query import ColumnKey

REAL_VALUES = 5
"""Real values in a class's pool."""
NEAR_VALUES = 24
LARGEST_INTEGER = 2**62
"""Beyond it, sums of a few values leave the 64 bits of the databases' integers."""

_DEFAULTS: dict[ValueKind, tuple[Any, ...]] = {
    "integer": (1, 2, 5),
    "real": (1.0, 2.5, 4.0),
    "decimal": (Decimal(1), Decimal("2.5"), Decimal(4)),
    "text": ("a", "b", "c"),
    "boolean": (False, True),
    "blob": (b"a", b"b"),
}
_DEFAULT_DATES = ("2001-02-03", "2002-03-04", "2003-01-01")


@dataclass(frozen=True, kw_only=True)
class Domain:
    """The values of one column."""

    near: tuple[Any, ...]
    """The gold's constants and their neighbours."""
    meeting: tuple[Any, ...]
    """Values that meet a condition of the gold on this very column."""
    wanted: tuple[Any, ...]
    """Values that meet a condition on any column of its class: a key has to offer what is asked of those that refer to
    it."""
    real: tuple[Any, ...]
    """Values of the real database, or of the declared type where it has none; never empty."""
    has_null: bool
    """NULL may stand here."""

    def distinct(self, count: int, random: Random, *, first: Sequence[Any] = ()) -> list[Any]:
        """``count`` different values, ``first`` among them, in random order (fewer for booleans)."""
        rest = [*self.near, *self.real]
        random.shuffle(rest)
        pool = list(dict.fromkeys([*first, *rest]))
        base, number, known = self.real[0], 1, {*pool}
        while len(pool) < count and number < 4 * count + 8:
            value = numbered(base, number)
            if value not in known:
                known.add(value)
                pool.append(value)
            number += 1
        pool = pool[:count]
        random.shuffle(pool)
        return pool


def make_domains(
    tables: Sequence[Table], profiles: Profiles, demands: Demands, random: Random, *, nulls_of_schema: bool
) -> Mapping[ColumnKey, Domain]:
    """The domain of every column of every table that is no view.

    Args:
        nulls_of_schema: NULL may stand wherever the schema allows it, not only where the real rows hold one.
    """
    columns = {(table.name, column.name): column for table in tables if not table.is_view for column in table.columns}
    links = [*foreign_key_pairs(tables), *demands.related]
    domains: dict[ColumnKey, Domain] = {}
    for members in _classes(columns, links):
        near = [value for key in members for value in demands.near.get(key, ())]
        wanted = [value for key in members for value in demands.meeting.get(key, ())]
        real = [value for key in members for value in _some(profiles[key].values, random)]
        real = [*random.sample(real, min(REAL_VALUES, len(real))), *_beyond(profiles[key].values for key in members)]
        for key in members:
            profile, column = profiles[key], columns[key]
            is_nullable = column.is_nullable if nulls_of_schema else profile.nulls > 0
            domains[key] = Domain(
                near=_rendered(near, profile)[:NEAR_VALUES],
                meeting=_rendered(demands.meeting.get(key, ()), profile),
                wanted=_rendered(wanted, profile),
                real=_rendered(real, profile) or _defaults(column, profile),
                has_null=is_nullable and not column.is_primary_key,
            )
    return domains


def foreign_key_pairs(tables: Sequence[Table]) -> list[tuple[ColumnKey, ColumnKey]]:
    """(referring column, column referred to) of every foreign key that the schema can fulfil."""
    by_name = {table.name.lower(): table for table in tables}
    pairs = []
    for table in tables:
        for key in table.foreign_keys:
            if (target := resolve_foreign_key(table, key, by_name)) is not None:
                parent, references = target
                pairs += [
                    ((table.name, source), (parent.name, reference))
                    for source, reference in zip(key.columns, references, strict=True)
                ]
    return pairs


def resolve_foreign_key(
    table: Table, key: ForeignKey, by_name: Mapping[str, Table]
) -> tuple[Table, tuple[str, ...]] | None:
    """The table and columns that a foreign key refers to, in the schema's spelling; None when they do not exist."""
    parent = by_name.get(key.table.lower())
    if parent is None:
        return None
    names = {column.name.lower(): column.name for column in parent.columns}
    references = key.references or tuple(column.name for column in parent.columns if column.is_primary_key)
    found = tuple(names[reference.lower()] for reference in references if reference.lower() in names)
    own = {column.name for column in table.columns}
    if len(found) != len(key.columns) or len(found) != len(references) or not own.issuperset(key.columns):
        return None
    return parent, found


def _classes(columns: Iterable[ColumnKey], links: Iterable[tuple[ColumnKey, ColumnKey]]) -> list[list[ColumnKey]]:
    """The columns, those put together that a chain of links connects (union-find)."""
    leader = {key: key for key in columns}

    def find(key: ColumnKey) -> ColumnKey:
        while leader[key] != key:
            key = leader[key]
        return key

    for first, second in links:
        if first in leader and second in leader:
            leader[find(second)] = find(first)
    classes: dict[ColumnKey, list[ColumnKey]] = {}
    for key in leader:
        classes.setdefault(find(key), []).append(key)
    return list(classes.values())


def _some(values: Sequence[Any], random: Random) -> list[Any]:
    return random.sample(values, min(REAL_VALUES, len(values)))


def _beyond(values: Iterable[Sequence[Any]]) -> list[Any]:
    """Values just outside what the real rows hold: a condition that is true of all of them changes nothing there.
    And a text in the other case."""
    by_type: dict[type, list[Any]] = {}
    for of_column in values:
        for value in of_column:
            by_type.setdefault(type(value), []).append(value)
    edges = [edge for alike in by_type.values() for edge in (below(min(alike)), above(max(alike)))]
    texts = by_type.get(str, ())
    return edges + [text.swapcase() for text in texts[:1]]


def _rendered(values: Iterable[Any], profile: ColumnProfile) -> tuple[Any, ...]:
    """The values that the column can hold, each as its kind."""
    rendered = dict.fromkeys(render(value, profile.kind) for value in values)
    return tuple(value for value in rendered if value is not None)


def render(value: Any, kind: ValueKind) -> Hashable:
    """``value`` as a value of ``kind``; None when it cannot be one."""
    try:
        if kind == "text":
            return value if isinstance(value, str) else None if isinstance(value, bytes) else str(value)
        if kind == "boolean":
            return bool(int(value))
        if kind == "integer":
            whole = value if isinstance(value, int) else int(float(value))
            return whole if abs(whole) < LARGEST_INTEGER else None
        if kind == "real":
            return float(value) if math.isfinite(float(value)) else None
        if kind == "decimal":
            return Decimal(str(value))
        if kind == "blob":
            return value if isinstance(value, bytes) else str(value).encode()
        # Dates arrive as objects from the database and as text from the query; the latter the database converts.
        return value if not isinstance(value, (int, float, bytes)) else None
    except (ValueError, TypeError, OverflowError, ArithmeticError):
        return None


def _defaults(column: Column, profile: ColumnProfile) -> tuple[Any, ...]:
    name = column.type.upper()
    if profile.kind not in _DEFAULTS or "DATE" in name or "TIMESTAMP" in name:
        return _DEFAULT_DATES
    return _DEFAULTS[profile.kind]
