"""Values of DuckDB as plain Python values, alike to those of SQLite: int, float, str, bytes or None.

Booleans become 0 and 1; decimals floats, or integers where a float would lose digits; dates and times ISO text
(``2020-01-31 23:59:59``); NaN, intervals, UUIDs, lists, structs and maps text. So they can be hashed and compared, and
a query that computes the same in another type gives an equal result.
"""

import datetime
import json
import math
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from envs.sql.databases.decimal_values import plain_decimal
from envs.sql.databases.execution import Row

# Columns of these types hold None and Python's int, str or bytes already.
_PLAIN_TYPES = frozenset(
    """
    TINYINT SMALLINT INTEGER BIGINT HUGEINT UTINYINT USMALLINT UINTEGER UBIGINT UHUGEINT VARCHAR BLOB BIT JSON
    """.split()
)


def make_row_converter(type_names: Sequence[str]) -> Callable[[list[Row]], list[Row]]:
    """A function that makes the rows of a result plain, in which only columns that need it are touched.

    Args:
        type_names: DuckDB's name of each column's type.
    """
    places = [place for place, name in enumerate(type_names) if name not in _PLAIN_TYPES]
    if not places:
        return lambda rows: rows

    def convert(rows: list[Row]) -> list[Row]:
        converted = [list(row) for row in rows]
        for row in converted:
            for place in places:
                if row[place] is not None:
                    row[place] = plain(row[place])
        return [tuple(row) for row in converted]

    return convert


def plain(value: Any) -> Any:
    """One value, not None."""
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else value
    if isinstance(value, (int, str, bytes)):
        return int(value) if isinstance(value, bool) else value
    if isinstance(value, Decimal):
        return plain_decimal(value)
    if isinstance(value, datetime.datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, (bytearray, memoryview)):
        return bytes(value)
    if isinstance(value, (list, tuple, dict)):
        return json.dumps(_jsonable(value), ensure_ascii=False, default=str)
    return str(value)


def _jsonable(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(plain(key)): _jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_jsonable(item) for item in value]
    return value if value is None else plain(value)
