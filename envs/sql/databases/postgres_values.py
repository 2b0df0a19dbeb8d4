"""Values of PostgreSQL, as its server writes them, as plain Python values alike to those of SQLite.

Booleans become 0 and 1; numeric a float, or an integer where a float would lose digits; NaN text. All other types stay
the server's text (dates and times ISO: ``2020-01-31 23:59:59``), so that they can be hashed and compared whatever their
range is.
"""

from collections.abc import Callable
from decimal import Decimal

from psycopg.pq.abc import PGresult

from envs.sql.databases.decimal_values import plain_decimal
from envs.sql.databases.execution import Row

_BOOL, _BYTEA, _INT8, _INT2, _INT4, _OID = 16, 17, 20, 21, 23, 26
_FLOAT4, _FLOAT8, _NUMERIC = 700, 701, 1700
_NAN = b"NaN"


def _float(raw: bytes) -> float | str:
    return "NaN" if raw == _NAN else float(raw)


def _bytes(raw: bytes) -> bytes:
    return bytes.fromhex(raw[2:].decode())  # bytea_output = hex: \x0aff


_CONVERTERS: dict[int, Callable[[bytes], object]] = {
    _BOOL: lambda raw: int(raw == b"t"),
    _BYTEA: _bytes,
    _INT2: int,
    _INT4: int,
    _INT8: int,
    _OID: int,
    _FLOAT4: _float,
    _FLOAT8: _float,
    _NUMERIC: lambda raw: plain_decimal(Decimal(raw.decode())),
}


def columns_of(result: PGresult) -> tuple[str, ...]:
    """The names of a result's columns."""
    return tuple([(result.fname(column) or b"").decode(errors="replace") for column in range(result.nfields)])


def rows_of(result: PGresult) -> list[Row]:
    """The rows of a result in text format."""
    get = result.get_value
    columns = [(column, _CONVERTERS.get(result.ftype(column), _text)) for column in range(result.nfields)]
    return [
        tuple([None if (raw := get(row, column)) is None else convert(raw) for column, convert in columns])
        for row in range(result.ntuples)
    ]


def _text(raw: bytes) -> str:
    return raw.decode(errors="backslashreplace")  # a server whose encoding is SQL_ASCII sends any bytes
