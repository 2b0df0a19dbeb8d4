"""Resolves the FROM of a SELECT: its sources in order, and the columns that USING and NATURAL JOIN equate."""

from abc import ABC, abstractmethod
from collections.abc import Mapping

from sqlglot import exp

from envs.sql.parsing.dialect_rules import DialectRules, folded_identifier
from envs.sql.parsing.scopes import ColumnReference, CommonTable, Output, Reference, Scope, Source

_TABLE_PARTS = frozenset({"this", "alias", "db", "catalog", "joins", "indexed"})
_PARENTHESES_PARTS = frozenset({"this", "alias"})

TOTAL_COLUMNS = 20_000
"""Columns of all sources and results of one query. A short query multiplies them by nesting ``SELECT * FROM a, a``."""


class TooManyColumnsError(Exception):
    """A query beyond ``TOTAL_COLUMNS``."""


class FromClauseResolver(ABC):
    """What is known of a query so far, and the methods that read its FROM clauses."""

    def __init__(self, text: str, tables: Mapping[str, tuple[str, ...]], rules: DialectRules) -> None:
        self.text = text
        self.tables = tables
        self.rules = rules
        self.scopes: dict[int, Scope] = {}
        self.references: dict[int, Reference] = {}
        self.reads: set[tuple[str, str]] = set()
        self.problems: list[str] = []
        self.columns_left = TOTAL_COLUMNS

    @abstractmethod
    def resolve_query(
        self, node: exp.Expr, parent: Scope | None, common_tables: Mapping[str, CommonTable]
    ) -> list[Output]:
        """Resolves a SELECT or set operation; its result's columns."""

    @abstractmethod
    def visit(self, node: exp.Expr, scope: Scope) -> None:
        """Resolves every name in an expression."""

    def read_from(self, select: exp.Expr, scope: Scope) -> None:
        """Fills in the scope's sources, their columns and its joins."""
        first = select.args.get("from_")
        if first is not None:
            self._add(first.this, scope)
        self._add_joins(select, scope)
        for lateral in select.args.get("laterals") or ():
            self._add(lateral, scope)
        for position, source in enumerate(scope.sources):
            for column, name in enumerate(source.columns or ()):
                if name is not None:
                    scope.by_name.setdefault(name, []).append((position, column))
        for position, join in scope.joins:
            self._merge_columns(position, join, scope)
        if scope.has_nested_joins and any(join.args.get("side") for _, join in scope.joins):
            self.problems.append("an outer join around or inside of a join in parentheses")

    def reference_column(self, reference: ColumnReference) -> ColumnReference:
        """Notes that the column is used, and returns it."""
        table = reference.scope.sources[reference.source].table
        if table is not None:
            self.reads.add((table, reference.name))
        return reference

    def count_columns(self, columns: int) -> None:
        """Raises TooManyColumnsError once all that were counted are too many."""
        self.columns_left -= columns
        if self.columns_left < 0:
            raise TooManyColumnsError

    def _add_joins(self, node: exp.Expr, scope: Scope) -> None:
        for join in node.args.get("joins") or ():
            scope.joins.append((len(scope.sources), join))
            self._add(join.this, scope)

    def _add(self, node: exp.Expr, scope: Scope, alias: exp.Expr | None = None) -> None:
        alias = alias or node.args.get("alias")
        if type(node) is exp.Table and type(node.this) is exp.Identifier:
            self._expect_only(_TABLE_PARTS, node)
            self._append(self._named_source(node, scope), scope, alias)
            if node.args.get("joins"):
                scope.has_nested_joins = True
                self._add_joins(node, scope)
        elif type(node) is exp.Subquery and type(node.this) is exp.Table:
            self._expect_only(_PARENTHESES_PARTS, node)
            if alias is not None and node.this.args.get("joins"):
                self.problems.append("alias of a join in parentheses")
            self._add(node.this, scope, alias)
        elif type(node) is exp.Subquery and isinstance(node.this, exp.Query):
            outputs = self.resolve_query(node, scope.parent, scope.common_tables)
            columns = tuple(output.name for output in outputs)
            self._append(Source(alias="", columns=columns, query=node, outputs=outputs), scope, alias)
        else:
            self.problems.append(f"columns of {node.key}")
            self.visit(node, scope)
            self._append(Source(alias="", columns=None), scope, alias)

    def _append(self, source: Source, scope: Scope, alias: exp.Expr | None) -> None:
        if alias is not None:
            source.alias = folded_identifier(alias.this, self.rules)
            names = tuple(folded_identifier(name, self.rules) for name in alias.args.get("columns") or ())
            if names and source.table is not None:
                self.problems.append("new column names for a table")
            elif names:
                source.columns = names + (source.columns or ())[len(names) :]
        self.count_columns(len(source.columns or ()))
        scope.sources.append(source)

    def _named_source(self, node: exp.Expr, scope: Scope) -> Source:
        name = folded_identifier(node.this, self.rules)
        schema = node.args.get("db")
        if schema is None and name in scope.common_tables:
            common = scope.common_tables[name]
            columns = self._columns_of(common)
            return Source(alias=name, columns=columns, query=common.query, outputs=common.outputs, is_common=True)
        known = self.tables.get(name)
        is_elsewhere = node.args.get("catalog") is not None or (
            schema is not None and folded_identifier(schema, self.rules) != self.rules.schema
        )
        if known is None or is_elsewhere:
            self.problems.append(f"no such table: {name}")
            known = None
        self.reads.add((name, ""))
        return Source(alias=name, table=name, columns=known)

    def _columns_of(self, common: CommonTable) -> tuple[str | None, ...] | None:
        if not common.is_started:
            common.is_started = True
            common.outputs = self.resolve_query(common.query, None, common.visible)
            names = tuple(output.name for output in common.outputs)
            common.columns = common.names + names[len(common.names) :]
        elif common.columns is None:
            self.problems.append("recursive common table expression")
            return common.names or None
        return common.columns

    def _expect_only(self, parts: frozenset[str], node: exp.Expr) -> None:
        for name, value in node.args.items():
            if value and name not in parts:
                self.problems.append(f"{node.key}: {name}")

    def _merge_columns(self, position: int, join: exp.Expr, scope: Scope) -> None:
        using = join.args.get("using")
        right = scope.sources[position]
        if using:
            names = [folded_identifier(name, self.rules) for name in using]
        elif join.args.get("method") == "NATURAL":
            names = [name for name in right.columns or () if name and self._is_left_of(name, position, scope)]
        else:
            return
        for name in names:
            matches = scope.by_name.get(name, [])
            left = next((match for match in matches if match[0] < position), None)
            here = next((match for match in matches if match[0] == position), None)
            if left is None or here is None:
                self.problems.append(f"no such column to join on: {name}")
                continue
            pair = (ColumnReference(scope, *left), ColumnReference(scope, *here))
            scope.merged.append((self.reference_column(pair[0]), self.reference_column(pair[1])))

    def _is_left_of(self, name: str, position: int, scope: Scope) -> bool:
        return any(match[0] < position for match in scope.by_name.get(name, ()))
