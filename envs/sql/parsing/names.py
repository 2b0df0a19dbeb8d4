"""The tables and columns that a query uses, by its text: for databases that do not tell it when they run the query.

On Spider's 7,873 gold queries the names are those that SQLite itself reports through its authorizer, with one
difference: of the columns that USING or NATURAL JOIN equates, SQLite reports the left one, this both.
"""

from collections.abc import Set

from envs.sql.parsing.resolution import Schema, resolve
from envs.sql.parsing.scopes import ColumnReference


def used_names(query: str, schema: Schema, dialect: str) -> frozenset[str] | None:
    """The base tables and ``table.column`` that ``query`` uses, in lower case; None when it cannot be parsed.

    Aliases, common table expressions and subqueries are seen through, and ``*`` is all columns. A table that the schema
    lacks is among the names, a column that it lacks is not.
    """
    resolution = resolve(query, schema, dialect)
    if resolution is None:
        return None
    lowered = {(table.lower(), column.lower()) for table, column in resolution.reads}
    return frozenset({table for table, _ in lowered} | {f"{table}.{column}" for table, column in lowered if column})


def written_names(query: str, schema: Schema, dialect: str) -> frozenset[str] | None:
    """As ``used_names``, without the columns that only a ``*`` stands for."""
    resolution = resolve(query, schema, dialect)
    if resolution is None:
        return None
    written = [one for one in resolution.references.values() if isinstance(one, ColumnReference)]
    written += [one for scope in resolution.scopes.values() for pair in scope.merged for one in pair]
    columns = {f"{table}.{column}".lower() for table, column in filter(None, map(_base_column, written))}
    return frozenset(table.lower() for table, column in resolution.reads if not column) | columns


def _base_column(reference: ColumnReference) -> tuple[str, str] | None:
    """The column of a table that a reference means, seen through every ``*``; None where it means an expression, whose
    own columns are written in it."""
    while True:
        source = reference.scope.sources[reference.source]
        if source.table is not None:
            return source.table, reference.name
        if not isinstance(reference.column, int) or reference.column >= len(source.outputs):
            return None
        behind = source.outputs[reference.column].reference
        if behind is None:
            return None
        reference = behind


def jaccard(one: Set[str], other: Set[str]) -> float:
    """Size of the intersection over that of the union; 1 when both are empty."""
    return len(one & other) / len(one | other) if one or other else 1.0
