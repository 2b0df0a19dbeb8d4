"""What a gold query demands of the rows it is tried on: constants, values that meet its conditions, groups, ties.

The conditions are read one by one, without AND, OR and NOT: they say which values are worth drawing, and drawing does
the rest.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from sqlglot import exp

from envs.sql.suite.neighbours import above, below, matches, near_matches, neighbours
from envs.sql.suite.query import ColumnKey, ParsedQuery

_COMPARISONS = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE)
_MIRRORED = {exp.GT: exp.LT, exp.LT: exp.GT, exp.GTE: exp.LTE, exp.LTE: exp.GTE}
_PATTERNS = (exp.Like, exp.ILike)


@dataclass(kw_only=True)
class Demands:
    """Filled by ``gather_demands`` only."""

    near: dict[ColumnKey, list[Any]] = field(default_factory=lambda: defaultdict(list))
    """The constants that a column is compared with, and their neighbours."""
    meeting: dict[ColumnKey, list[Any]] = field(default_factory=lambda: defaultdict(list))
    """Values that meet a condition on the column."""
    related: list[tuple[ColumnKey, ColumnKey]] = field(default_factory=list)
    """Columns that are compared with each other or meet in a set operation: they should hold the same values."""
    ordering: set[ColumnKey] = field(default_factory=set)
    """Columns that something is ordered by: without ties there, a LIMIT is unambiguous."""
    grouping: set[ColumnKey] = field(default_factory=set)
    group_sizes: list[int] = field(default_factory=list)
    """What HAVING and other conditions compare a COUNT with."""
    limit: int = 0
    """The largest LIMIT."""
    tables: set[str] = field(default_factory=set)
    """The tables that the query names."""


def gather_demands(*queries: ParsedQuery) -> Demands:
    """Reads the demands of one query, or of several together."""
    demands = Demands()
    for query in queries:
        _gather(query, demands)
    return demands


def _gather(query: ParsedQuery, demands: Demands) -> None:
    for select in query.tree.find_all(exp.Select):
        demands.tables.update(
            table.name for source in query.sources(select).values() if (table := query.table_of(source)) is not None
        )
    for node in query.tree.walk():
        if isinstance(node, _COMPARISONS):
            _read_comparison(query, node, demands)
        elif isinstance(node, exp.Between):
            _read_between(query, node, demands)
        elif isinstance(node, exp.In):
            _read_in(query, node, demands)
        elif isinstance(node, _PATTERNS):
            _read_pattern(query, node, demands)
        elif isinstance(node, exp.SetOperation):
            left, right = (_outputs(query, side) for side in (node.this, node.expression))
            demands.related += _pairs(left, right)
            # What several rows of either side have in common tells INTERSECT and EXCEPT from their neighbours.
            demands.grouping.update(key for key in (*left, *right) if key is not None)
        elif isinstance(node, exp.Ordered):
            demands.ordering.update(_columns_in(query, node))
        elif isinstance(node, exp.Group):
            demands.grouping.update(_columns_in(query, node))
        elif isinstance(node, exp.Limit) and isinstance(count := constant(node.expression), int):
            demands.limit = max(demands.limit, count)
        elif isinstance(node, exp.Join):
            _read_using(query, node, demands)


def constant(node: exp.Expression | None) -> Any:
    """The value of a literal, negative numbers included; None for everything else."""
    if isinstance(node, exp.Paren):
        return constant(node.this)
    if isinstance(node, exp.Neg):
        value = constant(node.this)
        return -value if isinstance(value, (int, float)) else None
    if not isinstance(node, exp.Literal):
        return None
    if node.is_string:
        return node.this
    try:
        return int(node.this)
    except ValueError:
        pass
    try:
        return float(node.this)
    except ValueError:  # 0x1F and the like
        return None


def _read_comparison(query: ParsedQuery, node: exp.Expression, demands: Demands) -> None:
    left, right, kind = node.this, node.expression, type(node)
    value = constant(right)
    if value is None:
        value, left, kind = constant(left), right, _MIRRORED.get(kind, kind)
    if value is None:
        demands.related += _pairs(_compared(query, node.this), _compared(query, node.expression))
        return
    if left.find(exp.Count) and isinstance(value, int):
        demands.group_sizes.append(value)
        return
    for key in _columns_in(query, left):
        demands.near[key] += [value, *neighbours(value)]
        demands.meeting[key] += _meeting(kind, value)
        if left.find(exp.Sum) and isinstance(value, (int, float)):
            demands.near[key] += [value // 2, value // 3]


def _meeting(kind: type[exp.Expression], value: Any) -> list[Any]:
    if kind is exp.EQ:
        return [value]
    if kind in (exp.GT, exp.GTE):
        return [above(value), above(above(value)), *([value] if kind is exp.GTE else [])]
    if kind in (exp.LT, exp.LTE):
        return [below(value), below(below(value)), *([value] if kind is exp.LTE else [])]
    return []  # a != constant: nearly everything


def _read_between(query: ParsedQuery, node: exp.Between, demands: Demands) -> None:
    low, high = constant(node.args.get("low")), constant(node.args.get("high"))
    if low is None or high is None:
        return
    if node.this.find(exp.Count):
        demands.group_sizes += [bound for bound in (low, high) if isinstance(bound, int)]
        return
    for key in _columns_in(query, node.this):
        demands.near[key] += [low, high, *neighbours(low), *neighbours(high)]
        demands.meeting[key] += [low, high, above(low), below(high)]


def _read_in(query: ParsedQuery, node: exp.In, demands: Demands) -> None:
    if (inner := node.args.get("query")) is not None:
        demands.related += _pairs(_compared(query, node.this), _outputs(query, inner))
    values = [value for item in node.expressions if (value := constant(item)) is not None]
    for key in _columns_in(query, node.this):
        demands.meeting[key] += values
        demands.near[key] += [*values, *(near for value in values[:2] for near in neighbours(value))]


def _read_pattern(query: ParsedQuery, node: exp.Expression, demands: Demands) -> None:
    pattern = constant(node.expression)
    if isinstance(pattern, str):
        for key in _columns_in(query, node.this):
            demands.meeting[key] += matches(pattern)
            demands.near[key] += [*matches(pattern), *near_matches(pattern)]


def _read_using(query: ParsedQuery, join: exp.Join, demands: Demands) -> None:
    select = join.parent
    names = join.args.get("using")
    if not names or not isinstance(select, exp.Select):
        return
    tables = [table for source in query.sources(select).values() if (table := query.table_of(source))]
    for name in names:
        keys = [(t.name, c.name) for t in tables for c in t.columns if c.name.lower() == name.name.lower()]
        demands.related += [(keys[0], key) for key in keys[1:]]


def _columns_in(query: ParsedQuery, node: exp.Expression) -> list[ColumnKey]:
    """The columns that ``node`` names outside the subqueries in it."""
    found = []
    for inner in node.walk(prune=lambda visited: isinstance(visited, exp.Query)):
        if isinstance(inner, exp.Column) and (key := query.meaning(inner)) is not None:
            found.append(key)
    return found


def _compared(query: ParsedQuery, node: exp.Expression) -> Iterable[ColumnKey | None]:
    """The column that one side of a comparison is, or that the subquery there returns."""
    while isinstance(node, (exp.Paren, exp.AggFunc)):
        node = node.this
    if isinstance(node, exp.Column):
        return [query.meaning(node)]
    return _outputs(query, node) if isinstance(node, exp.Query) else []


def _outputs(query: ParsedQuery, node: exp.Expression) -> list[ColumnKey | None]:
    while isinstance(node, (exp.Subquery, exp.SetOperation)):
        node = node.this
    outputs = []
    for projection in node.expressions if isinstance(node, exp.Select) else ():
        inner = projection.unalias()
        while isinstance(inner, (exp.Paren, exp.Max, exp.Min, exp.Avg)):
            inner = inner.this
        outputs.append(query.meaning(inner) if isinstance(inner, exp.Column) else None)
    return outputs


def _pairs(
    left: Iterable[ColumnKey | None], right: Iterable[ColumnKey | None]
) -> Iterator[tuple[ColumnKey, ColumnKey]]:
    for first, second in zip(left, right, strict=False):
        if first is not None and second is not None and first != second:
            yield first, second
