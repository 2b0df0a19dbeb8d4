"""Rewrites of gold queries for ``sql_truth.py``, equal to them by construction on every database."""

from collections.abc import Callable
from typing import Any

from sqlglot import exp

from envs.sql.suite.query import ParsedQuery
from envs.sql.suite.rewrites import equivalents


def rewrites(query: ParsedQuery) -> list[str]:
    """Texts equal to the gold by construction: those that the suite's check of order uses, and others."""
    texts = dict.fromkeys([query.sql(), *equivalents(query)])
    for rewrite in (_betweens, _parentheses, _counts, _negations, _distincts, _lists, _offsets, _ordinals):
        tree = query.tree.copy()
        if rewrite(tree):
            texts[tree.sql(dialect=query.dialect)] = None
    if not query.is_ordered and not any(projection.is_star for projection in query.tree.selects):
        names = ", ".join(f"c{place}" for place in range(len(query.tree.selects)))
        texts[f"WITH whole({names}) AS ({query.sql()}) SELECT {names} FROM whole"] = None
        texts[f"SELECT * FROM ({query.sql()}) AS whole"] = None
    return list(texts)


def _replace_all(tree: exp.Expression, kind: Any, change: Callable[[Any], exp.Expression | None]) -> bool:
    has_changed = False
    for node in list(tree.find_all(kind)):
        new = change(node)
        if new is not None and node.parent is not None:
            node.replace(new)
            has_changed = True
    return has_changed


def _betweens(tree: exp.Expression) -> bool:
    """x BETWEEN a AND b -> (x >= a AND x <= b)"""

    def change(node: exp.Between) -> exp.Expression:
        low = exp.GTE(this=node.this.copy(), expression=node.args["low"].copy())
        high = exp.LTE(this=node.this.copy(), expression=node.args["high"].copy())
        return exp.paren(exp.and_(low, high))

    return _replace_all(tree, exp.Between, change)


def _parentheses(tree: exp.Expression) -> bool:
    """Round every condition."""
    kinds = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.In, exp.Like)
    return _replace_all(tree, kinds, lambda node: exp.paren(node.copy()))


def _counts(tree: exp.Expression) -> bool:
    """COUNT(*) -> COUNT(1)"""
    return _replace_all(
        tree,
        exp.Count,
        lambda node: exp.Count(this=exp.Literal.number(1)) if isinstance(node.this, exp.Star) else None,
    )


def _negations(tree: exp.Expression) -> bool:
    """x > y -> NOT (x <= y)"""
    opposites = {exp.GT: exp.LTE, exp.GTE: exp.LT, exp.LT: exp.GTE, exp.LTE: exp.GT, exp.NEQ: exp.EQ}

    def change(node: exp.Expression) -> exp.Expression:
        opposite = opposites[type(node)](this=node.this.copy(), expression=node.expression.copy())
        return exp.Not(this=exp.paren(opposite))

    return _replace_all(tree, tuple(opposites), change)


def _distincts(tree: exp.Expression) -> bool:
    """SELECT DISTINCT a -> SELECT a GROUP BY a"""
    has_changed = False
    for select in tree.find_all(exp.Select):
        is_simple = not select.args.get("group") and not select.find(exp.AggFunc) and not select.is_star
        if select.args.get("distinct") and is_simple and not select.args.get("order"):
            select.set("distinct", None)
            select.set("group", exp.Group(expressions=[output.unalias().copy() for output in select.expressions]))
            has_changed = True
    return has_changed


def _lists(tree: exp.Expression) -> bool:
    """x IN (a, b) -> (x = a OR x = b)"""

    def change(node: exp.In) -> exp.Expression | None:
        if not node.expressions:
            return None
        equal = [exp.EQ(this=node.this.copy(), expression=item.copy()) for item in node.expressions]
        return exp.paren(exp.or_(*equal))

    return _replace_all(tree, exp.In, change)


def _offsets(tree: exp.Expression) -> bool:
    """LIMIT n -> LIMIT n OFFSET 0"""
    limits = list(tree.find_all(exp.Limit))
    for limit in limits:
        if limit.parent is not None:
            limit.parent.set("offset", exp.Offset(expression=exp.Literal.number(0)))
    return bool(limits)


def _ordinals(tree: exp.Expression) -> bool:
    """SELECT a, b ORDER BY b -> ORDER BY 2"""
    order = tree.args.get("order")
    outputs = [output.unalias() for output in tree.selects]
    if order is None or isinstance(tree, exp.SetOperation) or any(output.is_star for output in outputs):
        return False
    has_changed = False
    for ordered in order.expressions:
        if ordered.this in outputs:
            ordered.set("this", exp.Literal.number(outputs.index(ordered.this) + 1))
            has_changed = True
    return has_changed
