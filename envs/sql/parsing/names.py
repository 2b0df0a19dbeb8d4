"""The tables and columns that a query uses, by its text: for databases that do not tell it when they run the query.

On Spider's 7,873 gold queries the names are those that SQLite itself reports through its authorizer, with one
difference: of the columns that USING or NATURAL JOIN equates, SQLite reports the left one, this both.
"""

from collections.abc import Set

from envs.sql.parsing.resolution import Schema, resolve


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


def jaccard(one: Set[str], other: Set[str]) -> float:
    """Size of the intersection over that of the union; 1 when both are empty."""
    return len(one & other) / len(one | other) if one or other else 1.0
