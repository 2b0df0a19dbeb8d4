"""What the names in a query mean: its scopes, their sources, and what each column refers to.

Pure data; ``envs.sql.parsing.resolver`` fills it in. All names are folded (``dialect_rules.folded``).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlglot import exp


@dataclass(slots=True, eq=False, kw_only=True)
class CommonTable:
    """A common table expression of a WITH. It is resolved when it is first used, as SQLite does."""

    query: exp.Expr
    names: tuple[str, ...]
    """The column names in ``WITH name(columns)``; empty without such."""
    visible: "Mapping[str, CommonTable]"
    """The common table expressions that it may use itself."""
    columns: tuple[str | None, ...] | None = None
    """As of ``Source``, once it is resolved."""
    outputs: "list[Output]" = field(default_factory=list)
    is_started: bool = False


@dataclass(slots=True, eq=False, kw_only=True)
class Source:
    """One table, view, derived table or common table expression in a FROM."""

    alias: str
    """What its columns can be qualified with; empty when it has no name."""
    table: str | None = None
    """The base table; None for anything else."""
    columns: tuple[str | None, ...] | None
    """Names of its columns in order, None for one without a name of its own; None when nothing is known about them."""
    query: exp.Expr | None = None
    """The query of a derived table or common table expression."""
    outputs: "list[Output]" = field(default_factory=list)
    """What that query returns."""
    is_common: bool = False
    """It is a common table expression."""


@dataclass(slots=True, eq=False)
class ColumnReference:
    """A column of a source."""

    scope: "Scope"
    source: int
    """Position among the scope's sources."""
    column: int | str
    """Position among the source's columns; a name where those are unknown, and for a row number."""

    @property
    def name(self) -> str:
        """The column's name; ``#`` and its position where it has none."""
        if isinstance(self.column, str):
            return self.column
        columns = self.scope.sources[self.source].columns
        return (columns[self.column] if columns else None) or f"#{self.column}"


@dataclass(slots=True, eq=False)
class AliasReference:
    """A name that stands for an expression of the select list."""

    scope: "Scope"
    expression: exp.Expr


@dataclass(slots=True, eq=False)
class TextReference:
    """A double-quoted name that is no name but a text."""

    text: str


@dataclass(slots=True, eq=False)
class OutputReference:
    """A GROUP BY or ORDER BY term that means a column of the result by its position, from 0."""

    position: int


Reference = ColumnReference | AliasReference | TextReference | OutputReference


@dataclass(slots=True, eq=False)
class Output:
    """One column of a query's result."""

    name: str | None
    expression: exp.Expr | None
    """The expression of the select list, without its alias; None where a ``*`` brought it in."""
    reference: ColumnReference | None = None
    """The column that a ``*`` brought in."""


@dataclass(slots=True, eq=False, kw_only=True)
class Scope:
    """One SELECT."""

    parent: "Scope | None"
    """The SELECT around it whose columns it may refer to."""
    common_tables: Mapping[str, CommonTable]
    """The common table expressions in sight."""
    sources: list[Source] = field(default_factory=list)
    joins: list[tuple[int, exp.Expr]] = field(default_factory=list)
    """Each JOIN with the position of the source that it brought in."""
    has_nested_joins: bool = False
    """Some of the joins stand in parentheses of their own; ``sources`` and ``joins`` hold them flat."""
    merged: list[tuple[ColumnReference, ColumnReference]] = field(default_factory=list)
    """The pairs of columns that USING and NATURAL JOIN equate, the one further left first."""
    by_name: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    """(Source, column) positions under each column name."""
    outputs: list[Output] = field(default_factory=list)
    """The select list with each ``*`` expanded."""
    aliases: dict[str, exp.Expr] = field(default_factory=dict)
    """The expressions to which the select list gives an alias."""
    are_aliases_visible: bool = False
    """State of the resolver: the clause that it visits may use the aliases."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Resolution:
    """The meaning of the names in one query."""

    text: str
    dialect: str
    tree: exp.Query
    scopes: Mapping[int, Scope]
    """The scope of each SELECT, by the ``id`` of its node."""
    references: Mapping[int, Reference]
    """The meaning of each column, and of GROUP BY and ORDER BY terms that are positions, by the ``id`` of the node."""
    reads: frozenset[tuple[str, str]]
    """(Base table, column) pairs that it uses; the column is empty for the table itself."""
    problems: tuple[str, ...]
    """Names that nothing in the schema answers to, and constructs that are beyond the resolver."""
