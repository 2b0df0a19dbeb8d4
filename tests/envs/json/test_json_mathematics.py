"""The mathematical answer inside a JSON value."""

import json
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.json import judge
from envs.json.environment import JsonEnvironment
from envs.json.mathematics import math_answer
from envs.json.task import JsonTask, MathGold
from envs.math.number import plain_number
from envs.math.verification import Verification
from envs.transcript import Transcript


def answer(value: Any, pointer: str = "/answer") -> str | None:
    return math_answer({"answer": value}, MathGold(value="18", pointer=pointer))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("18", "18"),
        ("18.0", "18"),
        ("18.50", "18.5"),
        ("-0.0", "0"),
        ("0.1", "0.1"),
        ("1e3", "1000"),
        ("1.5e-7", "0.00000015"),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
        ('"18 dollars"', "18 dollars"),
        ('" 1,234 "', " 1,234 "),
        ('""', ""),
        ("true", None),
        ("null", None),
        ("[18]", None),
        ('{"value": 18}', None),
    ],
)
def test_numbers_are_written_in_full_and_strings_as_they_are(text: str, expected: str | None) -> None:
    assert answer(json.loads(text)) == expected


@pytest.mark.parametrize(
    ("value", "pointer", "expected"),
    [
        ({"a": [{"b/c": 1}, {"b/c": 2}]}, "/a/1/b~1c", "2"),
        ({"~": {"": 5}}, "/~0/", "5"),
        (7, "", "7"),
        ([3], "/0", "3"),
        ([3], "/1", None),
        ([3], "/-1", None),
        ([3], "/x", None),
        ({"a": 1}, "/b", None),
        ({"a": 1}, "/a/b", None),
        ({"a": "12"}, "/a/0", None),
        ({"a": 1}, "a", None),
    ],
)
def test_the_pointer_is_followed_or_leads_nowhere(value: Any, pointer: str, expected: str | None) -> None:
    assert math_answer(value, MathGold(value="1", pointer=pointer)) == expected


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**50), 10**50))
def test_a_number_keeps_its_value_and_has_no_exponent(number: float) -> None:
    text = answer(json.loads(json.dumps(number)))
    assert text is not None and "e" not in text.lower() and (text == "0" or not text.endswith(".0"))
    assert float(text) == number if isinstance(number, float) else int(text) == number
    plain = plain_number(text)
    if plain is not None:
        assert plain.value == Fraction(text)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    ),
    st.text(),
)
def test_no_value_and_no_pointer_raises(value: Any, pointer: str) -> None:
    found = math_answer(value, MathGold(value="1", pointer=pointer))
    assert found is None or isinstance(found, str)


@pytest.mark.parametrize(
    ("answer", "error", "unjudged"),
    [("{}", None, "deadline"), ("So: {}", "extra text", None), ("<b>{}</b>", "extra text", None)],
)
def test_mathematics_that_ends_too_late_forgives_no_other_error(
    monkeypatch: pytest.MonkeyPatch, answer: str, error: str | None, unjudged: str | None
) -> None:
    late = Verification(unjudged="deadline")
    monkeypatch.setattr(judge, "verify", lambda pairs, **_: [late] * len(pairs))
    task = JsonTask(id="1", schema="{}", gold=MathGold(value="18", pointer="/answer"))
    text = answer.format('{"answer": "9^{9^9}"}')
    (verdict,) = JsonEnvironment().judge([(task, Transcript.of(text))])
    assert (verdict.error, verdict.unjudged, verdict.is_correct) == (error, unjudged, False)


def test_a_defective_gold_is_never_held_against_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    defective = Verification(unjudged="defective gold")
    monkeypatch.setattr(judge, "verify", lambda pairs, **_: [defective] * len(pairs))
    task = JsonTask(id="1", schema="{}", gold=MathGold(value="18", pointer="/answer"))
    (verdict,) = JsonEnvironment().judge([(task, Transcript.of('So: {"answer": "x^2"}'))])
    assert (verdict.error, verdict.unjudged) == (None, "defective gold")


def test_a_number_of_too_many_digits_at_the_pointer_is_too_long() -> None:
    task = JsonTask(id="1", schema="{}", gold=MathGold(value="18", pointer="/answer"))
    (verdict,) = JsonEnvironment().judge([(task, Transcript.of(f'{{"answer": {"7" * 201}}}'))])
    assert (verdict.error, verdict.unjudged) == ("too long", None)
