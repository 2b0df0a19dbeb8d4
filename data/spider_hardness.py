"""Spider's official difficulty of a query: easy, medium, hard or extra (Yu et al. 2018; ``eval_hardness`` of the
official evaluation script), computed on sqlglot's tree.

It counts, over the first SELECT of the query,

    component 1   WHERE, GROUP BY, ORDER BY, LIMIT, every JOIN, every OR, every LIKE
    component 2   subqueries in conditions, and a set operation
    others        more than one aggregate; more than one column; more than one WHERE condition; more than one GROUP BY

The official counts have quirks, which are kept so that strata compare with published ones: an aggregate inside HAVING
is not counted, but a negated condition and every AND or OR of HAVING count as one; what follows a set operation
(its ORDER BY too) counts for nothing but the operation itself.
"""

from collections.abc import Iterator

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError


def hardness(query: str) -> str:
    """The official difficulty of a gold query; ``unknown`` when sqlglot cannot parse it or it is not a SELECT."""
    try:
        tree = sqlglot.parse_one(query, dialect="sqlite")
    except (SqlglotError, RecursionError):
        return "unknown"
    is_compound = isinstance(tree, exp.SetOperation)
    while isinstance(tree, exp.SetOperation):
        tree = tree.this
    if not isinstance(tree, exp.Select):
        return "unknown"
    joined = [unit for join in tree.args.get("joins") or () for unit in _conditions(join.args.get("on"))]
    where = list(_conditions(_clause(tree, "where")))
    having = list(_conditions(_clause(tree, "having")))
    conditions = [unit for unit in joined + where + having if isinstance(unit, exp.Expression)]
    components = (
        sum(bool(tree.args.get(clause)) for clause in ("where", "group"))
        + (not is_compound) * sum(bool(tree.args.get(clause)) for clause in ("order", "limit"))
        + len(tree.args.get("joins") or ())
        + sum(unit == "or" for unit in joined + where + having)
        + sum(isinstance(_positive(unit), exp.Like) for unit in conditions)
    )
    nested = is_compound + sum(unit.find(exp.Select) is not None for unit in conditions)
    return _grade(components, nested, _others(tree, where, having))


def _grade(components: int, nested: int, others: int) -> str:
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


def _others(tree: exp.Select, where: list[exp.Expression | str], having: list[exp.Expression | str]) -> int:
    groups = tree.args["group"].expressions if tree.args.get("group") else []
    ordering = tree.args["order"].expressions if tree.args.get("order") else []
    aggregates = (
        sum(isinstance(column.unalias(), exp.AggFunc) for column in tree.expressions)
        + sum(len(list(term.find_all(exp.AggFunc))) for term in ordering)
        + sum(isinstance(unit, exp.Not) for unit in where)
        + sum(isinstance(unit, (exp.Not, str)) for unit in having)
    )
    return (aggregates > 1) + (len(tree.expressions) > 1) + (len(where) > 1) + (len(groups) > 1)


def _clause(tree: exp.Select, name: str) -> exp.Expression | None:
    clause = tree.args.get(name)
    return clause.this if clause is not None else None


def _conditions(tree: exp.Expression | None) -> Iterator[exp.Expression | str]:
    """The conditions joined by AND and OR, with ``"and"`` and ``"or"`` between them."""
    while isinstance(tree, exp.Paren):
        tree = tree.this
    if isinstance(tree, exp.Connector):
        yield from _conditions(tree.left)
        yield "or" if isinstance(tree, exp.Or) else "and"
        yield from _conditions(tree.right)
    elif tree is not None:
        yield tree


def _positive(condition: exp.Expression) -> exp.Expression:
    return condition.this if isinstance(condition, exp.Not) else condition
