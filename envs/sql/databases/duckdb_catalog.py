"""The tables of a DuckDB database, from its catalogue, and the statements that make them again.

Not covered: schemas other than ``main``; their tables can be queried by their full name, but are not listed.
"""

from collections import defaultdict

import duckdb

from envs.sql.databases.execution import DatabaseFaultError, Row
from envs.sql.databases.schema import Column, ForeignKey, Table

_HERE = "database_name = current_database() AND schema_name = 'main'"
_COLUMNS = f"""
SELECT table_oid, table_name, table_oid IN (SELECT view_oid FROM duckdb_views() WHERE {_HERE}), column_name, data_type,
       is_nullable
FROM duckdb_columns() WHERE {_HERE} ORDER BY table_oid, column_index
"""
_CONSTRAINTS = f"""
SELECT table_name, constraint_type, constraint_column_names, referenced_table, referenced_column_names, constraint_text
FROM duckdb_constraints() WHERE {_HERE} ORDER BY table_oid, constraint_index
"""
_UNIQUE_INDEXES = f"""
SELECT table_name, expressions, sql FROM duckdb_indexes() WHERE {_HERE} AND is_unique AND NOT is_primary AND sql != ''
ORDER BY table_oid, index_oid
"""
_DEFINITIONS = f"""
SELECT table_oid, table_name, sql FROM duckdb_tables() WHERE {_HERE}
UNION ALL SELECT view_oid, NULL, sql FROM duckdb_views() WHERE {_HERE} AND NOT internal ORDER BY 1
"""


def read_tables(connection: duckdb.DuckDBPyConnection) -> tuple[Table, ...]:
    """The tables of the schema ``main`` by name, each after those that it refers to, then the views.

    A file keeps no other order.

    Raises:
        DatabaseFaultError: the catalogue cannot be read.
    """
    try:
        column_rows = connection.execute(_COLUMNS).fetchall()
        constraint_rows = connection.execute(_CONSTRAINTS).fetchall()
        index_rows = connection.execute(_UNIQUE_INDEXES).fetchall()
    except duckdb.Error as error:
        raise DatabaseFaultError(f"the schema cannot be read: {error}") from error
    by_table: dict[str, list[Row]] = defaultdict(list)
    for table, *constraint in constraint_rows:
        by_table[table].append(tuple(constraint))
    columns: dict[tuple[str, bool], list[Row]] = defaultdict(list)
    for _, table, is_view, *column in column_rows:
        columns[table, is_view].append(tuple(column))
    indexes: dict[str, list[tuple[str, ...]]] = defaultdict(list)
    for table, expressions, _ in index_rows:
        indexes[table].append(_indexed(expressions))
    return tuple(
        _table(name, is_view, of_table, by_table[name], indexes[name]) for (name, is_view), of_table in columns.items()
    )


def _table(
    name: str, is_view: bool, columns: list[Row], constraints: list[Row], indexes: list[tuple[str, ...]]
) -> Table:
    keys = [constraint for constraint in constraints if constraint[0] == "FOREIGN KEY"]
    primary = {column for kind, parts, *_ in constraints if kind == "PRIMARY KEY" for column in parts}
    names = {column for column, *_ in columns}
    return Table(
        name=name,
        columns=tuple(
            Column(name=column, type=kind, is_primary_key=column in primary, is_nullable=is_nullable)
            for column, kind, is_nullable in columns
        ),
        foreign_keys=tuple(
            ForeignKey(columns=tuple(parts), table=target, references=tuple(references))
            for _, parts, target, references, _ in keys
        ),
        unique=(
            *(tuple(parts) for kind, parts, *_ in constraints if kind == "UNIQUE"),
            *(index for index in indexes if names.issuperset(index)),
        ),
        is_view=is_view,
    )


def _indexed(expressions: str) -> tuple[str, ...]:
    """The columns of an index, which the catalogue writes as ``[a, '"b c"']``; what is no column stays no name."""
    parts = expressions.removeprefix("[").removesuffix("]").split(", ")
    return tuple(part.strip("'").strip('"').replace('""', '"') for part in parts)


def creating_statements(connection: duckdb.DuckDBPyConnection) -> tuple[str, ...]:
    """What makes the tables, views and unique indexes of ``main`` again, without foreign keys.

    Raises:
        duckdb.Error: the catalogue cannot be read.
    """
    links: dict[str, list[str]] = defaultdict(list)
    for table, kind, _, _, _, text in connection.execute(_CONSTRAINTS).fetchall():
        if kind == "FOREIGN KEY":
            links[table].append(text)
    statements = []
    for _, table, statement in connection.execute(_DEFINITIONS).fetchall():
        for link in links.get(table, []):
            statement = "".join(statement.rsplit(f", {link}", 1))
        statements.append(statement)
    indexes = [statement for _, _, statement in connection.execute(_UNIQUE_INDEXES).fetchall()]
    return (*statements, *indexes)
