"""How the three dialects differ in resolving a name: case, double quotes, and where an alias of the select list counts.

Taken from experiments with SQLite 3.40 and DuckDB 2.0 and from the manual of PostgreSQL 15.
"""

from dataclasses import dataclass

from sqlglot import exp


@dataclass(frozen=True, kw_only=True)
class DialectRules:
    """One dialect's rules for names."""

    does_fold_quoted: bool
    """Quoted names ignore case too."""
    has_quoted_strings: bool
    """``"x"`` is a text where no column or alias has that name."""
    alias_clauses: frozenset[str]
    """Clauses, as sqlglot's arguments of SELECT, in which an alias of the select list stands for its expression.
    Columns come first, save for an ORDER BY term that is nothing but the name."""
    are_columns_sortable_names: bool
    """A bare ORDER BY term also means the select list's ``t.name``, which has no alias, by its name."""
    row_numbers: frozenset[str]
    """Names of the hidden column that numbers a table's rows."""
    schema: str
    """The schema that may be named before a table without a change of meaning."""


_FILTERING = frozenset({"joins", "where", "group", "having", "order"})

_RULES = {
    "sqlite": DialectRules(
        does_fold_quoted=True,
        has_quoted_strings=True,
        alias_clauses=_FILTERING,
        are_columns_sortable_names=False,
        row_numbers=frozenset({"rowid", "oid", "_rowid_"}),
        schema="main",
    ),
    "duckdb": DialectRules(
        does_fold_quoted=True,
        has_quoted_strings=False,
        alias_clauses=_FILTERING | {"expressions"},
        are_columns_sortable_names=True,
        row_numbers=frozenset({"rowid"}),
        schema="main",
    ),
    "postgres": DialectRules(
        does_fold_quoted=False,
        has_quoted_strings=False,
        alias_clauses=frozenset({"group", "order"}),
        are_columns_sortable_names=True,
        row_numbers=frozenset(),
        schema="public",
    ),
}


def rules_of(dialect: str) -> DialectRules:
    """The rules of ``dialect``.

    Raises:
        ValueError: it is none of the three.
    """
    if dialect not in _RULES:
        raise ValueError(f"unknown SQL dialect '{dialect}'; known: {', '.join(sorted(_RULES))}")
    return _RULES[dialect]


def folded(name: str) -> str:
    """``name`` as names are compared: ASCII letters in lower case. The databases leave all other letters alone."""
    if name.isascii():
        return name.lower()
    return "".join(letter.lower() if letter.isascii() else letter for letter in name)


def folded_identifier(identifier: exp.Expr, rules: DialectRules) -> str:
    """The name that an identifier of a query means; the empty text for anything else."""
    if type(identifier) is not exp.Identifier:
        return ""
    name: str = identifier.this
    return name if identifier.args.get("quoted") and not rules.does_fold_quoted else folded(name)
