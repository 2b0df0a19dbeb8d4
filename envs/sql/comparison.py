"""Are two query results equal? As bags of rows, up to a permutation of the columns; in order where the gold orders.

Duplicates count, NULL equals NULL, 1 equals 1.0, a text never equals a number, and results of different column counts
are never equal, empty ones included. Floats are equal within a tolerance, because the order of a summation is the
database's own affair.

Permutations are not enumerated. Columns that could correspond are found by colour refinement, as in graph isomorphism:
a column is coloured by the bag of its values, a row by the bag of its (column colour, value), the columns again by
their (row colour, value), until nothing splits further. What still looks alike afterwards is nearly always
interchangeable, and a depth-first search over it ends at its first try.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Sequence
from functools import cached_property
from itertools import chain
from typing import Any

Rows = Sequence[tuple[Any, ...]]

RELATIVE_TOLERANCE = 1e-12
"""Some 4,500 units in the last place: covers reordered sums of many rows, keeps large integers and dates apart."""
ABSOLUTE_TOLERANCE = 1e-9
"""For what should cancel to zero and does not quite."""
SEARCH_CELLS = 20_000_000
"""How many cells the search over look-alike columns may visit before it gives up: about 2 s."""


class UndecidedError(Exception):
    """The results look alike in every cheap way and the search for a permutation became too long."""


class Digest:
    """What is hashed and counted of a result: once, for all that are compared with it, and when first needed."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    @cached_property
    def rows_hash(self) -> int:
        """The sum of the rows' hashes: equal bags have equal sums, which cost a tenth of counting."""
        return sum(map(hash, self._rows))

    @cached_property
    def cells_hash(self) -> int:
        """The same of all values, wherever they stand."""
        return sum(map(hash, chain.from_iterable(self._rows)))

    @cached_property
    def others_hash(self) -> int:
        """The same of the values that are no numbers."""
        return sum([hash(value) for row in self._rows for value in row if not isinstance(value, (int, float))])

    @cached_property
    def bag(self) -> Counter[tuple[Any, ...]]:
        """How often each row occurs."""
        return Counter(self._rows)

    @cached_property
    def has_float(self) -> bool:
        """A value is a float."""
        return any(isinstance(value, float) for row in self._rows for value in row)


def are_equal(
    gold: Rows,
    predicted: Rows,
    *,
    is_ordered: bool,
    gold_width: int,
    predicted_width: int,
    gold_digest: Digest | None = None,
) -> bool:
    """True when ``predicted`` is the same result as ``gold``.

    Args:
        is_ordered: the rows must come in the gold's order.
        gold_width, predicted_width: column counts, which empty results would not show.
        gold_digest: of ``gold``, where many results are compared with it.

    Raises:
        UndecidedError: see there; no result of an ordinary query comes near it.
    """
    if gold_width != predicted_width or len(gold) != len(predicted):
        return False
    digests = gold_digest or Digest(gold), Digest(predicted)
    if _are_equal_exactly(gold, predicted, is_ordered, *digests):
        return True
    if not any(digest.has_float for digest in digests):
        return False
    if digests[0].others_hash != digests[1].others_hash:  # something other than a number differs
        return False
    return are_equal_exactly(*_with_close_numbers_merged(gold, predicted), is_ordered=is_ordered)


def are_equal_exactly(gold: Rows, predicted: Rows, *, is_ordered: bool) -> bool:
    """``are_equal`` without a tolerance, for two results of as many rows and, where they have rows, as many columns.

    Raises:
        UndecidedError: see there.
    """
    return _are_equal_exactly(gold, predicted, is_ordered, Digest(gold), Digest(predicted))


def _are_equal_exactly(
    gold: Rows, predicted: Rows, is_ordered: bool, gold_digest: Digest, predicted_digest: Digest
) -> bool:
    if gold == predicted:
        return True
    if gold_digest.cells_hash != predicted_digest.cells_hash:  # settles nearly every difference
        return False
    if is_ordered:
        # With the rows aligned, a permutation exists exactly when both hold the same bag of columns.
        return Counter(zip(*gold, strict=True)) == Counter(zip(*predicted, strict=True))
    if gold_digest.rows_hash == predicted_digest.rows_hash and gold_digest.bag == predicted_digest.bag:
        return True
    return _are_equal_up_to_columns(gold, predicted)


def _with_close_numbers_merged(gold: Rows, predicted: Rows) -> tuple[Rows, Rows]:
    """Both results with numbers that lie within the tolerance of each other replaced by one of them.

    Neighbours are merged in ascending order, so that equality stays transitive: rounding instead would tear apart two
    numbers on either side of a boundary. Two integers are never neighbours.
    """
    numbers = sorted({value for rows in (gold, predicted) for row in rows for value in row if _is_number(value)})
    merged: dict[float, float] = {}
    for previous, number in zip([None, *numbers], numbers, strict=False):
        is_close = (
            previous is not None
            and (isinstance(previous, float) or isinstance(number, float))
            and math.isclose(previous, number, rel_tol=RELATIVE_TOLERANCE, abs_tol=ABSOLUTE_TOLERANCE)
        )
        merged[number] = merged[previous] if previous is not None and is_close else number

    def replaced(rows: Rows) -> Rows:
        return tuple(tuple(merged[value] if _is_number(value) else value for value in row) for row in rows)

    return replaced(gold), replaced(predicted)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float))


class _Colours:
    """Gives equal things the same small integer, across both results."""

    def __init__(self) -> None:
        self._numbers: dict[Hashable, int] = {}

    def of_all(self, things: Iterable[Hashable]) -> list[int]:
        numbers = self._numbers
        return [numbers.setdefault(thing, len(numbers)) for thing in things]


def _are_equal_up_to_columns(gold: Rows, predicted: Rows) -> bool:
    if not gold or len(gold[0]) < 2:
        return False  # nothing to permute, and equal bags were ruled out before
    values = _Colours()
    gold_columns, predicted_columns = (
        [values.of_all(column) for column in zip(*rows, strict=True)] for rows in (gold, predicted)
    )
    refined = _refine(gold_columns, predicted_columns)
    if refined is None:
        return False
    (gold_column_colours, gold_row_colours), (predicted_column_colours, predicted_row_colours) = refined
    candidates: dict[int, list[int]] = defaultdict(list)
    for index, colour in enumerate(predicted_column_colours):
        candidates[colour].append(index)
    if len(candidates) == len(gold_columns):  # one for each
        arranged = [predicted_columns[candidates[colour][0]] for colour in gold_column_colours]
        return Counter(zip(*gold_columns, strict=True)) == Counter(zip(*arranged, strict=True))
    # Fewest candidates first: what is determined prunes what is not.
    order = sorted(range(len(gold_columns)), key=lambda index: len(candidates[gold_column_colours[index]]))
    search = _Search(
        gold=[gold_columns[index] for index in order],
        predicted=predicted_columns,
        candidates=[candidates[gold_column_colours[index]] for index in order],
    )
    return search.succeeds(0, gold_row_colours, predicted_row_colours, frozenset())


Columns = list[list[int]]
Colouring = tuple[list[int], list[int]]


def _refine(gold: Columns, predicted: Columns) -> tuple[Colouring, Colouring] | None:
    """(column colours, row colours) of each result, refined until stable; None when they prove the results unequal.

    When every column has a colour of its own, the rows are left as they were.
    """
    colours = _Colours()
    sides = (gold, predicted)
    column_colours = [colours.of_all(map(_bag, columns)) for columns in sides]
    row_colours: list[list[int]] = [[0] * len(gold[0]), [0] * len(gold[0])]
    distinct = 0
    while True:
        if sorted(column_colours[0]) != sorted(column_colours[1]):
            return None
        if len(set(column_colours[0])) in (distinct, len(gold)):
            return (column_colours[0], row_colours[0]), (column_colours[1], row_colours[1])
        distinct = len(set(column_colours[0]))
        cells = _Colours()
        for side, columns in enumerate(sides):
            coloured = (
                cells.of_all((colour, value) for value in column)
                for colour, column in zip(column_colours[side], columns, strict=True)
            )
            row_colours[side] = colours.of_all(tuple(sorted(row)) for row in zip(*coloured, strict=True))
        if Counter(row_colours[0]) != Counter(row_colours[1]):
            return None
        column_colours = [
            colours.of_all(
                (colour, _bag(zip(row_colours[side], column, strict=True)))
                for colour, column in zip(column_colours[side], columns, strict=True)
            )
            for side, columns in enumerate(sides)
        ]


def _bag(things: Iterable[Hashable]) -> frozenset[tuple[Hashable, int]]:
    return frozenset(Counter(things).items())


class _Search:
    """Assigns predicted columns to gold columns one by one, as long as the rows restricted to them are equal bags."""

    def __init__(self, gold: Columns, predicted: Columns, candidates: list[list[int]]) -> None:
        self._gold = gold
        self._predicted = predicted
        self._candidates = candidates
        self._cells_left = SEARCH_CELLS

    def succeeds(self, depth: int, gold_rows: list[int], predicted_rows: list[int], used: frozenset[int]) -> bool:
        """``gold_rows`` and ``predicted_rows`` number the rows by what the columns assigned so far say of them."""
        if depth == len(self._gold):
            return True
        labels = _Colours()
        extended = labels.of_all(zip(gold_rows, self._gold[depth], strict=True))
        wanted = Counter(extended)
        failed: set[tuple[int, ...]] = set()
        for index in self._candidates[depth]:
            column = self._predicted[index]
            if index in used or tuple(column) in failed:
                continue
            self._cells_left -= len(column)
            if self._cells_left < 0:
                raise UndecidedError(f"over {SEARCH_CELLS} cells compared in search of a column permutation")
            attempt = labels.of_all(zip(predicted_rows, column, strict=True))
            if Counter(attempt) == wanted and self.succeeds(depth + 1, extended, attempt, used | {index}):
                return True
            failed.add(tuple(column))
        return False
