"""Looks one name up among the columns and aliases of a scope and of those around it."""

from envs.sql.parsing.dialect_rules import DialectRules
from envs.sql.parsing.scopes import AliasReference, ColumnReference, Scope


class AmbiguousNameError(Exception):
    """Several columns of one scope have the name."""

    def __init__(self, name: str, best: ColumnReference) -> None:
        super().__init__(name)
        self.best = best
        """The leftmost column among them."""


def find_name(name: str, table: str, scope: Scope, rules: DialectRules) -> ColumnReference | AliasReference | None:
    """What ``name``, qualified by ``table`` unless that is empty, refers to; None when to nothing.

    Raises:
        AmbiguousNameError: see there.
    """
    inner: Scope | None = scope
    while inner is not None:
        column = _find_column(name, table, inner, rules)
        if column is not None:
            return column
        if not table and inner.are_aliases_visible and name in inner.aliases:
            return AliasReference(inner, inner.aliases[name])
        inner = inner.parent
    return None


def _find_column(name: str, table: str, scope: Scope, rules: DialectRules) -> ColumnReference | None:
    sources = scope.sources
    matches = scope.by_name.get(name, ())
    if table:
        matches = [match for match in matches if sources[match[0]].alias == table]
    elif len(matches) > 1 and scope.merged:
        hidden = {(right.source, right.column) for _, right in scope.merged}
        matches = [match for match in matches if match not in hidden]
    if matches:
        best = ColumnReference(scope, *matches[0])
        if len(matches) > 1:
            raise AmbiguousNameError(name, best)
        return best
    for position, source in enumerate(sources):
        if source.columns is None and (not table or source.alias == table):
            return ColumnReference(scope, position, name)
        is_base = source.table is not None and (len(sources) == 1 if not table else source.alias == table)
        if is_base and name in rules.row_numbers:
            return ColumnReference(scope, position, "rowid")
    return None
