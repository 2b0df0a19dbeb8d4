"""Says what only SQLite accepts in a way that DuckDB and PostgreSQL accept too, and that means what SQLite means.

- ``LIKE`` without regard to case (of ASCII letters) becomes ILIKE.
- Columns beside an aggregate that are not grouped by: of the row with the maximum or minimum where that is the one
  aggregate, else of the group's first row, as SQLite takes them.
- Comparisons of text with numbers, by SQLite's rules of affinity (https://www.sqlite.org/datatype3.html, section 4).
- ``sum``, ``avg``, ``total`` and arithmetic over text: its longest numeric beginning, or 0.
- Division: of integers where both sides are, NULL by zero.
- JOIN without a condition, a derived table without a name, an alias of the select list in WHERE, GROUP BY or HAVING.

Not covered: types of what a derived table computes; a number that is compared in size with a text that is none.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count
from typing import Literal

from sqlglot import exp

from envs.sql.databases.schema import Table
from envs.sql.parsing.dialect_rules import folded
from envs.sql.parsing.scopes import AliasReference, ColumnReference, OutputReference, Reference, Scope

Kind = Literal["text", "number"]

_NUMBER = re.compile(r"\s*[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", re.IGNORECASE)
_SQL_NUMBER = r"^\s*[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?"
_TEXT_TYPE = re.compile(r"char|text|string|clob", re.IGNORECASE)
_NUMBER_TYPE = re.compile(r"int|real|float|double|decimal|numeric", re.IGNORECASE)
_INTEGER_TYPE = re.compile(r"int", re.IGNORECASE)
_COMPARISONS = (exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE)
_ARITHMETIC = (exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod)
_NUMERIC = (*_ARITHMETIC, exp.Count, exp.Sum, exp.Avg, exp.Neg, exp.Length, exp.Abs, exp.Round)


class LeniencyRewriter:
    """Rewrites the tree of one resolved query of SQLite in place."""

    def __init__(
        self,
        *,
        target: str,
        references: Mapping[int, Reference],
        scopes: Mapping[int, Scope],
        twins: Mapping[int, exp.Expr],
        tables: Sequence[Table],
    ) -> None:
        """
        Args:
            target: duckdb or postgres.
            references: what names mean (``envs.sql.parsing``), by the ``id`` of the tree's nodes.
            scopes: of each SELECT in the same way.
            twins: the tree's node for each node of the tree that was resolved, by the ``id`` of the latter.
            tables: of the target's database.
        """
        self._target = target
        self._references = references
        self._scopes = scopes
        self._twins = twins
        self._types = {
            (folded(table.name), folded(column.name)): column.type for table in tables for column in table.columns
        }

    def rewrite(self, tree: exp.Expr) -> None:
        """Changes ``tree``, whose names are spelled as the target does already."""
        nodes = list(tree.walk())
        for node in nodes:
            if isinstance(node, exp.Select):
                self._write_out_aliases(node)
                self._take_bare_columns(node)
        numbers = count(1)
        for node in reversed(list(tree.walk())):  # inner ones first
            if isinstance(node, _COMPARISONS):
                self._align(node.this, node.expression, is_equality=isinstance(node, (exp.EQ, exp.NEQ)))
            elif isinstance(node, exp.Between):
                self._align(node.this, node.args["low"], is_equality=False)
                self._align(node.this, node.args["high"], is_equality=False)
            elif isinstance(node, exp.In):
                self._align_members(node)
            elif isinstance(node, (exp.Sum, exp.Avg)):
                for term in node.this.expressions if isinstance(node.this, exp.Distinct) else [node.this]:
                    self._make_number(term)
            elif isinstance(node, _ARITHMETIC):
                self._make_number(node.this)
                self._make_number(node.expression)
                self._divide(node)
            elif isinstance(node, exp.Like):
                self._ignore_case(node)
            elif isinstance(node, exp.Join):
                _give_condition(node)
            elif isinstance(node, exp.Subquery) and isinstance(node.parent, (exp.From, exp.Join)) and not node.alias:
                node.set("alias", exp.TableAlias(this=exp.to_identifier(f"derived_{next(numbers)}")))

    def _write_out_aliases(self, select: exp.Select) -> None:
        for clause in ("where", "group", "having"):
            for column in list(_own(select.args.get(clause))):
                reference = self._references.get(id(column))
                if isinstance(reference, AliasReference):
                    column.replace(exp.paren(self._twins[id(reference.expression)].copy()))

    def _take_bare_columns(self, select: exp.Select) -> None:
        """Puts an aggregate around each column that is neither grouped by nor inside one."""
        own = [part for clause in ("expressions", "having", "order") for part in _parts(select, clause)]
        aggregates = [node for part in own for node in _own(part) if _is_aggregate(node)]
        group = select.args.get("group")
        scope = self._scopes.get(id(select))
        if scope is None or not (aggregates or group):
            return
        keys = self._keys(group, scope)
        extremes = [node for node in aggregates if isinstance(node, (exp.Max, exp.Min))]
        extreme = extremes[0] if len(extremes) == len(aggregates) == 1 else None
        for part in own:
            for node in list(_own(part, is_boundary=lambda node: _is_aggregate(node) or node in keys)):
                reference = self._references.get(id(node))
                if isinstance(reference, ColumnReference) and reference.scope is scope and node not in keys:
                    if (reference.source, reference.column) not in self._places(keys):
                        node.replace(self._of_one_row(node, extreme))

    def _keys(self, group: exp.Expr | None, scope: Scope) -> list[exp.Expr]:
        keys = []
        for term in group.expressions if group is not None else []:
            reference = self._references.get(id(term))
            if isinstance(reference, OutputReference) and reference.position < len(scope.outputs):
                expression = scope.outputs[reference.position].expression
                term = term if expression is None else self._twins.get(id(expression), term)
            keys.append(term)
        return keys

    def _places(self, keys: Sequence[exp.Expr]) -> set[tuple[int, int | str]]:
        references = [self._references.get(id(key.unnest())) for key in keys]
        return {(found.source, found.column) for found in references if isinstance(found, ColumnReference)}

    def _of_one_row(self, column: exp.Expr, extreme: exp.Expr | None) -> exp.Expr:
        """The column's value in the row of the extreme, or in the group's first row."""
        if self._target == "duckdb":
            if extreme is None:
                return exp.Anonymous(this="first", expressions=[column.copy()])
            name = "arg_max_null" if isinstance(extreme, exp.Max) else "arg_min_null"
            return exp.Anonymous(this=name, expressions=[column.copy(), extreme.this.copy()])
        values: exp.Expr = column.copy()
        if extreme is not None:
            term = exp.Ordered(this=extreme.this.copy(), desc=isinstance(extreme, exp.Max), nulls_first=False)
            values = exp.Order(this=values, expressions=[term])
        return exp.Bracket(this=exp.paren(exp.ArrayAgg(this=values), copy=False), expressions=[exp.Literal.number(0)])

    def _kind(self, node: exp.Expr) -> tuple[Kind | None, bool]:
        """Whether the values of ``node`` are text or numbers, and whether SQLite gives it an affinity."""
        if isinstance(node, exp.Paren):
            return self._kind(node.this)
        if isinstance(node, exp.Column):
            return self._kind_of_column(self._references.get(id(node))), True
        if isinstance(node, exp.Literal):
            return ("text" if node.is_string else "number"), False
        if isinstance(node, exp.Cast):
            return _kind_of_type(node.to.sql()), True
        if isinstance(node, _NUMERIC):
            return "number", False
        if isinstance(node, (exp.Max, exp.Min)):
            return self._kind(node.this)[0], False
        if isinstance(node, exp.Subquery) and isinstance(node.this, exp.Select) and len(node.this.expressions) == 1:
            return self._kind(node.this.expressions[0].unalias())
        return None, False

    def _kind_of_column(self, reference: Reference | None) -> Kind | None:
        if not isinstance(reference, ColumnReference):
            return None
        source = reference.scope.sources[reference.source]
        if source.table is not None:
            return _kind_of_type(self._types.get((source.table, reference.name), ""))
        if not isinstance(reference.column, int) or reference.column >= len(source.outputs):
            return None
        output = source.outputs[reference.column]
        if output.expression is None:
            return self._kind_of_column(output.reference)
        twin = self._twins.get(id(output.expression))
        return None if twin is None else self._kind(twin)[0]

    def _align(self, one: exp.Expr, other: exp.Expr, *, is_equality: bool) -> None:
        """Makes a comparison of a text with a number one of two texts, or of two numbers."""
        kinds = {kind: (node, has) for node in (one, other) for kind, has in [self._kind(node)] if kind}
        if len(kinds) != 2:
            return
        (text, text_has_affinity), (number, number_has_affinity) = kinds["text"], kinds["number"]
        if not number_has_affinity:
            if text_has_affinity:
                _make_text(number)
        elif not isinstance(text, exp.Literal):
            text.replace(self._number(text))
        elif _NUMBER.fullmatch(text.this.rstrip()):
            text.replace(exp.Literal.number(text.this.strip()))
        elif is_equality:
            _make_text(number)

    def _align_members(self, node: exp.In) -> None:
        kind, _ = self._kind(node.this)
        if kind == "number" and node.expressions:
            # A text that is no number equals none: it goes, unless nothing else is left.
            members = [member for member in node.expressions if not _is_no_number(member)]
            if not members:
                _make_text(node.this)
                return
            node.set("expressions", members)
        for member in node.expressions:
            self._align(node.this, member, is_equality=True)
        query = node.args.get("query")
        if isinstance(query, exp.Subquery) and isinstance(query.this, exp.Select) and len(query.this.expressions) == 1:
            item = query.this.expressions[0].unalias()
            if {kind, self._kind(item)[0]} == {"text", "number"}:
                text = node.this if kind == "text" else item
                text.replace(self._number(text))

    def _number(self, text: exp.Expr) -> exp.Expr:
        """The number that a text is; NULL where it is none, which equals nothing either."""
        if self._target == "duckdb":
            return exp.TryCast(this=text.copy(), to=exp.DataType.build("double"))
        is_number = exp.RegexpLike(this=text.copy(), expression=exp.Literal.string(_SQL_NUMBER + r"\s*$"))
        return exp.case().when(is_number, exp.cast(text.copy(), "double"))

    def _divide(self, node: exp.Expr) -> None:
        """Between integers SQLite's division is one of integers, and by zero anything is NULL."""
        if isinstance(node, exp.Mod):
            node.expression.replace(exp.func("nullif", node.expression.copy(), exp.Literal.number(0)))
        elif isinstance(node, exp.Div) and self._target == "duckdb":
            if self._is_integer(node.this) and self._is_integer(node.expression):
                divisor = exp.func("nullif", node.expression.copy(), exp.Literal.number(0))
                node.replace(exp.paren(exp.IntDiv(this=node.this.copy(), expression=divisor), copy=False))

    def _is_integer(self, node: exp.Expr) -> bool:
        if isinstance(node, (exp.Paren, exp.Neg, exp.Sum, exp.Max, exp.Min)):
            return self._is_integer(node.this)
        if isinstance(node, exp.Column):
            reference = self._references.get(id(node))
            if not isinstance(reference, ColumnReference):
                return False
            table = reference.scope.sources[reference.source].table
            return bool(_INTEGER_TYPE.search(self._types.get((table or "", reference.name), "")))
        if isinstance(node, exp.Literal):
            return not node.is_string and node.this.isdigit()
        if isinstance(node, exp.Cast):
            return bool(_INTEGER_TYPE.search(node.to.sql()))
        if isinstance(node, (exp.Add, exp.Sub, exp.Mul)):
            return self._is_integer(node.this) and self._is_integer(node.expression)
        return isinstance(node, (exp.Count, exp.Length, exp.IntDiv))

    def _make_number(self, node: exp.Expr) -> None:
        """The longest beginning of a text that is a number, or 0, as SQLite's arithmetic takes it."""
        kind, _ = self._kind(node)
        if kind != "text":
            return
        if isinstance(node, exp.Literal):
            found = _NUMBER.match(node.this)
            node.replace(exp.Literal.number(found[0].strip() if found else 0))
            return
        pattern = exp.Literal.string(_SQL_NUMBER)
        if self._target == "duckdb":
            beginning: exp.Expr = exp.Anonymous(this="regexp_extract", expressions=[node.copy(), pattern])
        else:
            parts = exp.Anonymous(
                this="regexp_match", expressions=[node.copy(), exp.Literal.string(f"({_SQL_NUMBER})")]
            )
            beginning = exp.Bracket(this=exp.paren(parts, copy=False), expressions=[exp.Literal.number(0)])
        number = exp.cast(exp.func("nullif", beginning, exp.Literal.string("")), "double")
        filled = exp.func("coalesce", number, exp.Literal.number(0))
        node.replace(exp.case().when(exp.Not(this=exp.Is(this=node.copy(), expression=exp.null())), filled))

    def _ignore_case(self, node: exp.Like) -> None:
        for side in (node.this, node.expression):
            if self._kind(side)[0] == "number":
                _make_text(side)
        node.replace(exp.ILike(this=node.this.copy(), expression=node.expression.copy()))


def _is_no_number(node: exp.Expr) -> bool:
    return isinstance(node, exp.Literal) and node.is_string and not _NUMBER.fullmatch(node.this.rstrip())


def _make_text(number: exp.Expr) -> None:
    if isinstance(number, exp.Literal):
        number.replace(exp.Literal.string(number.this))
    else:
        number.replace(exp.cast(number.copy(), "text"))


def _kind_of_type(name: str) -> Kind | None:
    if _TEXT_TYPE.search(name):
        return "text"
    return "number" if _NUMBER_TYPE.search(name) else None


def _give_condition(join: exp.Join) -> None:
    """SQLite joins every row with every row where a JOIN has no condition; an outer join needs one that is true."""
    if join.args.get("on") is not None or join.args.get("using") or join.method:
        return
    if join.side:
        join.set("on", exp.true())
    elif join.kind in ("", "INNER") and (join.kind or join.args.get("pivots") is None):
        join.set("kind", "CROSS")


def _is_aggregate(node: exp.Expr) -> bool:
    is_of_several = isinstance(node, (exp.Max, exp.Min)) and bool(node.expressions)  # of arguments, not of rows
    return isinstance(node, exp.AggFunc) and not is_of_several and not isinstance(node.parent, exp.Window)


def _parts(select: exp.Select, clause: str) -> list[exp.Expr]:
    value = select.args.get(clause)
    return value if isinstance(value, list) else [value] if value is not None else []


def _own(node: exp.Expr | None, is_boundary: Callable[[exp.Expr], bool] = lambda node: False) -> Iterator[exp.Expr]:
    """``node`` and what is below it, without what is inside subqueries and below a boundary."""
    if node is None:
        return
    yield node
    if isinstance(node, exp.Query) or is_boundary(node):
        return
    for child in node.iter_expressions():
        yield from _own(child, is_boundary)
