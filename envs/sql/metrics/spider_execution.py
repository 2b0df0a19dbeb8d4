"""Spider's test-suite execution accuracy (Zhong et al. 2020): is the prediction's result the gold's, on every database?

Both texts go through ``spider_preparation`` first and run on each database of the suite. Results are equal as bags of
rows up to a permutation of the columns, in order where the gold's text has ``order by``. NULL equals NULL, 1 equals
1.0, there is no tolerance for floats, and two empty results are equal whatever their columns. A prediction that fails
to run on a database is wrong; that and the time limit are the caller's.

The official script tries the permutations one after another; here ``comparison`` finds one by colour refinement, with
the same verdict. Not covered: NaN, which SQLite never returns.
"""

from collections.abc import Iterable

from envs.sql.comparison import Rows, are_equal_exactly

SORTS_AS_IT_EQUALS = frozenset({int, str, bytes, type(None)})
"""Types of which equal values also have equal texts."""


def is_execution_match(gold: Rows, predicted: Rows, *, is_ordered: bool) -> bool:
    """The official verdict on the results of one database.

    Args:
        is_ordered: ``spider_preparation.is_order_compared`` of the gold.

    Raises:
        UndecidedError: no permutation was found within the limit of ``comparison``; no ordinary result comes near it.
    """
    if len(gold) != len(predicted):
        return False
    if gold and len(gold[0]) != len(predicted[0]):
        return False
    return are_equal_exactly(gold, predicted, is_ordered=is_ordered) and not _is_rejected(gold, predicted, is_ordered)


def is_suite_match(results: Iterable[tuple[Rows, Rows]], *, is_ordered: bool) -> bool:
    """True when the (gold, predicted) results of all databases of a suite match."""
    return all(is_execution_match(gold, predicted, is_ordered=is_ordered) for gold, predicted in results)


def _is_rejected(gold: Rows, predicted: Rows, is_ordered: bool) -> bool:
    """The official early rejection, which sees a difference between some equal results.

    It sorts the values inside each row by their texts and compares the rows: 1 and 1.0 are equal but stand in different
    places beside, say, 1.5. Between values of one type it says nothing that the comparison has not said before.
    """
    types = {type(value) for rows in (gold, predicted) for row in rows for value in row}
    if types <= SORTS_AS_IT_EQUALS:
        return False
    sorted_gold, sorted_predicted = ([_sorted_by_text(row) for row in rows] for rows in (gold, predicted))
    if is_ordered:
        return sorted_gold != sorted_predicted
    return set(sorted_gold) != set(sorted_predicted)


def _sorted_by_text(row: tuple[object, ...]) -> tuple[object, ...]:
    return tuple(sorted(row, key=lambda value: f"{value}{type(value)}"))
