"""The tables of a SQLite database, from its catalogue."""

import sqlite3
from collections import defaultdict

from envs.sql.databases.execution import DatabaseFaultError, Row
from envs.sql.databases.schema import Column, ForeignKey, Table

_COLUMNS = """
SELECT m.name, m.type, c.name, c.type, c.pk, c."notnull"
FROM sqlite_master AS m, pragma_table_info(m.name) AS c
WHERE m.type IN ('table', 'view') AND m.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY m.rowid, c.cid
"""
_FOREIGN_KEYS = """
SELECT m.name, k.id, k."table", k."from", k."to"
FROM sqlite_master AS m, pragma_foreign_key_list(m.name) AS k WHERE m.type = 'table' ORDER BY m.rowid, k.id, k.seq
"""
_UNIQUE = """
SELECT m.name, i.name, c.name
FROM sqlite_master AS m, pragma_index_list(m.name) AS i, pragma_index_info(i.name) AS c
WHERE m.type = 'table' AND i."unique" AND NOT i.partial AND i.origin != 'pk' ORDER BY m.rowid, i.seq, c.seqno
"""


def read_tables(connection: sqlite3.Connection) -> tuple[Table, ...]:
    """The tables and views, in the order of their creation. The connection must not be sealed.

    Raises:
        DatabaseFaultError: the catalogue cannot be read.
    """
    try:
        column_rows = connection.execute(_COLUMNS).fetchall()
        key_rows = connection.execute(_FOREIGN_KEYS).fetchall()
        unique_rows = connection.execute(_UNIQUE).fetchall()
    except sqlite3.Error as error:
        raise DatabaseFaultError(f"the schema cannot be read: {error}") from error
    columns: dict[tuple[str, bool], list[Column]] = defaultdict(list)
    for table, kind, name, type_name, position, is_not_null in column_rows:
        columns[table, kind == "view"].append(
            Column(
                name=name,
                type=type_name,
                is_primary_key=position > 0,
                is_nullable=not is_not_null and position == 0,
            )
        )
    keys: dict[str, dict[int, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for table, number, *link in key_rows:
        keys[table][number].append(tuple(link))
    unique: dict[str, dict[str, list[str | None]]] = defaultdict(lambda: defaultdict(list))
    for table, index, column in unique_rows:
        unique[table][index].append(column)
    return tuple(
        Table(
            name=name,
            columns=tuple(of_table),
            foreign_keys=tuple(_foreign_key(links) for links in keys[name].values()),
            unique=tuple(_names(index) for index in unique[name].values() if None not in index),  # None: an expression
            is_view=is_view,
        )
        for (name, is_view), of_table in columns.items()
    )


def _names(columns: list[str | None]) -> tuple[str, ...]:
    return tuple(column for column in columns if column is not None)


def _foreign_key(links: list[Row]) -> ForeignKey:
    return ForeignKey(
        columns=tuple(source for _, source, _ in links),
        table=links[0][0],
        references=tuple(target for _, _, target in links if target is not None),
    )
