"""What SQLite lets a query do: an allow-list, asked for every table, column, function and pragma it names.

All that is not listed is refused, so that an action or a function that a later SQLite adds is refused too.
"""

import sqlite3
from collections.abc import Callable

Authorizer = Callable[[int, str | None, str | None, str | None, str | None], int]

DESCRIBING_PRAGMAS = frozenset({"table_info", "foreign_key_list", "index_list"})

# Left out on purpose: load_extension, readfile, writefile and edit (files), zeroblob and randomblob (memory in one
# call), fts3_tokenizer and the sqlite_* family (internals).
FUNCTIONS = frozenset(
    """
    abs avg ceil ceiling changes char coalesce concat concat_ws count cume_dist current_date current_time
    current_timestamp date datetime dense_rank exp first_value floor format glob group_concat hex if ifnull iif instr
    julianday lag last_value lead length like likelihood likely ln log log10 log2 lower ltrim max median min mod
    nth_value ntile nullif octet_length percent_rank pi pow power printf quote radians random rank replace round
    row_number rtrim sign soundex sqrt strftime string_agg substr substring sum time timediff total trim trunc typeof
    unhex unicode unixepoch unlikely upper
    acos acosh asin asinh atan atan2 atanh cos cosh degrees sin sinh tan tanh
    json json_array json_array_length json_each json_extract json_group_array json_group_object json_object json_patch
    json_quote json_tree json_type json_valid -> ->>
    """.split()
)

_SCHEMA_TABLES = frozenset({"sqlite_master", "sqlite_schema"})
TABLE_FUNCTIONS = frozenset({"json_each", "json_tree"} | {f"pragma_{name}" for name in DESCRIBING_PRAGMAS})
"""Must be used once before the authorizer is set: at first use SQLite declares each as a table, which is refused."""


def make_authorizer(tables: frozenset[str], views: frozenset[str], reads: set[tuple[str, str]]) -> Authorizer:
    """The callback for ``sqlite3.Connection.set_authorizer``.

    Args:
        tables: the database's own tables and views, in lower case.
        views: its views, in lower case.
        reads: receives every (table, column) that a query itself names; what a view reads inside is left out.
    """
    readable = tables | _SCHEMA_TABLES | TABLE_FUNCTIONS

    def authorize(action: int, first: str | None, second: str | None, database: str | None, within: str | None) -> int:
        if action == sqlite3.SQLITE_READ:
            table = (first or "").lower()
            # Without a database: a source of which no column is read, as in count(*). It may be a common table
            # expression of any name; reading a column always names the database.
            if database is not None and (database != "main" or table not in readable):
                return sqlite3.SQLITE_DENY
            if table in tables and (within is None or within.lower() not in views):
                reads.add((first or "", second or ""))
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_FUNCTION:
            is_allowed = second is not None and second.lower() in FUNCTIONS
        elif action == sqlite3.SQLITE_PRAGMA:
            is_allowed = first is not None and first.lower() in DESCRIBING_PRAGMAS
        else:
            is_allowed = action in (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_RECURSIVE)
        return sqlite3.SQLITE_OK if is_allowed else sqlite3.SQLITE_DENY

    return authorize
