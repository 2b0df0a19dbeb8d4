"""The core of a query: what is left without LIMIT, ORDER BY and DISTINCT. By it a query is found again in disguise.

Not covered: a disguise of the query itself, another condition or column for example; that is a query of its own. A text
that cannot be parsed has itself for a core.
"""

from collections.abc import Iterator

from sqlglot import exp

from envs.sql.parsing.canonical import query_digest
from envs.sql.parsing.resolution import Schema
from envs.sql.parsing.statement import parse_statement

DRESSING = ("distinct", "order", "limit", "offset", "fetch")
"""Arguments of sqlglot's nodes that choose and order rows of a result, and make no other of it."""
MOST_QUERIES = 16
"""Queries inside of one another that are looked at: each takes milliseconds."""


def core_digests(query: str, schema: Schema, dialect: str) -> tuple[str, ...]:
    """Digests of the core of a query, and of each query inside of it: common table expressions, subqueries, branches of
    a UNION. Its own comes first; none at all where there are more than ``MOST_QUERIES``.

    Equal digests mean cores of the same canonical form (``envs.sql.parsing.canonical.query_digest``). Never raises
    because of the query.
    """
    tree = parse_statement(query, dialect).tree
    if tree is None:
        return (query_digest(query, schema, dialect),)
    try:
        texts = [_core(node).sql(dialect=dialect) for node in _queries(tree)]
    except Exception:  # sqlglot writes SQL of trees that models made: RecursionError and its own errors, at least
        return (query_digest(query, schema, dialect),)
    return tuple(query_digest(text, schema, dialect) for text in texts) if len(texts) <= MOST_QUERIES else ()


def _queries(tree: exp.Expr) -> Iterator[exp.Expr]:
    """The first ones, one more than are looked at; from the outside in."""
    found = 0
    for node in tree.bfs():
        if isinstance(node, (exp.Select, exp.SetOperation)):
            yield node
            found += 1
            if found > MOST_QUERIES:
                return


def _core(node: exp.Expr) -> exp.Expr:
    core = node.copy()
    for part in DRESSING:
        # Of a UNION, "distinct" says that it is no UNION ALL.
        if core.args.get(part) and not (part == "distinct" and isinstance(core, exp.SetOperation)):
            core.set(part, None)
    return core
