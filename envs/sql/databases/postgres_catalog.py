"""The tables of a PostgreSQL database that a role may read, from its catalogue, and the statements that copy them.

Covered are the schemas on the search path; a table that a partition belongs to stands for its partitions.
"""

from collections import defaultdict
from typing import Any

import psycopg

from envs.sql.databases.execution import DatabaseFaultError, Row
from envs.sql.databases.schema import Column, ForeignKey, Table

_HERE = """
c.relnamespace = ANY(SELECT oid FROM pg_namespace WHERE nspname = ANY(current_schemas(false)))
  AND c.relkind IN ('r', 'p', 'v', 'm') AND NOT c.relispartition AND has_table_privilege(c.oid, 'SELECT')
"""
_COLUMNS = f"""
SELECT c.oid, c.relname, c.relkind IN ('v', 'm'), a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull
FROM pg_class AS c LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE {_HERE} ORDER BY c.oid, a.attnum
"""
_NAMES = """
(SELECT array_agg(a.attname::text ORDER BY place) FROM unnest({numbers}::int2[]) WITH ORDINALITY AS n(number, place)
 JOIN pg_attribute AS a ON a.attnum = number AND a.attrelid = {table})
"""
_CONSTRAINTS = f"""
SELECT k.conrelid, k.contype::text, {_NAMES.format(numbers="k.conkey", table="k.conrelid")}, target.relname,
       {_NAMES.format(numbers="k.confkey", table="k.confrelid")}
FROM pg_constraint AS k JOIN pg_class AS c ON c.oid = k.conrelid
LEFT JOIN pg_class AS target ON target.oid = k.confrelid
WHERE {_HERE} AND k.contype IN ('p', 'u', 'f') AND k.conparentid = 0 ORDER BY k.oid
"""
_UNIQUE_INDEXES = f"""
SELECT i.indrelid, {_NAMES.format(numbers="i.indkey", table="i.indrelid")}
FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indrelid
WHERE {_HERE} AND i.indisunique AND i.indpred IS NULL AND i.indexprs IS NULL AND i.indnkeyatts = i.indnatts
  AND NOT EXISTS (SELECT FROM pg_constraint AS k WHERE k.conindid = i.indexrelid) ORDER BY i.indexrelid
"""
_DEFINITIONS = f"""
SELECT c.relkind IN ('v', 'm'), quote_ident(c.relname), c.oid::regclass::text,
       CASE WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) END
FROM pg_class AS c WHERE {_HERE} ORDER BY c.oid
"""


def read_tables(connection: "psycopg.Connection[Any]") -> tuple[Table, ...]:
    """The tables and views on the search path that the role may read, in the order of their creation.

    Raises:
        DatabaseFaultError: the catalogue cannot be read.
    """
    try:
        column_rows = connection.execute(_COLUMNS.encode()).fetchall()
        constraint_rows = connection.execute(_CONSTRAINTS.encode()).fetchall()
        index_rows = connection.execute(_UNIQUE_INDEXES.encode()).fetchall()
    except psycopg.Error as error:
        raise DatabaseFaultError(f"the schema cannot be read: {error}") from error
    constraints: dict[int, list[Row]] = defaultdict(list)
    for identifier, *constraint in constraint_rows:
        constraints[identifier].append(tuple(constraint))
    for identifier, names in index_rows:
        constraints[identifier].append(("u", names, None, None))
    columns: dict[tuple[int, str, bool], list[Row]] = defaultdict(list)
    for identifier, table, is_view, *column in column_rows:
        columns[identifier, table, is_view] += [tuple(column)] if column[0] is not None else []
    return tuple(
        _table(name, is_view, of_table, constraints[identifier])
        for (identifier, name, is_view), of_table in columns.items()
    )


def _table(name: str, is_view: bool, columns: list[Row], constraints: list[Row]) -> Table:
    primary = {column for kind, names, *_ in constraints if kind == "p" for column in names}
    return Table(
        name=name,
        columns=tuple(
            Column(name=column, type=kind, is_primary_key=column in primary, is_nullable=not is_not_null)
            for column, kind, is_not_null in columns
        ),
        foreign_keys=tuple(
            ForeignKey(columns=tuple(names), table=target, references=tuple(references))
            for kind, names, target, references in constraints
            if kind == "f"
        ),
        unique=tuple(tuple(names) for kind, names, *_ in constraints if kind == "u"),
        is_view=is_view,
    )


def copying_statements(connection: "psycopg.Connection[Any]") -> tuple[str, ...]:
    """What makes the tables and views again as temporary ones: types, keys and checks, no foreign keys, no rows.

    Raises:
        psycopg.Error: the catalogue cannot be read.
    """
    statements = []
    for is_view, name, original, definition in connection.execute(_DEFINITIONS.encode()).fetchall():
        if is_view:
            statements.append(f"CREATE TEMPORARY VIEW {name} AS {definition}")
        else:
            # DEFAULTS are left out: every value is given, and a sequence may not be asked.
            including = "INCLUDING CONSTRAINTS INCLUDING GENERATED INCLUDING INDEXES"
            statements.append(f"CREATE TEMPORARY TABLE {name} (LIKE {original} {including})")
    return tuple(statements)
