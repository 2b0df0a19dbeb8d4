"""How much two queries agree, clause by clause: F1 over the units that each clause consists of.

A unit is a canonical text: an item of the select list, a table, a condition of a join, a conjunct, a key, a term of
ORDER BY. Columns are named by their table whatever the aliases, so that units of different queries can be compared; a
subquery is one unit with what stands around it. F1 (van Rijsbergen 1979) is 2 |A and B| / (|A| + |B|) over multisets.

Not covered: the order of units (``ORDER BY a, b`` and ``ORDER BY b, a`` agree fully), and which of two occurrences of
one table is meant.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import lru_cache

from sqlglot import exp

from envs.sql.parsing.expression_forms import NoCanonicalFormError
from envs.sql.parsing.notation import operands
from envs.sql.parsing.query_forms import QueryForms, has_inner_joins_only
from envs.sql.parsing.resolution import Schema, resolve
from envs.sql.parsing.scopes import ColumnReference, Resolution, Scope

CLAUSES = ("select", "from", "where", "group by", "having", "order by", "limit", "set operation")
CACHED_QUERIES = 4_096

Units = Mapping[str, Counter[str]]
"""The units of each clause of ``CLAUSES``; empty for a clause that the query lacks."""


def clause_units(query: str, schema: Schema, dialect: str) -> Units | None:
    """The units of the query's own clauses; None when it cannot be parsed or is too complex. Shared: not to be changed.

    Of a set operation they are those of its first SELECT, with the operators and the other sides as units of
    ``set operation``.
    """
    return _clause_units(query, tuple(schema.items()), dialect)


def clause_scores(predicted: Units, gold: Units) -> dict[str, float | None]:
    """F1 of each clause, from 0 to 1; None for a clause that neither query has."""
    return {clause: _f1(predicted[clause], gold[clause]) for clause in CLAUSES}


def _f1(one: Counter[str], other: Counter[str]) -> float | None:
    total = one.total() + other.total()
    return 2 * (one & other).total() / total if total else None


@lru_cache(maxsize=CACHED_QUERIES)
def _clause_units(query: str, schema: tuple[tuple[str, tuple[str, ...]], ...], dialect: str) -> Units | None:
    resolution = resolve(query, dict(schema), dialect)
    if resolution is None:
        return None
    try:
        return _UnitReader(resolution).read()
    except (NoCanonicalFormError, RecursionError):
        return None


class _UnitReader:
    def __init__(self, resolution: Resolution) -> None:
        self.resolution = resolution
        self.forms = QueryForms(resolution, is_strict=False)
        self.units: dict[str, Counter[str]] = {clause: Counter() for clause in CLAUSES}

    def read(self) -> Units:
        node: exp.Expr = self.resolution.tree
        while type(node) is not exp.Select:
            if isinstance(node, exp.SetOperation):
                operator = node.key.upper() + ("" if node.args.get("distinct") else " ALL")
                self.units["set operation"].update([operator, self.forms.query(node.expression)])
            elif type(node) is not exp.Subquery:
                raise NoCanonicalFormError(f"the query {node.key}")
            self._add_order_and_limit(node, None)
            node = node.this
        scope = self.resolution.scopes.get(id(node))
        if scope is None:
            raise NoCanonicalFormError("unresolved")
        self._add_select(node, scope)
        self._add_order_and_limit(node, scope)
        return self.units

    def _add_select(self, node: exp.Expr, scope: Scope) -> None:
        units = self.units
        units["select"].update(self.forms.output(position, scope) for position in range(len(scope.outputs)))
        if node.args.get("distinct") is not None:
            units["select"]["DISTINCT"] += 1
        units["from"].update(self.forms.source(source) for source in scope.sources)
        self._add_conditions(node, scope)
        group, having = node.args.get("group"), node.args.get("having")
        if group is not None:
            units["group by"].update(self.forms.group_keys(group, scope))
        if having is not None:
            units["having"].update(self._alternatives(having.this, scope))

    def _add_conditions(self, node: exp.Expr, scope: Scope) -> None:
        """Conditions that tie two sources are the FROM clause's, wherever inner joins let them be written."""
        conditions = [node.args["where"].this] if node.args.get("where") is not None else []
        is_inner = has_inner_joins_only(scope)
        for position, join in scope.joins:
            if is_inner and join.args.get("on") is not None:
                conditions.append(join.args["on"])
            elif not is_inner:
                self.units["from"].update([f"{join.args.get('side') or 'INNER'} JOIN"])
                self.units["from"].update(self.forms.join_conditions(position, join, scope))
        if is_inner:
            self.units["from"].update(self.forms.merged_conditions(None, scope))
        for condition in conditions:
            for part in operands(condition, exp.And):
                clause = "from" if is_inner and self._ties_sources(part) else "where"
                self.units[clause].update(self._alternatives(part, scope))

    def _ties_sources(self, node: exp.Expr) -> bool:
        if type(node) is not exp.EQ:
            return False
        sides = [self.resolution.references.get(id(side)) for side in (node.this, node.expression)]
        left, right = sides
        if not isinstance(left, ColumnReference) or not isinstance(right, ColumnReference):
            return False
        return left.scope is right.scope and left.source != right.source

    def _alternatives(self, condition: exp.Expr, scope: Scope) -> Iterator[str]:
        """The units of a condition: its conjuncts, those that are alternatives taken apart and marked."""
        for part in operands(condition, exp.And):
            if type(part) is exp.Boolean and part.this:
                continue
            alternatives = list(operands(part, exp.Or))
            for alternative in alternatives:
                for text in self.forms.comparisons(alternative, scope):
                    yield text if len(alternatives) == 1 else f"OR {text}"

    def _add_order_and_limit(self, node: exp.Expr, scope: Scope | None) -> None:
        self.units["order by"].update(self.forms.order_terms(node, scope))
        self.units["limit"].update(self.forms.limits(node, scope))
