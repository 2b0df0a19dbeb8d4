"""Finds what each name in a query refers to: the tables of every FROM, then every column, innermost scope first.

sqlglot's own ``qualify`` takes several milliseconds a query, changes the tree, and gives up where SQLite reads a
double-quoted name as a text.

Not covered: table functions, UNNEST, VALUES, LATERAL and PIVOT as sources (their columns are unknown), and recursive
common table expressions. Each is noted among the problems.
"""

from collections.abc import Mapping

from sqlglot import exp

from envs.sql.parsing.dialect_rules import folded_identifier
from envs.sql.parsing.from_clause import FromClauseResolver
from envs.sql.parsing.lookup import AmbiguousNameError, find_name
from envs.sql.parsing.scopes import (
    AliasReference,
    ColumnReference,
    CommonTable,
    Output,
    OutputReference,
    Reference,
    Scope,
    TextReference,
)


class QueryResolver(FromClauseResolver):
    """Resolves one statement: ``resolve_query`` on its tree fills in the scopes, references, reads and problems."""

    def resolve_query(
        self, node: exp.Expr, parent: Scope | None, common_tables: Mapping[str, CommonTable]
    ) -> list[Output]:
        if node.args.get("with_") is not None:
            common_tables = self._with_tables(node.args["with_"], common_tables)
        kind = type(node)
        if kind is exp.Select:
            return self._resolve_select(node, parent, common_tables)
        if isinstance(node, exp.SetOperation):
            outputs = self.resolve_query(node.this, parent, common_tables)
            other = self.resolve_query(node.expression, parent, common_tables)
            self._resolve_result_order(node, outputs, other)
            return outputs
        if kind is exp.Subquery and isinstance(node.this, exp.Query):
            outputs = self.resolve_query(node.this, parent, common_tables)
            self._resolve_result_order(node, outputs, [])
            return outputs
        self.problems.append(f"columns of {node.key}")
        self.visit(node, Scope(parent=parent, common_tables=common_tables))
        return []

    def _with_tables(self, with_: exp.Expr, outer: Mapping[str, CommonTable]) -> Mapping[str, CommonTable]:
        # All of them see each other, as in SQLite. DuckDB and PostgreSQL are stricter, so that it makes no difference.
        visible = dict(outer)
        for definition in with_.expressions:
            alias = definition.args.get("alias")
            columns = (alias and alias.args.get("columns")) or ()
            name = folded_identifier(alias.this, self.rules) if alias else ""
            names = tuple(folded_identifier(column, self.rules) for column in columns)
            visible[name] = CommonTable(query=definition.this, names=names, visible=visible)
        return visible

    def _resolve_select(
        self, node: exp.Expr, parent: Scope | None, common_tables: Mapping[str, CommonTable]
    ) -> list[Output]:
        scope = Scope(parent=parent, common_tables=common_tables)
        self.scopes[id(node)] = scope
        self.read_from(node, scope)
        self._visit_clause("expressions", node.expressions, scope)
        self._visit_clause("joins", [join.args.get("on") for _, join in scope.joins], scope)
        for clause, value in node.args.items():
            if clause == "order" and value:
                self._visit_order(value, scope)
            elif clause not in ("expressions", "from_", "joins", "laterals", "with_", "order"):
                self._visit_clause(clause, value if isinstance(value, list) else [value], scope)
        return scope.outputs

    def _visit_clause(self, clause: str, nodes: list[exp.Expr | None], scope: Scope) -> None:
        scope.are_aliases_visible = clause in self.rules.alias_clauses
        for node in nodes:
            if not isinstance(node, exp.Expr):
                continue
            if clause == "expressions":
                self._visit_item(node, scope)
            elif clause == "group":
                for term in node.expressions:
                    self._note_position(term, scope.outputs)
                self.visit(node, scope)
            else:
                self.visit(node, scope)
        scope.are_aliases_visible = False

    def _visit_item(self, item: exp.Expr, scope: Scope) -> None:
        if type(item) is exp.Star or (type(item) is exp.Column and type(item.this) is exp.Star):
            self._expand_star(item, scope)
            return
        expression = item.this if type(item) is exp.Alias else item
        self.visit(expression, scope)
        bare = _without_parentheses(expression)
        if type(item) is exp.Alias:
            name: str | None = folded_identifier(item.args["alias"], self.rules)
            scope.aliases.setdefault(name or "", expression)
        else:
            name = folded_identifier(bare.this, self.rules) if type(bare) is exp.Column else None
        self.count_columns(1)
        scope.outputs.append(Output(name, expression))

    def _expand_star(self, star: exp.Expr, scope: Scope) -> None:
        table = folded_identifier(star.args.get("table"), self.rules)
        inner = star if type(star) is exp.Star else star.this
        if any(inner.args.values()):
            self.problems.append("a * with exceptions")
        hidden = set() if table else {(right.source, right.column) for _, right in scope.merged}
        is_empty = True
        for position, source in enumerate(scope.sources):
            if table and source.alias != table:
                continue
            is_empty = False
            if source.columns is None:
                self.problems.append("a * over unknown columns")
            self.count_columns(len(source.columns or ()))
            for column, name in enumerate(source.columns or ()):
                if (position, column) not in hidden:
                    reference = self.reference_column(ColumnReference(scope, position, column))
                    scope.outputs.append(Output(name, None, reference))
        if is_empty:
            self.problems.append(f"no such table for *: {table}")

    def _visit_order(self, order: exp.Expr, scope: Scope) -> None:
        for ordered in order.expressions:
            term = _without_parentheses(ordered.this)
            if self._note_position(term, scope.outputs):
                continue
            if type(term) is exp.Column and not term.args.get("table"):
                name = folded_identifier(term.this, self.rules)
                if name in scope.aliases:
                    self.references[id(term)] = AliasReference(scope, scope.aliases[name])
                    continue
                named = [i for i, output in enumerate(scope.outputs) if output.name == name]
                if self.rules.are_columns_sortable_names and named:
                    self.references[id(term)] = OutputReference(named[0])
                    continue
            self._visit_clause("order", [ordered], scope)

    def _resolve_result_order(self, node: exp.Expr, outputs: list[Output], other: list[Output]) -> None:
        """ORDER BY and LIMIT of a set operation, which see nothing but the columns of the result."""
        for clause, value in node.args.items():
            if clause in ("limit", "offset") and value:
                self.visit(value, Scope(parent=None, common_tables={}))
        order = node.args.get("order")
        for ordered in order.expressions if order else ():
            term = _without_parentheses(ordered.this)
            if self._note_position(term, outputs):
                continue
            position = self._result_position(term, outputs) if term else None
            position = self._result_position(term, other) if position is None else position
            if position is None:
                self.problems.append("ORDER BY of a set operation by something that is no column of its result")
            else:
                self.references[id(term)] = OutputReference(position)

    def _result_position(self, term: exp.Expr, outputs: list[Output]) -> int | None:
        name = None
        if type(term) is exp.Column and not term.args.get("table"):
            name = folded_identifier(term.this, self.rules)
        for position, output in enumerate(outputs):
            if (name and output.name == name) or (output.expression is not None and output.expression == term):
                return position
        return None

    def _note_position(self, term: exp.Expr, outputs: list[Output]) -> bool:
        bare = _without_parentheses(term)
        if type(bare) is not exp.Literal or bare.args.get("is_string") or not bare.this.isdecimal():
            return False
        position = int(bare.this[:9]) - 1
        if not 0 <= position < len(outputs):
            self.problems.append("a position beyond the select list")
            return True
        self.references[id(bare)] = OutputReference(position)
        return True

    def visit(self, node: exp.Expr, scope: Scope) -> None:
        kind = type(node)
        if kind is exp.Column:
            reference = self._resolve_column(node, scope)
            if reference is not None:
                self.references[id(node)] = reference
            return
        if isinstance(node, exp.Query):
            self.resolve_query(node, scope, scope.common_tables)
            return
        if kind is exp.In and node.args.get("field") is not None:
            self.problems.append("IN without parentheses")  # a table's name in SQLite, an array in DuckDB
        for value in node.args.values():
            if isinstance(value, exp.Expr):
                self.visit(value, scope)
            elif isinstance(value, list):
                for element in value:
                    if isinstance(element, exp.Expr):
                        self.visit(element, scope)

    def _resolve_column(self, node: exp.Expr, scope: Scope) -> Reference | None:
        name = folded_identifier(node.this, self.rules)
        table = folded_identifier(node.args.get("table"), self.rules)
        schema = node.args.get("db")
        is_elsewhere = node.args.get("catalog") is not None or (
            schema is not None and folded_identifier(schema, self.rules) != self.rules.schema
        )
        if not name or is_elsewhere:
            self.problems.append("a column of another schema, or a * in an expression")
            return None
        try:
            found = find_name(name, table, scope, self.rules)
        except AmbiguousNameError as error:
            self.problems.append(f"ambiguous column name: {name}")
            found = error.best
        if isinstance(found, ColumnReference):
            return self.reference_column(found)
        if found is None and not table and self.rules.has_quoted_strings and self._is_double_quoted(node.this):
            if _has_nameless_columns(scope):
                # SQLite names such a column by the text of its expression, which may be this one.
                self.problems.append(f"a text that may be a nameless column: {name}")
            return TextReference(node.this.this)
        if found is None:
            self.problems.append(f"no such column: {name}")
        return found

    def _is_double_quoted(self, identifier: exp.Expr) -> bool:
        """SQLite also knows [x] and `x`, which are always names."""
        start = identifier.meta.get("start")
        return bool(identifier.args.get("quoted")) and isinstance(start, int) and self.text[start : start + 1] == '"'


def _without_parentheses(node: exp.Expr) -> exp.Expr:
    while type(node) in (exp.Paren, exp.Collate):
        node = node.this
    return node


def _has_nameless_columns(scope: Scope | None) -> bool:
    while scope is not None:
        if any(None in (source.columns or ()) for source in scope.sources):
            return True
        scope = scope.parent
    return False
