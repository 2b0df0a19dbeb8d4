"""Field-level agreement."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.json.content import agreement, leaf_count

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "a", "b", 0.5, 1.0]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=12,
)


def paths(value: object, path: tuple[object, ...] = ()) -> set[tuple[object, ...]]:
    """The definition, written out: one path with the leaf's type and value at its end."""
    if isinstance(value, dict) and value:
        return {leaf for key, item in value.items() for leaf in paths(item, (*path, "object", key))}
    if isinstance(value, list) and value:
        return {leaf for place, item in enumerate(value) for leaf in paths(item, (*path, "array", place))}
    if isinstance(value, int | float) and not isinstance(value, bool):
        return {(*path, "number", value)}
    return {(*path, type(value).__name__, json.dumps(value))}


@settings(max_examples=60, deadline=None)
@given(VALUES, VALUES)
def test_it_is_what_its_definition_says(value: object, gold: object) -> None:
    found, expected = paths(value), paths(gold)
    result = agreement(value, gold)
    assert result.precision == len(found & expected) / len(found)
    assert result.recall == len(found & expected) / len(expected)
    assert result.f1 == pytest.approx(2 * len(found & expected) / (len(found) + len(expected)))
    assert result.is_equal == (found == expected)
    assert leaf_count(value) == len(found)


@settings(max_examples=30, deadline=None)
@given(VALUES)
def test_a_value_agrees_with_itself_however_its_keys_are_ordered(value: object) -> None:
    def turned(node: object) -> object:
        if isinstance(node, dict):
            return {key: turned(node[key]) for key in reversed(node)}
        return [turned(item) for item in node] if isinstance(node, list) else node

    assert agreement(turned(value), value).is_equal


@pytest.mark.parametrize(
    ("value", "gold", "is_equal"),
    [
        (1, 1.0, True),
        (10**20, 1e20, True),
        (1, True, False),
        (0, False, False),
        (0, None, False),
        ("", None, False),
        ({}, [], False),
        ({}, None, False),
        ([], [[]], False),
        ({"0": 1}, [1], False),
        ("1", 1, False),
        ("é", "e\u0301", False),
    ],
)
def test_leaves_are_equal_by_type_and_value(value: object, gold: object, is_equal: bool) -> None:
    assert agreement(value, gold).is_equal is is_equal
    assert agreement(gold, value).is_equal is is_equal


def test_missing_and_invented_fields_cost_recall_and_precision() -> None:
    gold = {"a": 1, "b": {"c": [1, 2]}, "d": {}}
    missing = agreement({"a": 1, "b": {"c": [1, 2]}}, gold)
    assert (missing.precision, missing.recall) == (1.0, 0.75)
    invented = agreement({**gold, "e": 0}, gold)
    assert (invented.precision, invented.recall) == (0.8, 1.0)


def keys(value: object, place: str = "") -> list[str]:
    """The definition, written out: the pointer of every member of an object."""
    found: list[str] = []
    if isinstance(value, dict):
        for key, item in value.items():
            found += [f"{place}/{key}", *keys(item, f"{place}/{key}")]
    elif isinstance(value, list):
        for position, item in enumerate(value):
            found += keys(item, f"{place}/{position}")
    return found


@settings(max_examples=100, deadline=None)
@given(VALUES, VALUES)
def test_missing_and_invented_keys_are_what_their_definition_says(value: object, gold: object) -> None:
    result = agreement(value, gold)
    missing = [key for key in keys(gold) if key not in keys(value)]
    invented = [key for key in keys(value) if key not in keys(gold)]
    assert (sorted(result.missing.pointers), result.missing.count) == (sorted(missing), len(missing))
    assert (sorted(result.invented.pointers), result.invented.count) == (sorted(invented), len(invented))
    swapped = agreement(gold, value)
    assert sorted(swapped.missing.pointers) == sorted(result.invented.pointers)
    assert sorted(swapped.invented.pointers) == sorted(result.missing.pointers)
    assert (swapped.precision, swapped.recall, swapped.f1) == (result.recall, result.precision, result.f1)


def test_pointers_are_escaped_and_bounded_in_number_and_length() -> None:
    found = agreement({"a/b": {"c~d": 1}}, {}).invented
    assert found.pointers == ("/a~1b", "/a~1b/c~0d")
    many = agreement({}, {f"{'k' * 1_000}{n}": n for n in range(1_000)}).missing
    assert many.count == 1_000 and 10 < len(many.pointers) <= 16
