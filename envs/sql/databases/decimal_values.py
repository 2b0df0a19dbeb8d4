"""Decimals of databases as numbers that compare with what SQLite gives."""

from decimal import Decimal

_LARGEST_EXACT_FLOAT = 2**53
_TOO_LARGE = Decimal(10) ** 300


def plain_decimal(value: Decimal) -> float | int | str:
    """A float, or an integer where a float could not tell it from its neighbours.

    Text are NaN, which would equal nothing, and numbers that are beyond floats.
    """
    if not value.is_finite():
        return "NaN" if value.is_nan() else float(value)
    if abs(value) > _TOO_LARGE:
        return str(value)
    if abs(value) > _LARGEST_EXACT_FLOAT and value == value.to_integral_value():
        return int(value)
    return float(value)
