"""Spider's official difficulty of a query: easy, medium, hard or extra (Yu et al. 2018, ``eval_hardness``).

It counts, over the outermost SELECT,

    component 1   WHERE, GROUP BY, ORDER BY, LIMIT, every source in FROM after the first, every OR, every LIKE
    component 2   subqueries in conditions, and a set operation
    others        more than one aggregate; more than one column; more than one WHERE condition; more than one GROUP BY

Official, and kept: the count of aggregates takes a negated condition of WHERE for one, in HAVING a negated condition
and each AND and OR, and does not see aggregates inside conditions.
"""

from envs.sql.metrics.spider_structure import (
    NONE,
    ColumnUnit,
    Condition,
    Query,
    all_conditions,
    all_connectors,
)


def difficulty(query: Query) -> str:
    """``easy``, ``medium``, ``hard`` or ``extra``; of the structure as parsed, before any rewriting."""
    components = _count_components(query)
    nested = _count_nested(query)
    others = _count_others(query)
    if components <= 1 and others == 0 and nested == 0:
        return "easy"
    if nested == 0 and ((others <= 2 and components <= 1) or (components <= 2 and others < 2)):
        return "medium"
    if (
        (others > 2 and components <= 2 and nested == 0)
        or (2 < components <= 3 and others <= 2 and nested == 0)
        or (components <= 1 and others == 0 and nested <= 1)
    ):
        return "hard"
    return "extra"


def _count_components(query: Query) -> int:
    clauses = (bool(query.where), bool(query.group_by), query.order_by is not None, query.has_limit)
    return (
        sum(clauses)
        + max(0, len(query.sources) - 1)
        + all_connectors(query).count("or")
        + sum(condition.operator == "like" for condition in all_conditions(query))
    )


def _count_nested(query: Query) -> int:
    values = (value for condition in all_conditions(query) for value in (condition.value, condition.second_value))
    return sum(isinstance(value, Query) for value in values) + (query.set_operand is not None)


def _count_others(query: Query) -> int:
    ordered = query.order_by.units if query.order_by is not None else ()
    columns = (*query.group_by, *(unit.left for unit in ordered), *(unit.right for unit in ordered if unit.right))
    aggregates = (
        sum(item.aggregate != NONE for item in query.select)
        + sum(_has_aggregate(column) for column in columns)
        + sum(isinstance(place, Condition) and place.is_negated for place in query.where[::2])
        + sum(isinstance(place, str) or place.is_negated for place in query.having)
    )
    many = (aggregates, len(query.select), len(query.where), len(query.group_by))
    return sum(count > 1 for count in many)


def _has_aggregate(column: ColumnUnit) -> bool:
    return column.aggregate != NONE
