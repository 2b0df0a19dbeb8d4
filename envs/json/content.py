"""How much of the gold's content a value holds: precision, recall and F1 over its leaves, keys missing and invented
(ours).

A leaf is a scalar or an empty array or object, at its place. Places are paths of keys and positions, so an element
that is missing from the front of an array displaces all that follow; objects have no order. Leaves are equal when

* both are numbers of equal value (``1`` and ``1.0``); true and false are not numbers;
* both are strings of equal code points (no case folding, no Unicode normalisation);
* both are true, both false, both null, both ``[]`` or both ``{}``.

With P the leaves of the value, G those of the gold and M the leaves of P that G has at the same place:
precision = |M| / |P|, recall = |M| / |G|, F1 = 2 |M| / (|P| + |G|). |P| and |G| are at least 1.

Keys (``envs.json.keys``) of the gold that the value lacks are missing, those of the value that the gold lacks invented.
"""

from dataclasses import dataclass
from typing import Any

from envs.json.keys import CONTAINERS, NO_KEYS, KeyListing, Keys, Place


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Field-level agreement of a value with the gold."""

    precision: float = 0.0
    recall: float = 0.0
    f1: float = 0.0
    is_equal: bool = False
    """The same value: object order and the spelling of numbers and strings aside."""
    missing: Keys = NO_KEYS
    """Keys that the gold has and the value lacks."""
    invented: Keys = NO_KEYS
    """Keys that the value has and the gold lacks."""


EQUAL = Agreement(precision=1.0, recall=1.0, f1=1.0, is_equal=True)
# By their types: values of JSON have no others, and unlike isinstance this tells true from 1.
NUMBERS = {int, float}


def agreement(value: Any, gold: Any) -> Agreement:
    """Compares two parsed values in time linear in both; their depth must have been bounded by the parser."""
    return agreement_with(value, gold, leaf_count(gold))


def agreement_with(value: Any, gold: Any, of_gold: int) -> Agreement:
    """As ``agreement``, with the number of the gold's leaves, which only needs to be counted once."""
    comparison = _Comparison()
    of_value, shared = leaf_count(value), comparison.shared(value, gold, None)
    if shared == of_value == of_gold:
        return EQUAL
    return Agreement(
        precision=shared / of_value,
        recall=shared / of_gold,
        f1=2 * shared / (of_value + of_gold),
        missing=comparison.missing.keys(),
        invented=comparison.invented.keys(),
    )


def leaf_count(value: Any) -> int:
    """The number of scalars and empty containers in a value."""
    if not value or type(value) not in CONTAINERS:
        return 1
    count = 0
    for item in value.values() if type(value) is dict else value:
        count += leaf_count(item) if type(item) in CONTAINERS else 1
    return count


class _Comparison:
    """Walks a value and its gold at once: a set of paths would be quadratic for a long key above many leaves."""

    def __init__(self) -> None:
        self.missing = KeyListing()
        self.invented = KeyListing()

    def shared(self, value: Any, gold: Any, place: Place) -> int:
        """The leaves that both have at the same place; the keys that one of them has are listed."""
        kind = type(gold)
        if kind not in CONTAINERS and type(value) not in CONTAINERS:
            return _is_same_leaf(value, gold)
        if type(value) is kind and not value and not gold:
            return 1
        if type(value) is not kind or not value or not gold:
            self.missing.add_all(gold, place)
            self.invented.add_all(value, place)
            return 0
        return self._of_objects(value, gold, place) if kind is dict else self._of_arrays(value, gold, place)

    def _of_objects(self, value: dict[str, Any], gold: dict[str, Any], place: Place) -> int:
        shared = 0
        for key, wanted in gold.items():
            if key not in value:
                self.missing.add(place, key)
                self.missing.add_all(wanted, (place, key))
                continue
            item = value[key]
            if type(wanted) in CONTAINERS or type(item) in CONTAINERS:
                shared += self.shared(item, wanted, (place, key))
            else:
                shared += _is_same_leaf(item, wanted)
        if value.keys() <= gold.keys():
            return shared
        for key, item in value.items():
            if key not in gold:
                self.invented.add(place, key)
                self.invented.add_all(item, (place, key))
        return shared

    def _of_arrays(self, value: list[Any], gold: list[Any], place: Place) -> int:
        shared = 0
        for position, (item, wanted) in enumerate(zip(value, gold, strict=False)):
            if type(wanted) in CONTAINERS or type(item) in CONTAINERS:
                shared += self.shared(item, wanted, (place, position))
            else:
                shared += _is_same_leaf(item, wanted)
        for position in range(len(value), len(gold)):
            self.missing.add_all(gold[position], (place, position))
        for position in range(len(gold), len(value)):
            self.invented.add_all(value[position], (place, position))
        return shared


def _is_same_leaf(value: Any, gold: Any) -> bool:
    if type(value) is type(gold):
        return value == gold
    # An integer and a float; by their types, since true and false are instances of int.
    return {type(value), type(gold)} == NUMBERS and value == gold
