"""Hostile text becomes a value or a category, never an exception."""

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.json.parsing import Limits, parse

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "no answer"),
        (" \n\t", "no answer"),
        ("I can not say", "not json"),
        ('{"a": 1', "not json"),
        ("{'a': 1}", "not json"),
        ('{"a": 1,}', "not json"),
        ('"tab\tinside"', "not json"),
        ("[" * 100_000, "too long"),
        ("[" * 60_000, "too deep"),
        ("[" * 30_000 + "]" * 30_000, "too deep"),
        ('{"a":' * 10_000 + "1" + "}" * 10_000, "too deep"),
        ('"' + "a" * 2_000_000 + '"', "too long"),
        ("1" * 5_000, "number too long"),
        ('{"a": -' + "1" * 5_000 + "}", "number too long"),
        ("0." + "1" * 5_000, "number too long"),
        ("NaN", "not finite"),
        ('{"a": [Infinity]}', "not finite"),
        ("-Infinity", "not finite"),
        ("1e999", "not finite"),
        ('{"a": 1, "a": 1}', "duplicate key"),
        ('{"b": {"a": 1, "\\u0061": 2}}', "duplicate key"),
        ('"\\ud800"', "lone surrogate"),
        ('{"\\uDC00": 1}', "lone surrogate"),
        ('"\ud800"', "lone surrogate"),
    ],
)
def test_a_hostile_text_has_its_category(text: str, error: str) -> None:
    started = time.perf_counter()
    parsed = parse(text)
    assert (parsed.error, parsed.is_found) == (error, False)
    assert time.perf_counter() - started < 1
    (parsed.text or "").encode()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('Sure! {"a": 1}', {"a": 1}),
        ('```json\n{"a": [1]}\n```', {"a": [1]}),
        ('{"a": 1} {"b": 2}', {"a": 1}),
        ('{x} then {"a": "}"} end', {"a": "}"}),
        ("[see] [1, 2]", [1, 2]),
        ("1. {}", {}),
    ],
)
def test_text_around_a_value_is_an_error_and_the_value_is_still_found(text: str, value: object) -> None:
    parsed = parse(text)
    assert parsed.error == "extra text"
    assert parsed.has_extra_text and parsed.is_found
    assert parsed.value == value
    assert json.loads(parsed.text or "") == value


@pytest.mark.parametrize("text", ['{"a": [1, 2], "b": ', '{"a": [1], b: 2}', "[[1], [2], oops", "5 apples", "yes true"])
def test_no_value_is_taken_from_inside_a_broken_one_or_from_prose(text: str) -> None:
    assert not parse(text).is_found


def test_a_defect_after_prose_is_still_named() -> None:
    assert parse('Here: {"a": NaN} and {"a": 1}').error == "not finite"
    assert parse("x " + "[" * 200 + "]" * 200).error == "too deep"


def test_an_escaped_pair_is_no_lone_surrogate() -> None:
    assert parse('"\\ud83d\\ude00"').value == "😀"


def test_depth_counts_brackets_outside_strings_only() -> None:
    assert parse(json.dumps("[" * 5_000)).error is None
    assert parse('["' + '\\"[' * 5_000 + '"]').error is None
    assert parse("[[1]]", Limits(depth=2)).error is None
    assert parse("[[[1]]]", Limits(depth=2)).error == "too deep"
    assert parse("[[], [], []]", Limits(depth=2)).error is None


@pytest.mark.parametrize("text", ['\\"' * 30_000, "[x]" * 20_000, '{"' * 30_000, "[" + '"\\' * 30_000, "]}" * 30_000])
def test_no_text_makes_the_search_slow(text: str) -> None:
    started = time.perf_counter()
    assert not parse(text).is_found
    assert time.perf_counter() - started < 1


@settings(max_examples=50, deadline=None)
@given(VALUES)
def test_every_json_value_is_read_back(value: object) -> None:
    parsed = parse(json.dumps(value))
    assert parsed.error is None
    assert parsed.value == value
    assert parse(json.dumps(value, ensure_ascii=False, indent=1)).value == value


@given(st.text(st.characters(), max_size=60) | st.text('{}[]":,\\u1e-dN \n', max_size=60))
def test_no_text_raises_and_what_is_taken_whole_is_json(text: str) -> None:
    parsed = parse(text)
    if parsed.error is None:
        assert json.loads(text) == parsed.value
