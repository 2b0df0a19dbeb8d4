"""Whether the rows of the tables decide what a query returns, by its text: ``SELECT 1 FROM singer`` returns constants.

A result depends on the data when a column of its select list does: by a column of a table, seen through derived tables,
common table expressions and aliases; by a number of rows; by EXISTS over a condition on columns. An aggregate under a
condition without columns (``count(*) ... WHERE 0``) depends on nothing.

Not covered: arithmetic that throws a column's value away (``0 * age``), and conditions that no row meets
(``age > age``): both count as depending. Table functions (``json_each``) and what describes the schema count as not.
"""

from collections.abc import Iterator

from sqlglot import exp

from envs.sql.parsing.resolution import Schema, resolve
from envs.sql.parsing.scopes import AliasReference, ColumnReference, Resolution, Scope, Source

_ROW_COUNTS = (exp.Count, exp.Sum)
"""Aggregates that tell the number of rows even of a constant."""


def depends_on_data(query: str, schema: Schema, dialect: str) -> bool:
    """True when a table's rows decide a value of the result; False as well when the query cannot be parsed. Never
    raises because of the query.

    Args:
        schema: the columns of each table. What stands elsewhere (a catalogue) is no data.
        dialect: sqlite, duckdb or postgres.
    """
    resolution = resolve(query, schema, dialect)
    if resolution is None:
        return False
    try:
        return _Dependence(resolution).of_query(resolution.tree)
    except RecursionError:
        return False


class _Dependence:
    """Answers for the parts of one query, each looked at once: derived tables can refer to one another many times."""

    def __init__(self, resolution: Resolution) -> None:
        self._scopes = resolution.scopes
        self._references = resolution.references
        self._known: dict[tuple[int, int], bool] = {}

    def of_query(self, query: exp.Expr) -> bool:
        """A column of its result depends on data."""
        return any(self._of_column(query, position) for position in range(self._width(query)))

    def _width(self, query: exp.Expr) -> int:
        while isinstance(query, (exp.SetOperation, exp.Subquery)):
            query = query.this
        scope = self._scopes.get(id(query))
        return len(scope.outputs) if scope else 0

    def _of_column(self, query: exp.Expr, position: int) -> bool:
        key = (id(query), position)
        if key not in self._known:
            self._known[key] = False  # what a recursive query says of itself adds nothing
            self._known[key] = self._of_new_column(query, position)
        return self._known[key]

    def _of_new_column(self, query: exp.Expr, position: int) -> bool:
        if isinstance(query, exp.SetOperation):
            return self._of_column(query.this, position) or self._of_column(query.expression, position)
        if isinstance(query, exp.Subquery):
            return self._of_column(query.this, position)
        scope = self._scopes.get(id(query))
        if scope is None or position >= len(scope.outputs):
            return False
        output = scope.outputs[position]
        if output.expression is None:
            return output.reference is not None and self._of_reference(output.reference)
        if _has_constant_condition(query) and any(isinstance(node, exp.AggFunc) for node in _own(output.expression)):
            return False
        return self._of_expression(output.expression, scope)

    def _of_expression(self, expression: exp.Expr, scope: Scope) -> bool:
        return any(self._of_node(node, scope) for node in _own(expression))

    def _of_node(self, node: exp.Expr, scope: Scope) -> bool:
        if isinstance(node, exp.Query):
            is_test = isinstance(node.parent, exp.Exists) and _has_condition_on_columns(node)
            return is_test or self.of_query(node)
        if isinstance(node, _ROW_COUNTS):
            return any(map(self._has_rows, scope.sources))
        reference = self._references.get(id(node))
        if isinstance(reference, AliasReference):
            key = (id(reference.expression), 0)
            if key not in self._known:
                self._known[key] = False
                self._known[key] = self._of_expression(reference.expression, reference.scope)
            return self._known[key]
        return isinstance(reference, ColumnReference) and self._of_reference(reference)

    def _of_reference(self, reference: ColumnReference) -> bool:
        source = reference.scope.sources[reference.source]
        if source.query is None:
            return _is_table(source)
        return isinstance(reference.column, int) and self._of_column(source.query, reference.column)

    def _has_rows(self, source: Source) -> bool:
        return _is_table(source) if source.query is None else self._reads_table(source.query)

    def _reads_table(self, query: exp.Expr) -> bool:
        key = (id(query), -1)
        if key not in self._known:
            self._known[key] = False
            self._known[key] = any(
                not _has_constant_condition(select) and any(map(self._has_rows, self._scopes[id(select)].sources))
                for select in _selects(query)
                if id(select) in self._scopes
            )
        return self._known[key]


def _is_table(source: Source) -> bool:
    """One of the schema's own tables: nothing is known of the columns of any other."""
    return source.table is not None and source.columns is not None


def _own(expression: exp.Expr) -> Iterator[exp.Expr]:
    """The nodes of an expression; of a subquery in it its top alone."""
    return expression.walk(prune=lambda node: isinstance(node, exp.Query))


def _selects(query: exp.Expr) -> Iterator[exp.Expr]:
    """The SELECTs that a set operation is made of."""
    waiting = [query]
    while waiting:
        node = waiting.pop()
        if isinstance(node, exp.SetOperation):
            waiting += (node.expression, node.this)
        elif isinstance(node, exp.Subquery):
            waiting.append(node.this)
        else:
            yield node


def _has_constant_condition(select: exp.Expr) -> bool:
    where = select.args.get("where")
    return where is not None and where.find(exp.Column, exp.Query) is None


def _has_condition_on_columns(query: exp.Expr) -> bool:
    return any(
        (where := select.args.get("where")) is not None and where.find(exp.Column) is not None
        for select in _selects(query)
    )
