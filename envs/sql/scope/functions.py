"""SQLite's functions that queries may call: how many arguments each takes, and of which sort it is.

Left out of those that the executor allows: the hints (``likely`` and its kin), and json_each and json_tree, which are
tables.
"""

import sqlite3
from collections.abc import Mapping
from functools import lru_cache
from typing import Literal, NamedTuple

from envs.sql.databases.sqlite_authorizer import FUNCTIONS

Sort = Literal["scalar", "aggregate", "window"]


class Function(NamedTuple):
    """One function."""

    sort: Sort
    """A window function needs OVER; an aggregate may have it."""
    least: int
    most: int | None
    """How many arguments it takes; None: any number."""


_SCALAR = {
    (0, 0): "changes pi random",
    (0, None): "char date datetime json_array julianday time unixepoch",
    (1, 1): "abs acos acosh asin asinh atan atanh ceil ceiling cos cosh degrees exp floor hex json json_quote"
    " json_valid length ln log10 log2 lower octet_length quote radians sign sin sinh soundex sqrt tan tanh trunc typeof"
    " unicode upper",
    (1, 2): "json_array_length json_type log ltrim round rtrim trim unhex",
    (1, None): "concat format printf strftime",
    (2, 2): "atan2 glob ifnull instr json_object json_patch mod nullif pow power timediff",
    (2, 3): "like substr substring",
    (2, None): "coalesce concat_ws json_extract",
    (3, 3): "iif replace",
}
_AGGREGATE = {
    (0, 1): "count",
    (1, 1): "avg json_group_array sum total",
    (1, 2): "group_concat",
    (1, None): "max min",  # with one argument; with more they are scalar
    (2, 2): "json_group_object string_agg",
}
_WINDOW = {
    (0, 0): "cume_dist dense_rank percent_rank rank row_number",
    (1, 1): "first_value last_value ntile",
    (1, 3): "lag lead",
    (2, 2): "nth_value",
}
_ALL: dict[str, Function] = {
    name: Function(sort, *arity)  # type: ignore[arg-type]
    for sort, families in (("scalar", _SCALAR), ("aggregate", _AGGREGATE), ("window", _WINDOW))
    for arity, names in families.items()
    for name in names.split()
}


@lru_cache(maxsize=1)
def known_functions() -> Mapping[str, Function]:
    """The functions that the SQLite of this process has, by name."""
    connection = sqlite3.connect(":memory:")
    try:
        present = {name for (name,) in connection.execute("SELECT DISTINCT name FROM pragma_function_list")}
    finally:
        connection.close()
    return {name: function for name, function in _ALL.items() if name in present & FUNCTIONS}
