"""One-edit mutants of a query: the mistakes that a test suite is chosen to reveal."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

from sqlglot import exp

from envs.sql.suite.domains import render
from envs.sql.suite.edits import Edit, edited, replacement
from envs.sql.suite.literals import constant
from envs.sql.suite.neighbours import neighbours
from envs.sql.suite.profile import Profiles
from envs.sql.suite.query import ParsedQuery

ALTERNATIVE_COLUMNS = 4
"""Columns that one column is swapped for."""
COUNTED_COLUMNS = 2
"""Columns whose different values are counted in place of rows."""
ADDED_CONDITIONS = 2
"""Columns of each SELECT that conditions are added on."""

_COMPARISONS = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE)
_AGGREGATES = (exp.Max, exp.Min, exp.Avg, exp.Sum, exp.Count)
_SET_OPERATIONS = (exp.Union, exp.Except, exp.Intersect)
_ARITHMETIC = {exp.Add: exp.Sub, exp.Sub: exp.Add, exp.Mul: exp.Div, exp.Div: exp.Mul}
_PATTERNS = (exp.Like, exp.ILike)
_CLAUSES = (exp.Join, exp.Where, exp.Group, exp.Having, exp.Order)
_NUMERIC_KINDS = frozenset({"integer", "real", "decimal"})


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """A query that is one edit away from the gold."""

    operator: str
    query: str


class MutantMaker:
    """Makes the mutants of one query."""

    def __init__(self, query: ParsedQuery, profiles: Profiles, random: Random) -> None:
        self._query = query
        self._profiles = profiles
        self._random = random

    def make(self, most: int) -> list[Mutant]:
        """At most ``most`` mutants, different texts, every operator in turn as long as it has some."""
        by_operator: dict[str, list[Edit]] = defaultdict(list)
        for edit in self.edits():
            by_operator[edit.operator].append(edit)
        for edits in by_operator.values():
            self._random.shuffle(edits)
        mutants: dict[str, Mutant] = {}
        original = self._query.sql()
        while by_operator and len(mutants) < most:
            for operator in list(by_operator):
                edit = by_operator[operator].pop()
                text = edited(self._query.root, edit, self._query.dialect)
                if text != original:
                    mutants.setdefault(text, Mutant(operator=operator, query=text))
                if not by_operator[operator]:
                    del by_operator[operator]
        return list(mutants.values())[:most]

    def edits(self) -> Iterator[Edit]:
        """Every edit that there is of the query, those of columns and tables sampled."""
        for node in list(self._query.tree.walk()):
            for kind, operation in _OPERATIONS:
                if isinstance(node, kind):
                    yield from operation(self, node)

    def _swap_column(self, column: exp.Column) -> Iterator[Edit]:
        meaning, select = self._query.meaning(column), column.find_ancestor(exp.Select)
        if meaning is None or select is None:
            return
        kind = self._kind(meaning)
        sources = self._query.sources(select)
        alternatives = [
            (alias, other.name)
            for alias, source in sources.items()
            if (table := self._query.table_of(source)) is not None
            for other in table.columns
            if (table.name, other.name) != meaning and self._kind((table.name, other.name)) == kind
        ]
        clause = column.find_ancestor(*_CLAUSES, exp.Select)
        operator = f"column in {'select' if isinstance(clause, exp.Select) or clause is None else clause.key}"
        for alias, name in self._random.sample(alternatives, min(ALTERNATIVE_COLUMNS, len(alternatives))):
            qualifier = exp.to_identifier(alias) if len(sources) > 1 or column.args.get("table") else None
            new = exp.Column(this=exp.to_identifier(name), table=qualifier)
            yield from replacement(operator, column, new)

    def _kind(self, key: tuple[str, str]) -> str:
        profile = self._profiles.get(key)
        kind = "text" if profile is None else profile.kind
        return "number" if kind in _NUMERIC_KINDS else kind

    def _swap_table(self, source: exp.Table) -> Iterator[Edit]:
        table = self._query.table_of(source)
        if table is None:
            return
        used = {key[1].lower() for _, key in self._query.columns() if key[0] == table.name}
        for other in self._query.tables.values():
            if other is not table and used <= {column.name.lower() for column in other.columns}:
                alias = source.args.get("alias")
                new = exp.Table(this=exp.to_identifier(other.name), alias=alias.copy() if alias else None)
                yield from replacement("table", source, new)

    def _swap_comparison(self, node: exp.Expression) -> Iterator[Edit]:
        for kind in _COMPARISONS:
            if type(node) is not kind:
                new = kind(this=node.this.copy(), expression=node.expression.copy())
                yield from replacement("comparison", node, new)

    def _change_literal(self, literal: exp.Literal) -> Iterator[Edit]:
        if isinstance(literal.parent, (exp.Limit, exp.Offset, exp.Like, exp.ILike)):
            return
        value = constant(literal)
        for near in neighbours(value):
            rendered = render(near, "text" if isinstance(value, str) else "real")
            new = exp.Literal.string(rendered) if isinstance(value, str) else exp.Literal.number(near)
            yield from replacement("literal", literal, new)

    def _change_pattern(self, node: exp.Expression) -> Iterator[Edit]:
        pattern = constant(node.expression)
        if isinstance(pattern, str):
            plain = pattern.replace("%", "")
            for other in dict.fromkeys((plain, f"%{plain}", f"{plain}%", f"%{plain}%", f"%{plain[:-1]}%")):
                if other != pattern:
                    yield from replacement("pattern", node.expression, exp.Literal.string(other))

    def _swap_aggregate(self, node: exp.Expression) -> Iterator[Edit]:
        if node.this is None:
            return  # SQLite's count()
        is_star = isinstance(node.this, exp.Star)
        for kind in _AGGREGATES:
            if type(node) is not kind and not is_star:
                yield from replacement("aggregate", node, kind(this=node.this.copy()))
        if is_star:
            select = node.find_ancestor(exp.Select)
            for alias, (_, name) in self._some_columns(select, COUNTED_COLUMNS) if select is not None else ():
                column = exp.Column(this=exp.to_identifier(name), table=exp.to_identifier(alias))
                counted = exp.Distinct(expressions=[column])
                yield Edit(operator="distinct in aggregate", node=node, argument="this", value=counted)
            return
        inner = node.this
        if isinstance(inner, exp.Distinct) and inner.expressions:
            yield Edit(operator="distinct in aggregate", node=node, argument="this", value=inner.expressions[0].copy())
        elif not isinstance(node, (exp.Max, exp.Min)):
            new = exp.Distinct(expressions=[inner.copy()])
            yield Edit(operator="distinct in aggregate", node=node, argument="this", value=new)

    def _change_select(self, select: exp.Select) -> Iterator[Edit]:
        distinct = None if select.args.get("distinct") else exp.Distinct()
        yield Edit(operator="distinct", node=select, argument="distinct", value=distinct)
        for argument in ("where", "having", "group", "order"):
            if select.args.get(argument) is not None:
                yield Edit(operator=f"{argument} dropped", node=select, argument=argument, value=None)
        yield from self._add_conditions(select)
        for place, projection in enumerate(select.expressions):
            for other in select.expressions[place + 1 :]:
                # One column twice, as a model does that mistakes what was asked for.
                yield from replacement("projection repeated", projection, other.copy())

    def _add_conditions(self, select: exp.Select) -> Iterator[Edit]:
        """Conditions that all or nearly all real rows meet: on the real database they are hardly ever noticed."""
        where = select.args.get("where")
        for alias, (table, name) in self._some_columns(select, ADDED_CONDITIONS):
            values = self._profiles[table, name].values if (table, name) in self._profiles else ()
            if not values or not isinstance(values[0], (int, float, str)) or isinstance(values[0], bool):
                continue
            alike = [value for value in values if type(value) is type(values[0])]
            column = exp.Column(this=exp.to_identifier(name), table=exp.to_identifier(alias))
            for kind, bound in ((exp.GT, min(alike)), (exp.LT, max(alike))):
                condition = kind(this=column.copy(), expression=exp.convert(bound))
                whole = condition if where is None else exp.and_(exp.paren(where.this.copy()), condition, copy=False)
                yield Edit(operator="condition added", node=select, argument="where", value=exp.Where(this=whole))

    def _some_columns(self, select: exp.Select, most: int) -> list[tuple[str, tuple[str, str]]]:
        """(alias, column) of some columns of the SELECT's tables."""
        columns = [
            (alias, (table.name, column.name))
            for alias, source in self._query.sources(select).items()
            if (table := self._query.table_of(source)) is not None
            for column in table.columns
        ]
        return self._random.sample(columns, min(most, len(columns)))

    def _drop_conjunct(self, node: exp.Expression) -> Iterator[Edit]:
        for side in (node.this, node.expression):
            yield from replacement("conjunct dropped", node, side.copy())
        other = exp.Or if isinstance(node, exp.And) else exp.And
        yield from replacement("and/or", node, other(this=node.this.copy(), expression=node.expression.copy()))

    def _turn_order(self, node: exp.Ordered) -> Iterator[Edit]:
        is_descending, has_nulls_first = node.args.get("desc"), node.args.get("nulls_first")
        turned = exp.Ordered(this=node.this.copy(), desc=not is_descending, nulls_first=not has_nulls_first)
        yield from replacement("order direction", node, turned)

    def _drop_keys(self, node: exp.Expression) -> Iterator[Edit]:
        if len(node.expressions) > 1:
            for place in range(len(node.expressions)):
                rest = [key for index, key in enumerate(node.expressions) if index != place]
                yield Edit(operator=f"{node.key} key dropped", node=node, argument="expressions", value=rest)

    def _change_limit(self, node: exp.Limit) -> Iterator[Edit]:
        count = constant(node.expression)
        if isinstance(count, int) and node.parent is not None:
            yield Edit(operator="limit", node=node.parent, argument="limit", value=None)
            for other in (count + 1, count - 1):
                if other > 0:
                    yield from replacement("limit", node.expression, exp.Literal.number(other))

    def _swap_join(self, node: exp.Join) -> Iterator[Edit]:
        side = None if node.args.get("side") else "LEFT"
        yield Edit(operator="join kind", node=node, argument="side", value=side)

    def _swap_set_operation(self, node: exp.SetOperation) -> Iterator[Edit]:
        for kind in _SET_OPERATIONS:
            if not isinstance(node, kind):
                new = kind(**node.copy().args)
                new.set("distinct", True)
                yield from replacement("set operation", node, new)
        for side in (node.this, node.expression):
            yield from replacement("set operation", node, side.copy())

    def _negate(self, node: exp.Expression) -> Iterator[Edit]:
        if isinstance(node, _PATTERNS):
            yield Edit(operator="negation", node=node, argument="negate", value=not node.args.get("negate"))
        elif isinstance(node.parent, exp.Not):
            yield from replacement("negation", node.parent, node.copy())
        else:
            yield from replacement("negation", node, exp.Not(this=exp.paren(node.copy(), copy=False)))

    def _swap_arithmetic(self, node: exp.Expression) -> Iterator[Edit]:
        kind = _ARITHMETIC[type(node)]
        yield from replacement("arithmetic", node, kind(this=node.this.copy(), expression=node.expression.copy()))
        yield from replacement("arithmetic", node, type(node)(this=node.expression.copy(), expression=node.this.copy()))


_OPERATIONS: list[tuple[Any, Callable[[MutantMaker, Any], Iterator[Edit]]]] = [
    (exp.Column, MutantMaker._swap_column),
    (exp.Table, MutantMaker._swap_table),
    (_COMPARISONS, MutantMaker._swap_comparison),
    (exp.Literal, MutantMaker._change_literal),
    (_PATTERNS, MutantMaker._change_pattern),
    (_AGGREGATES, MutantMaker._swap_aggregate),
    (exp.Select, MutantMaker._change_select),
    ((exp.And, exp.Or), MutantMaker._drop_conjunct),
    (exp.Ordered, MutantMaker._turn_order),
    ((exp.Group, exp.Order), MutantMaker._drop_keys),
    (exp.Limit, MutantMaker._change_limit),
    (exp.Join, MutantMaker._swap_join),
    (exp.SetOperation, MutantMaker._swap_set_operation),
    ((exp.In, exp.Like, exp.ILike, exp.Between, exp.Exists), MutantMaker._negate),
    (tuple(_ARITHMETIC), MutantMaker._swap_arithmetic),
]
