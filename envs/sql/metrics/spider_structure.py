"""A query as Spider's exact-set match sees it: clauses of columns and conditions, without aliases and layout.

``Query`` is what the parser makes. Two rewritings follow before the comparison, as in the official script:
``without_values`` and ``with_representatives``. Both leave alone what the official ones leave alone: subqueries in FROM
keep their values, and the columns and the DISTINCT of subqueries in conditions are compared as they are written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

ALL_COLUMNS = "*"
NONE = "none"
"""The aggregate or operator that is not there; also a word of the official grammar."""


@dataclass(frozen=True, kw_only=True)
class ColumnUnit:
    """A column, possibly inside an aggregate: ``count(DISTINCT singer.name)``."""

    aggregate: str = NONE
    column: str
    """``table.column`` in lower case, or ``*``."""
    is_distinct: bool = False


@dataclass(frozen=True, kw_only=True)
class ValueUnit:
    """One column, or two with an arithmetic operator between."""

    operator: str = NONE
    left: ColumnUnit
    right: ColumnUnit | None = None


@dataclass(frozen=True, kw_only=True)
class SelectItem:
    """One item of a SELECT list."""

    aggregate: str = NONE
    unit: ValueUnit


Value = float | str | ColumnUnit
"""A number, a string in double quotes, or a column."""


@dataclass(frozen=True, kw_only=True)
class Condition:
    """``unit [NOT] operator value``, with a second value for BETWEEN."""

    is_negated: bool = False
    operator: str
    unit: ValueUnit
    value: Value | Query | None
    second_value: Value | Query | None = None


Conditions = tuple[Condition | str, ...]
"""Conditions at the even places, ``and`` or ``or`` at the odd ones (a condition there when the query forgot it)."""


@dataclass(frozen=True, kw_only=True)
class OrderBy:
    """The last direction that is written counts for all units."""

    direction: str
    units: tuple[ValueUnit, ...]


@dataclass(frozen=True, kw_only=True)
class Query:
    """One SELECT, with the query that a set operator joins to it. The defaults are the empty query."""

    is_distinct: bool = False
    select: tuple[SelectItem, ...] = ()
    sources: tuple[str | Query, ...] = ()
    """The tables and subqueries of FROM."""
    on: Conditions = ()
    where: Conditions = ()
    group_by: tuple[ColumnUnit, ...] = ()
    having: Conditions = ()
    order_by: OrderBy | None = None
    has_limit: bool = False
    set_operator: str | None = None
    set_operand: Query | None = None


EMPTY_QUERY = Query()
"""What stands for a prediction outside the grammar."""


def all_conditions(query: Query) -> list[Condition]:
    """The conditions of ON, WHERE and HAVING, without what joins them."""
    places = (*query.on[::2], *query.where[::2], *query.having[::2])
    return [place for place in places if isinstance(place, Condition)]


def all_connectors(query: Query) -> list[Condition | str]:
    """What stands between the conditions of ON, WHERE and HAVING."""
    return [*query.on[1::2], *query.where[1::2], *query.having[1::2]]


def without_values(query: Query) -> Query:
    """``query`` with its literals blanked; subqueries in conditions stay, blanked likewise."""
    return replace(
        query,
        on=_without_values(query.on),
        where=_without_values(query.where),
        having=_without_values(query.having),
        set_operand=None if query.set_operand is None else without_values(query.set_operand),
    )


def _without_values(conditions: Conditions) -> Conditions:
    return tuple(
        replace(place, value=_blanked(place.value), second_value=_blanked(place.second_value))
        if index % 2 == 0 and isinstance(place, Condition)
        else place
        for index, place in enumerate(conditions)
    )


def _blanked(value: Value | Query | None) -> Query | None:
    return without_values(value) if isinstance(value, Query) else None


def with_representatives(query: Query, representatives: Mapping[str, str]) -> Query:
    """``query`` without DISTINCT and with each column replaced by the representative of its foreign keys.

    Only columns of the tables in the outermost FROM are replaced, in set operands too.
    """
    tables = {source for source in query.sources if isinstance(source, str)}
    mapping = {column: first for column, first in representatives.items() if column.split(".")[0] in tables}
    return _with_columns(query, mapping)


def _with_columns(query: Query, mapping: Mapping[str, str]) -> Query:
    def column_unit(unit: ColumnUnit) -> ColumnUnit:
        return replace(unit, column=mapping.get(unit.column, unit.column), is_distinct=False)

    def value_unit(unit: ValueUnit) -> ValueUnit:
        return replace(unit, left=column_unit(unit.left), right=None if unit.right is None else column_unit(unit.right))

    def conditions(places: Conditions) -> Conditions:
        return tuple(
            replace(place, unit=value_unit(place.unit)) if index % 2 == 0 and isinstance(place, Condition) else place
            for index, place in enumerate(places)
        )

    order_by = query.order_by
    return replace(
        query,
        is_distinct=False,
        select=tuple(replace(item, unit=value_unit(item.unit)) for item in query.select),
        on=conditions(query.on),
        where=conditions(query.where),
        group_by=tuple(map(column_unit, query.group_by)),
        having=conditions(query.having),
        order_by=order_by and replace(order_by, units=tuple(map(value_unit, order_by.units))),
        set_operand=None if query.set_operand is None else _with_columns(query.set_operand, mapping),
    )
