"""Other texts of the same query, equal to it by construction on every database.

They differ in what a query planner may look at: the order of joins and conditions, the names of aliases. On a database
where one of them returns something else than the query does, the query's own answer hangs on a choice of the planner
(which of two tied rows comes first), and a right prediction may well differ there.
"""

from collections.abc import Iterator

from sqlglot import exp

from envs.sql.suite.query import ParsedQuery


def equivalents(query: ParsedQuery) -> list[str]:
    """A few rewrites of ``query``, without itself and without repetition."""
    texts: dict[str, None] = {}
    for rewrite in (_with_joins_reversed, _with_joins_as_commas, _with_conditions_turned, _with_aliases_renamed):
        for tree in rewrite(query):
            texts[tree.sql(dialect=query.dialect)] = None
    texts.pop(query.sql(), None)
    return list(texts)


def _with_joins_reversed(query: ParsedQuery) -> Iterator[exp.Expression]:
    """FROM a JOIN b ON x JOIN c ON y -> FROM c JOIN b JOIN a ON x AND y, in every SELECT."""
    tree = query.tree.copy()
    has_changed = False
    for select in tree.find_all(exp.Select):
        joined = _inner_joined(select)
        if joined is None:
            continue
        sources, conditions = joined
        has_changed = True
        first, *rest = reversed(sources)
        joins = [exp.Join(this=source) for source in rest]
        joins[-1].set("on", exp.and_(*conditions, copy=False) if conditions else None)
        select.set("from_", exp.From(this=first))
        select.set("joins", joins)
    if has_changed:
        yield tree


def _with_joins_as_commas(query: ParsedQuery) -> Iterator[exp.Expression]:
    """FROM a JOIN b ON x WHERE y -> FROM a, b WHERE y AND x, in every SELECT."""
    tree = query.tree.copy()
    has_changed = False
    for select in tree.find_all(exp.Select):
        joined = _inner_joined(select)
        if joined is None:
            continue
        sources, conditions = joined
        has_changed = True
        where = select.args.get("where")
        everything = [*([where.this] if where else []), *conditions]
        select.set("from_", exp.From(this=sources[0]))
        # The comma is a join of kind CROSS or none at all, by dialect; both are written as one that joins everything.
        select.set("joins", [exp.Join(this=source, kind="CROSS") for source in sources[1:]])
        select.set("where", exp.Where(this=exp.and_(*everything, copy=False)) if everything else None)
    if has_changed:
        yield tree


def _inner_joined(select: exp.Select) -> tuple[list[exp.Expression], list[exp.Expression]] | None:
    """The sources of a SELECT and the conditions that join them; None unless there are several, all of them plain
    tables or subqueries under inner joins. A bare ``SELECT *`` is left alone: its columns come in the joins' order."""
    origin, joins = select.args.get("from_"), select.args.get("joins") or []
    if origin is None or not joins or any(projection.is_star for projection in select.expressions):
        return None
    is_plain = all(
        not (join.args.get("side") or join.args.get("using") or join.args.get("method"))
        and (join.args.get("kind") or "INNER") in ("INNER", "CROSS")
        for join in joins
    )
    sources = [origin.this, *(join.this for join in joins)]
    if not is_plain or not all(isinstance(source, (exp.Table, exp.Subquery)) for source in sources):
        return None
    if any(source.args.get("joins") or source.args.get("laterals") for source in sources):
        return None
    return sources, [_grouped(join.args["on"]) for join in joins if join.args.get("on") is not None]


def _grouped(condition: exp.Expression) -> exp.Expression:
    return exp.paren(condition, copy=False) if isinstance(condition, exp.Or) else condition


def _with_conditions_turned(query: ParsedQuery) -> Iterator[exp.Expression]:
    """a AND b -> b AND a, a OR b -> b OR a, x = y -> y = x, everywhere."""
    tree = query.tree.copy()
    turned = list(tree.find_all(exp.And, exp.Or, exp.EQ, exp.NEQ))
    for node in turned:
        left, right = node.this, node.expression
        node.set("this", _nested(node, right))
        node.set("expression", _nested(node, left))
    if turned:
        yield tree


def _nested(node: exp.Expression, side: exp.Expression) -> exp.Expression:
    """A chain that was on the left needs parentheses on the right."""
    return exp.paren(side, copy=False) if isinstance(node, (exp.And, exp.Or)) and isinstance(side, type(node)) else side


def _with_aliases_renamed(query: ParsedQuery) -> Iterator[exp.Expression]:
    """FROM t AS T1 -> FROM t AS r1, everywhere, with the names that refer to it."""
    tree = query.tree.copy()
    renamed: dict[tuple[int, str], str] = {}
    for select in tree.find_all(exp.Select):
        for alias, source in query.sources(select).items():
            if source.args.get("alias") is not None:
                renamed[id(select), alias] = f"r{len(renamed) + 1}"
    for column in tree.find_all(exp.Column):
        qualifier = column.text("table").lower()
        around = column.find_ancestor(exp.Select)
        while qualifier and around is not None:
            if qualifier in query.sources(around):
                if (new := renamed.get((id(around), qualifier))) is not None:
                    column.set("table", exp.to_identifier(new))
                break
            around = around.find_ancestor(exp.Select)
    for select in list(tree.find_all(exp.Select)):
        for alias, source in list(query.sources(select).items()):
            if (new := renamed.get((id(select), alias))) is not None:
                source.args["alias"].set("this", exp.to_identifier(new))
    if renamed:
        yield tree
