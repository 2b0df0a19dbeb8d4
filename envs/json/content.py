"""How much of the gold's content a value holds: precision, recall and F1 over its leaves (ours).

A leaf is a scalar or an empty array or object, at its place. Places are paths of keys and positions, so an element
that is missing from the front of an array displaces all that follow; objects have no order. Leaves are equal when

* both are numbers of equal value (``1`` and ``1.0``); true and false are not numbers;
* both are strings of equal code points (no case folding, no Unicode normalisation);
* both are true, both false, both null, both ``[]`` or both ``{}``.

With P the leaves of the value, G those of the gold and M the leaves of P that G has at the same place:
precision = |M| / |P|, recall = |M| / |G|, F1 = 2 |M| / (|P| + |G|). |P| and |G| are at least 1.
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Field-level agreement of a value with the gold."""

    precision: float = 0.0
    recall: float = 0.0
    f1: float = 0.0
    is_equal: bool = False
    """The same value: object order and the spelling of numbers and strings aside."""


def agreement(value: Any, gold: Any) -> Agreement:
    """Compares two parsed values in time linear in both; their depth must have been bounded by the parser."""
    of_value, of_gold, shared = leaf_count(value), leaf_count(gold), _shared(value, gold)
    return Agreement(
        precision=shared / of_value,
        recall=shared / of_gold,
        f1=2 * shared / (of_value + of_gold),
        is_equal=shared == of_value == of_gold,
    )


def leaf_count(value: Any) -> int:
    """The number of scalars and empty containers in a value."""
    if not value or not isinstance(value, dict | list):
        return 1
    count = 0
    for item in value.values() if isinstance(value, dict) else value:
        count += leaf_count(item) if isinstance(item, dict | list) else 1
    return count


def _shared(value: Any, gold: Any) -> int:
    # Both are walked at once: a set of paths would take quadratic memory for a long key above many leaves.
    if isinstance(value, dict) and isinstance(gold, dict) and value and gold:
        return sum([_shared(item, gold[key]) for key, item in value.items() if key in gold])
    if isinstance(value, list) and isinstance(gold, list) and value and gold:
        return sum(map(_shared, value, gold))
    return int(_is_same_leaf(value, gold))


def _is_same_leaf(value: Any, gold: Any) -> bool:
    if type(value) is type(gold):
        return value == gold
    # An integer and a float; by their types, since true and false are instances of int.
    return {type(value), type(gold)} == {int, float} and value == gold
