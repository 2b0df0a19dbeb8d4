"""Writes expressions as canonical text: equal texts, in equal scopes, mean equal values on every database.

What is made equal: names (resolved, so that aliases and qualifiers vanish), parentheses, ``a > b`` and ``b < a``,
``a = b`` and ``b = a``, ``NOT a = b`` and ``a <> b``, the order within AND, OR and the list of IN, BETWEEN and its two
comparisons, ``count(1)`` and ``count(*)``. All of it holds in three-valued logic. One thing is assumed: columns that
are compared with each other have the same collation (SQLite takes the left one's where they differ).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable

from sqlglot import exp

from envs.sql.parsing.notation import (
    NEGATED_SYMBOLS,
    SYMBOLS,
    compared,
    connected,
    operands,
    ordered_text,
    quoted_name,
    quoted_text,
)
from envs.sql.parsing.scopes import (
    AliasReference,
    ColumnReference,
    OutputReference,
    Resolution,
    Scope,
    TextReference,
)
from envs.sql.parsing.trusted_nodes import is_trusted

WRITTEN_NODES = 8_000
"""Nodes written for one query, those of repeated attempts included; about 30 ms. Spider's need at most 96."""


class NoCanonicalFormError(Exception):
    """The query holds something of which no canonical text can be trusted."""


class ExpressionForms(ABC):
    """Writes the expressions of one resolved query.

    Args:
        is_strict: raise NoCanonicalFormError where the text could not be trusted; else write the best there is.
    """

    def __init__(self, resolution: Resolution, is_strict: bool) -> None:
        self.resolution = resolution
        self.is_strict = is_strict
        self.numbers: dict[int, list[int]] = {}
        """For each scope (by ``id``) that is being written, the canonical number of each of its sources."""
        self.nodes_left = WRITTEN_NODES

    @abstractmethod
    def query(self, node: exp.Expr) -> str:
        """A SELECT or set operation."""

    def distrust(self, reason: str) -> None:
        """Raises NoCanonicalFormError when strict."""
        if self.is_strict:
            raise NoCanonicalFormError(reason)

    def expression(self, node: exp.Expr, scope: Scope) -> str:
        """One expression as it stands in ``scope``."""
        self.nodes_left -= 1
        if self.nodes_left < 0:
            raise NoCanonicalFormError("too complex")
        write = _WRITERS.get(type(node))
        if write is not None:
            return write(self, node, scope)
        if isinstance(node, exp.Query):
            return f"({self.query(node)})"
        return self._any(node, scope)

    def conjuncts(self, node: exp.Expr, scope: Scope) -> list[str]:
        """The conditions of a WHERE, HAVING or ON that must all be true."""
        texts = []
        for part in operands(node, exp.And):
            if type(part) is exp.Boolean and part.this:
                continue  # sqlglot gives it to a JOIN without ON
            texts.extend(self.comparisons(part, scope))
        return sorted(set(texts))

    def column(self, reference: ColumnReference, scope: Scope) -> str:
        """A column as seen from ``scope``: by its source's number, or by its table's name while there are none."""
        numbers = self.numbers.get(id(reference.scope))
        if numbers is None:
            return self._column_of_a_table(reference)
        source = reference.scope.sources[reference.source]
        name = quoted_name(reference.name)
        levels = 0
        inner: Scope | None = scope
        while inner is not None and inner is not reference.scope:
            levels += 1
            inner = inner.parent
        if isinstance(reference.column, int) and source.table is None:
            name = f"#{reference.column}"  # a derived table's names are the query's own
        return f"{'^' * levels}t{numbers[reference.source]}.{name}"

    def _column_of_a_table(self, reference: ColumnReference) -> str:
        source = reference.scope.sources[reference.source]
        while source.table is None and isinstance(reference.column, int) and reference.column < len(source.outputs):
            output = source.outputs[reference.column]
            inner = output.reference or self.resolution.references.get(id(output.expression))
            if not isinstance(inner, ColumnReference):
                break
            reference = inner
            source = reference.scope.sources[reference.source]
        return f"{quoted_name(source.table) if source.table is not None else '?'}.{quoted_name(reference.name)}"

    def comparisons(self, node: exp.Expr, scope: Scope) -> list[str]:
        """A condition, or the two that BETWEEN stands for."""
        while type(node) is exp.Paren:
            node = node.this
        if type(node) is exp.Between and not node.args.get("symmetric"):
            value = self.expression(node.this, scope)
            low = self.expression(node.args["low"], scope)
            high = self.expression(node.args["high"], scope)
            return [compared(">=", value, low), compared("<=", value, high)]
        return [self.expression(node, scope)]

    def _between(self, node: exp.Expr, scope: Scope) -> str:
        if node.args.get("symmetric"):
            return self._any(node, scope)
        return connected("AND", self.comparisons(node, scope))

    def _connective(self, node: exp.Expr, scope: Scope) -> str:
        kind = type(node)
        texts = []
        for part in operands(node, kind):
            texts.extend(self.comparisons(part, scope) if kind is exp.And else [self.expression(part, scope)])
        return connected("AND" if kind is exp.And else "OR", texts)

    def _comparison(self, node: exp.Expr, scope: Scope) -> str:
        left = self.expression(node.this, scope)
        return compared(SYMBOLS[type(node)], left, self.expression(node.expression, scope))

    def _negation(self, node: exp.Expr, scope: Scope) -> str:
        inner = node.this
        while type(inner) is exp.Paren:
            inner = inner.this
        symbol = NEGATED_SYMBOLS.get(type(inner))
        if symbol is None or type(inner.this) is exp.Tuple:
            return f"NOT({self.expression(inner, scope)})"
        left = self.expression(inner.this, scope)
        return compared(symbol, left, self.expression(inner.expression, scope))

    def _parentheses(self, node: exp.Expr, scope: Scope) -> str:
        return self.expression(node.this, scope)

    def _column(self, node: exp.Expr, scope: Scope) -> str:
        reference = self.resolution.references.get(id(node))
        if isinstance(reference, ColumnReference):
            return self.column(reference, scope)
        if isinstance(reference, TextReference):
            return quoted_text(reference.text)
        if isinstance(reference, AliasReference):
            if reference.scope is not scope and reference.expression.find(exp.Query):
                self.distrust("an alias of a subquery, used in another scope")
            return self.expression(reference.expression, scope)
        if isinstance(reference, OutputReference):
            return self.output(reference.position, scope)
        self.distrust("an unresolved name")
        return f"?.{quoted_name(node.name.lower())}"

    def output(self, position: int, scope: Scope) -> str:
        """The column of the scope's result at ``position``."""
        output = scope.outputs[position]
        if output.reference is not None:
            return self.column(output.reference, scope)
        return self.expression(output.expression, scope) if output.expression is not None else "?"

    def _literal(self, node: exp.Expr, scope: Scope) -> str:
        reference = self.resolution.references.get(id(node))
        if isinstance(reference, OutputReference):
            return self.output(reference.position, scope)
        return quoted_text(node.this) if node.args.get("is_string") else str(node.this)

    def _count(self, node: exp.Expr, scope: Scope) -> str:
        argument = node.this
        if type(argument) is exp.Literal and not node.expressions:
            return "COUNT(*)"
        return "COUNT(*)" if type(argument) is exp.Star else self._any(node, scope)

    def _membership(self, node: exp.Expr, scope: Scope) -> str:
        subquery = node.args.get("query")
        value = self.expression(node.this, scope)
        if subquery is not None:
            if type(subquery.this) is exp.Subquery:
                self.distrust("IN ((SELECT ...)), which SQLite takes for one value")
            return f"({value} IN ({self.query(subquery)}))"
        if node.args.get("field") is not None or node.args.get("unnest") is not None:
            self.distrust("IN over neither a list nor a query")
            return self._any(node, scope)
        elements = sorted({self.expression(element, scope) for element in node.expressions})
        return f"({value} IN [{', '.join(elements)}])"

    def _ordered(self, node: exp.Expr, scope: Scope) -> str:
        return ordered_text(self.expression(node.this, scope), node)

    def _like(self, node: exp.Expr, scope: Scope) -> str:
        text = f"({self.expression(node.this, scope)} {node.key.upper()} {self.expression(node.expression, scope)})"
        return f"NOT({text})" if node.args.get("negate") else text

    def _any(self, node: exp.Expr, scope: Scope) -> str:
        """The tree itself, written out."""
        if not is_trusted(node, self.resolution.text, self.resolution.dialect):
            self.distrust(f"the construct {node.key}")
        parts = [
            f"{name}={self._value(value, scope)}"
            for name, value in sorted(node.args.items())
            if value is not None and value is not False and value != []
        ]
        return f"{type(node).__name__}({', '.join(parts)})"

    def _value(self, value: object, scope: Scope) -> str:
        if isinstance(value, exp.Identifier):
            return quoted_name(value.this if value.args.get("quoted") else value.this.lower())
        if isinstance(value, exp.Expr):
            return self.expression(value, scope)
        if isinstance(value, list):
            return f"[{', '.join(self._value(element, scope) for element in value)}]"
        return repr(value.lower()) if isinstance(value, str) else repr(value)


_Writer = Callable[[ExpressionForms, exp.Expr, Scope], str]
_WRITERS: dict[type[exp.Expr], _Writer] = {
    exp.And: ExpressionForms._connective,
    exp.Or: ExpressionForms._connective,
    exp.Between: ExpressionForms._between,
    exp.Column: ExpressionForms._column,
    exp.Count: ExpressionForms._count,
    exp.In: ExpressionForms._membership,
    exp.Literal: ExpressionForms._literal,
    exp.Not: ExpressionForms._negation,
    exp.Ordered: ExpressionForms._ordered,
    exp.Paren: ExpressionForms._parentheses,
    exp.Like: ExpressionForms._like,
    exp.ILike: ExpressionForms._like,
    exp.Glob: ExpressionForms._like,
    **dict.fromkeys(SYMBOLS, ExpressionForms._comparison),
}
