"""A digest of a query's result: equal for results that are equal as ``envs.sql.comparison`` says, and for no others.

Two results have the same digest when they have as many columns and their rows are the same bag, up to a permutation of
the columns. Where one of them is ordered (its query has an ORDER BY at its top level) and has two rows that differ,
both must be ordered, and their rows in the same order. So ``ORDER BY age LIMIT 1`` and ``max(age)`` can agree, while a
query that orders and one that does not are told apart even where the database visits the rows in that order anyway.

A comparison within a tolerance is not transitive, and a digest has to be. So numbers are rounded: to the integer that
lies within the tolerance of the comparison, if one does, else to 11 digits, at boundaries that no number which people
write lies on. Two floats that differ by the order of a summation alone fall on two sides of a boundary once in some ten
thousand times.

Columns are put in an order of their own by colour refinement, as in the comparison. Columns that still look alike are
nearly always interchangeable; where they are not, two equal results may get two digests, never two results one.

Not covered: rows that an ORDER BY leaves tied come as the database has them, and a digest takes them at their word.
"""

import hashlib
import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from envs.sql.comparison import ABSOLUTE_TOLERANCE, RELATIVE_TOLERANCE
from envs.sql.databases.execution import QueryResult

Column = list[int]
"""The codes of its values."""

ARRANGED_CELLS = 5_000_000
"""How many cells may be visited to order columns that look alike, about 2 s; beyond it they stay as they came."""
OFF_BOUNDARIES = math.pi / 3
"""Floats are multiplied by it before they are rounded: two decimals have 0.125 on their boundary, this times it not."""
MASK = (1 << 64) - 1


def result_digest(result: QueryResult, *, is_ordered: bool) -> str:
    """The digest; the same in every process.

    Args:
        is_ordered: the query orders its rows.
    """
    codes: dict[Any, int] = {}
    columns = [[_code(value, codes) for value in column] for column in zip(*result.rows, strict=True)]
    rows = list(zip(*columns, strict=True))
    if is_ordered and any(row != rows[0] for row in rows):
        # With the rows aligned, a permutation exists exactly when both have the same bag of columns.
        return _hash("ordered", len(result.columns), sorted(columns))
    order = _arranged(columns)
    if order != sorted(order):
        rows = list(zip(*[columns[place] for place in order], strict=True))
    return _hash("bag", len(result.columns), sorted(rows))


def _hash(kind: str, width: int, lists: Sequence[Sequence[int]]) -> str:
    digest = hashlib.sha256(f"{kind} {width} {len(lists)}".encode())
    for codes in lists:
        digest.update(repr(codes).encode())
    return digest.hexdigest()


def _code(value: Any, codes: dict[Any, int]) -> int:
    """64 bits that stand for a value. Equal values have equal keys: 1 and 1.0, not 1 and ``'1'``."""
    code = codes.get(value)
    if code is None:
        hashed = hashlib.blake2b(_written(value), digest_size=8).digest()
        code = codes[value] = int.from_bytes(hashed, "big")
    return code


def _written(value: Any) -> bytes:
    if value is None:
        return b"null"
    if isinstance(value, str):
        return b"text" + value.encode(errors="surrogatepass")
    if isinstance(value, bytes):
        return b"blob" + value
    return f"number{_rounded(value)}".encode()


def _rounded(number: float) -> str:
    if isinstance(number, int) or not math.isfinite(number):
        return str(number)
    nearest = round(number)
    if math.isclose(number, nearest, rel_tol=RELATIVE_TOLERANCE, abs_tol=ABSOLUTE_TOLERANCE):
        return str(nearest)
    return f"{number * OFF_BOUNDARIES:.10e}"


def _arranged(columns: Sequence[Column]) -> list[int]:
    """The places of the columns in an order that does not hang on how they came, nor on how the rows did."""
    colours = [sum(column) & MASK for column in columns]
    cells_left = ARRANGED_CELLS
    while tied := _first_tie(columns, colours):
        before = len(set(colours))
        cells_left -= 2 * len(columns) * len(columns[0])
        if cells_left < 0:
            break
        colours = _refined(columns, colours)
        if len(set(colours)) == before:
            colours[tied[0]] = hash((colours[tied[0]], 1))
    return sorted(range(len(columns)), key=colours.__getitem__)


def _first_tie(columns: Sequence[Column], colours: Sequence[int]) -> list[int]:
    """The places of columns of one colour that are not all the same; of several such colours the smallest."""
    by_colour: dict[int, list[int]] = defaultdict(list)
    for place, colour in enumerate(colours):
        by_colour[colour].append(place)
    for _, places in sorted(by_colour.items()):
        if any(columns[place] != columns[places[0]] for place in places):
            return places
    return []


def _refined(columns: Sequence[Column], colours: Sequence[int]) -> list[int]:
    """Rows coloured by the bag of their (column's colour, value), columns by their (row's colour, value). The hash of
    integers, unlike that of text, is the same in every process; sums of it would not tell bags apart."""
    rows = [hash(tuple(sorted(zip(colours, row, strict=True)))) for row in zip(*columns, strict=True)]
    return [
        hash((colour, tuple(sorted(zip(rows, column, strict=True)))))
        for colour, column in zip(colours, columns, strict=True)
    ]
