"""Writes whole queries as canonical text, on top of ``envs.sql.parsing.expression_forms``.

The sources of a SELECT are numbered in the order of what they are, so that aliases and, among inner joins, the order of
the tables vanish. Where the same table occurs twice every numbering is tried and the least text taken. The conditions
of inner joins go to WHERE; USING and NATURAL become equations; common table expressions are written where they are
used; GROUP BY is a set. The order of the select list, of ORDER BY and of a set operation's sides stays, and outer joins
stay as they are written.
"""

from collections.abc import Iterator
from itertools import chain, permutations, product
from math import factorial, prod

from sqlglot import exp

from envs.sql.parsing.expression_forms import WRITTEN_NODES, ExpressionForms, NoCanonicalFormError
from envs.sql.parsing.notation import compared, ordered_text, quoted_name
from envs.sql.parsing.scopes import OutputReference, Resolution, Scope, Source

FORM_CHARACTERS = 50_000
"""Longest text of one query. Without a bound, common table expressions that use each other twice would explode."""
NUMBERINGS = 24
"""Most numberings of repeated sources that are tried; beyond them the written order stays."""

_SELECT_CLAUSES = frozenset(
    {"expressions", "distinct", "from_", "joins", "where", "group", "having", "order", "limit", "offset", "with_"}
)
_SET_OPERATION_PARTS = frozenset({"this", "expression", "distinct", "order", "limit", "offset", "with_"})
_SUBQUERY_PARTS = frozenset({"this", "alias", "order", "limit", "offset", "with_"})
_JOIN_PARTS = frozenset({"this", "on", "using", "kind", "side", "method"})


class QueryForms(ExpressionForms):
    """Writes the queries of one resolved statement."""

    def __init__(self, resolution: Resolution, is_strict: bool) -> None:
        super().__init__(resolution, is_strict)
        self._common_forms: dict[int, str] = {}

    def query(self, node: exp.Expr) -> str:
        """The form of a SELECT or set operation; without its alias.

        Raises:
            NoCanonicalFormError: it is too long, or strictness asks for it.
        """
        if type(node) is exp.Select:
            text = self._select(node)
        elif isinstance(node, exp.SetOperation):
            self._expect_only(_SET_OPERATION_PARTS, node)
            operator = node.key.upper() + ("" if node.args.get("distinct") else " ALL")
            text = f"({self.query(node.this)} {operator} {self.query(node.expression)}){self._result_modifiers(node)}"
        elif type(node) is exp.Subquery:
            self._expect_only(_SUBQUERY_PARTS, node)
            modifiers = self._result_modifiers(node)
            text = f"({self.query(node.this)}){modifiers}" if modifiers else self.query(node.this)
        else:
            self.distrust(f"the query {node.key}")
            text = node.key
        if len(text) > FORM_CHARACTERS:
            raise NoCanonicalFormError("too long")
        return text

    def source(self, source: Source) -> str:
        """The form of one source of a FROM, without its alias."""
        if source.table is not None:
            return quoted_name(source.table)
        if source.query is None:
            self.distrust("a source that is no table and no query")
            return "?"
        if not source.is_common:
            return f"({self.query(source.query)})"
        key = id(source.query)
        if key not in self._common_forms:
            self._common_forms[key] = f"({self.query(source.query)})"
        return self._common_forms[key]

    def join_conditions(self, position: int, join: exp.Expr, scope: Scope) -> list[str]:
        """What ON, USING or NATURAL asks of the source at ``position``."""
        condition = join.args.get("on")
        conditions = self.conjuncts(condition, scope) if condition is not None else []
        return conditions + self.merged_conditions(position, scope)

    def merged_conditions(self, position: int | None, scope: Scope) -> list[str]:
        """The equations that USING and NATURAL stand for; those of one source unless that is None."""
        return [
            compared("=", self.column(left, scope), self.column(right, scope))
            for left, right in scope.merged
            if position is None or right.source == position
        ]

    def _select(self, node: exp.Expr) -> str:
        scope = self.resolution.scopes.get(id(node))
        if scope is None:
            raise NoCanonicalFormError("unresolved")
        self._expect_only(_SELECT_CLAUSES, node)
        for part in scope.joins:
            self._expect_only(_JOIN_PARTS, part[1])
        contents = [self.source(source) for source in scope.sources]
        texts: list[str] = []
        for numbers in _numberings(contents) if has_inner_joins_only(scope) else [list(range(len(contents)))]:
            if texts and self.nodes_left < WRITTEN_NODES // 2:
                break  # nested repetitions multiply; what is left is for finishing
            self.numbers[id(scope)] = numbers
            texts.append(self._numbered_select(node, scope, contents))
        del self.numbers[id(scope)]
        return min(texts)

    def _numbered_select(self, node: exp.Expr, scope: Scope, contents: list[str]) -> str:
        parts = [self._select_list(node, scope)]
        where = node.args.get("where")
        conditions = self.conjuncts(where.this, scope) if where else []
        if has_inner_joins_only(scope):
            parts.append(", ".join(sorted(contents)))
            joined = (self.join_conditions(position, join, scope) for position, join in scope.joins)
            conditions = sorted({*conditions, *chain.from_iterable(joined)})
        else:
            parts.append(contents[0] + "".join(self._outer_join(contents, *join, scope) for join in scope.joins))
        parts.append(" AND ".join(conditions))
        group = node.args.get("group")
        parts.append(", ".join(self.group_keys(group, scope)) if group else "")
        having = node.args.get("having")
        # HAVING alone already makes one group of all rows, whatever it says.
        parts.append((" AND ".join(self.conjuncts(having.this, scope)) or "TRUE") if having else "")
        parts.append(", ".join(self.order_terms(node, scope)))
        clauses = zip(("SELECT", "FROM", "WHERE", "GROUP BY", "HAVING", "ORDER BY"), parts, strict=True)
        return " ".join([f"{name} {text}" for name, text in clauses if text] + self.limits(node, scope))

    def _select_list(self, node: exp.Expr, scope: Scope) -> str:
        items = ", ".join(self.output(position, scope) for position in range(len(scope.outputs)))
        distinct = node.args.get("distinct")
        if distinct is None:
            return items
        keys = distinct.args.get("on")
        return f"DISTINCT {f'ON {self.expression(keys, scope)} ' if keys is not None else ''}{items}"

    def _outer_join(self, contents: list[str], position: int, join: exp.Expr, scope: Scope) -> str:
        side, kind, method = ((join.args.get(part) or "").upper() for part in ("side", "kind", "method"))
        if kind not in ("", "INNER", "OUTER", "CROSS") or method not in ("", "NATURAL"):
            self.distrust(f"{method} {kind} JOIN")
        if side in ("RIGHT", "FULL"):
            if scope.merged:
                self.distrust("a merged column of an outer join, which is neither side's")
            if any(other.args.get("kind") == "CROSS" for _, other in scope.joins):
                self.distrust("a comma, which binds looser than CROSS JOIN but is the same in sqlglot's tree")
        conditions = " AND ".join(sorted(self.join_conditions(position, join, scope)))
        return f" {side or 'INNER'} JOIN {contents[position]} ON {conditions}"

    def group_keys(self, group: exp.Expr, scope: Scope) -> list[str]:
        """The keys of a GROUP BY."""
        self._expect_only(frozenset({"expressions"}), group)
        return sorted({self.expression(key, scope) for key in group.expressions})

    def order_terms(self, node: exp.Expr, scope: Scope | None) -> list[str]:
        """The terms of a query's ORDER BY; ``scope`` is None where they can only be columns of the result."""
        order = node.args.get("order")
        texts = []
        for ordered in order.expressions if order is not None else ():
            if scope is not None:
                texts.append(self.expression(ordered, scope))
                continue
            term = ordered.this
            while type(term) is exp.Paren:
                term = term.this
            reference = self.resolution.references.get(id(term))
            if isinstance(reference, OutputReference):
                texts.append(ordered_text(f"#{reference.position}", ordered))
            else:
                self.distrust("an ORDER BY term that is no column of the result")
        return texts

    def limits(self, node: exp.Expr, scope: Scope | None) -> list[str]:
        """LIMIT and OFFSET of a query."""
        texts = []
        for name in ("limit", "offset"):
            clause = node.args.get(name)
            if clause is not None:
                self._expect_only(frozenset({"expression"}), clause)
                amount = clause.args.get("expression")
                text = self.expression(amount, scope or Scope(parent=None, common_tables={})) if amount else "?"
                texts.append(f"{name.upper()} {text}")
        return texts

    def _result_modifiers(self, node: exp.Expr) -> str:
        order = ", ".join(self.order_terms(node, None))
        return " ".join([f" ORDER BY {order}" if order else "", *self.limits(node, None)]).rstrip()

    def _expect_only(self, parts: frozenset[str], node: exp.Expr) -> None:
        if self.is_strict:
            for name, value in node.args.items():
                if value and name not in parts:
                    self.distrust(f"{node.key}: {name}")


def has_inner_joins_only(scope: Scope) -> bool:
    """True when the sources of the scope may change places."""
    return all(
        not join.args.get("side")
        and (join.args.get("kind") or "").upper() in ("", "INNER", "CROSS")
        and (join.args.get("method") or "").upper() in ("", "NATURAL")
        for _, join in scope.joins
    )


def _numberings(contents: list[str]) -> Iterator[list[int]]:
    """For each way to number the sources in the order of their contents, the number of every source."""
    order = sorted(range(len(contents)), key=contents.__getitem__)
    groups: list[list[int]] = []
    for position in order:
        if groups and contents[groups[-1][0]] == contents[position]:
            groups[-1].append(position)
        else:
            groups.append([position])
    if prod(factorial(len(group)) for group in groups) > NUMBERINGS:
        choices = iter([tuple(map(tuple, groups))])
    else:
        choices = product(*map(permutations, groups))
    for choice in choices:
        numbers = [0] * len(contents)
        for number, position in enumerate(chain.from_iterable(choice)):
            numbers[position] = number
        yield numbers
