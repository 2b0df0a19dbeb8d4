"""What is decided without computer algebra is what computer algebra says, and what is known is not asked again."""

from fractions import Fraction
from random import Random
from typing import Any

import math_verify
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st
from latex2sympy2_extended.latex2sympy2 import normalize_latex
from math_verify.grader import should_treat_as_complex

from benchmarks.math_templates import TEMPLATES
from envs.math import verification
from envs.math.comparison import are_equal, compare, equal_by_value
from envs.math.kind import gold_kind
from envs.math.latex import NORMALIZATION, read, read_slowly
from envs.math.memo import OutcomeMemo
from envs.math.notation import undressed
from envs.math.number import plain_number
from envs.math.rules import Question, decide, is_string_equal, read_gold
from envs.math.verification import verify

INTEGERS = st.integers(-(10**6), 10**6)
SPELLINGS = [
    "{0}",
    "{0}.0",
    "x = {0}",
    r"\text{{{0}}}",
    r"\frac{{{1}}}{{2}}",
    r"\dfrac{{{2}}}{{3}}",
    "{3}",
    r"{0}\text{{ km}}",
    r"\frac{{{1}}}{{4}}",
    r"\frac{{{2}}}{{7}}",
    "{0}.5",
    "{0}.25",
]

SHARED_SPELLINGS = [spelling for spelling in SPELLINGS if not spelling.startswith(r"\text")]
"""Not ``\\text{0}``, which math-verify takes for a name."""


def spelled(number: int, spelling: str) -> str:
    return spelling.format(number, 2 * number, 3 * number, f"{number:,}")


@settings(max_examples=150, deadline=None)
@given(INTEGERS, INTEGERS | st.none(), st.sampled_from(SPELLINGS), st.sampled_from(SPELLINGS))
def test_numbers_are_decided_as_computer_algebra_decides_them(
    first: int, second: int | None, of_gold: str, of_answer: str
) -> None:
    gold, answer = spelled(first, of_gold), spelled(first if second is None else second, of_answer)
    wanted, found = plain_number(gold), plain_number(answer)
    assert wanted is not None and found is not None
    decision = decide(read_gold(gold), answer)
    # Units are taken off before: math-verify's own would take variables off, too.
    bare = [f"{number.value.numerator}/{number.value.denominator}" for number in (wanted, found)]
    slow = are_equal(read(bare[0]), read(bare[1]))
    assert decision == ("equal" if slow else "wrong value")


@settings(max_examples=100, deadline=None)
@given(INTEGERS, INTEGERS, st.sampled_from(SHARED_SPELLINGS), st.sampled_from(SHARED_SPELLINGS))
def test_numbers_are_decided_as_math_verify_decides_their_text(first: int, second: int, one: str, other: str) -> None:
    gold = spelled(first, one)
    for answer in (spelled(second, other), spelled(first, other)):
        wanted, found = plain_number(gold), plain_number(answer)
        assert wanted is not None and found is not None
        difference = abs(wanted.value - found.value)
        if difference and difference < Fraction(1, 10**5):
            continue  # math-verify rounds decimals to six places; numbers here are exact
        sides = [math_verify.parse(rf"\boxed{{{text}}}", parsing_timeout=None) for text in (gold, answer)]
        is_equal = math_verify.verify(*sides, timeout_seconds=None)
        assert decide(read_gold(gold), answer) == ("equal" if is_equal else "wrong value")


def drawn_pairs() -> list[tuple[str, str]]:
    chance = Random(5)
    variants = [template(chance) for template in TEMPLATES.values() for _ in range(2)]
    return [(drawn.gold, answer) for drawn in variants for answer in [*drawn.right, *drawn.wrong]]


PAIRS = [(gold, answer) for gold, answer in drawn_pairs() if gold_kind(gold) not in ("number", "words")]


def test_text_that_is_taken_for_equal_is_equal_as_mathematics() -> None:
    alike = [(gold, answer) for gold, answer in PAIRS if is_string_equal(gold, answer) and gold != answer]
    assert len(alike) > 30
    for gold, answer in alike:
        assert compare(undressed(gold).text, f" {undressed(answer).text}") == "equal", (gold, answer)


def test_values_decide_as_simplification_does() -> None:
    compared = 0
    for gold, answer in PAIRS:
        question = decide(read_gold(gold), answer)
        if not isinstance(question, Question) or question.gold == question.answer:
            continue
        wanted, found = read(question.gold), read(question.answer)
        by_value = None if found is None else equal_by_value(wanted, found)
        if by_value is None or "i" in {str(symbol) for symbol in wanted.free_symbols}:
            continue
        if (wanted.has(sympy.Pow) and not wanted.free_symbols) and not by_value:
            continue  # math-verify compares 15 digits: 2^-98 is 2^-99 to it
        compared += 1
        assert by_value == math_verify.verify(wanted, found, timeout_seconds=None), (gold, answer)
    assert compared > 100


def test_fast_reading_is_slow_reading() -> None:
    for text in {text for pair in PAIRS[::2] for text in pair}:
        normalized = normalize_latex(text, NORMALIZATION)
        slow = read_slowly(normalized, is_real=not should_treat_as_complex(normalized))
        if slow is not None or "cdot" not in text:  # d \cdot 2 is only read by the fast reader
            assert same(read(text), slow) or r"d \cdot" in text, text


def same(first: Any, second: Any) -> bool:
    return first is second or (first is not None and second is not None and sympy.srepr(first) == sympy.srepr(second))


@given(st.text(max_size=30), st.text(max_size=30))
def test_rules_take_any_text(gold: str, answer: str) -> None:
    assert decide(read_gold(gold), answer, canonical_number=False) is not None
    assert decide(read_gold(gold), gold) is not None


@given(st.text(r"\{}()[],;=<>%_^ xyfrac0123.~", max_size=40), st.text(r"\{}()[],;=<>%_^ xytext0123.~", max_size=40))
def test_rules_take_any_mathematical_text(gold: str, answer: str) -> None:
    assert decide(read_gold(gold), answer) is not None


def test_equal_pairs_are_compared_once_and_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []

    class Recorder:
        def run(self, pairs: list[tuple[str, str]]) -> list[str]:
            asked.extend(pairs)
            return ["equal" if gold == answer else "deadline" for gold, answer in pairs]

    monkeypatch.setattr(verification, "shared_pool", lambda **_: Recorder())
    monkeypatch.setattr(verification, "KNOWN", OutcomeMemo())
    pairs = [("x+1", "x + 1"), ("x+1", "$x+1$"), ("x+1", "x+2"), ("x+1", "x+2")]
    found = verify(pairs, workers=1, deadline=1.0)
    assert sorted(asked) == [("x+1", "x+1"), ("x+1", "x+2")]
    assert [one.unjudged for one in found] == [None, None, "deadline", "deadline"]
    asked.clear()
    assert verify(pairs, workers=1, deadline=1.0) == found and asked == []
    verify(pairs, workers=1, deadline=2.0)
    assert asked == [("x+1", "x+2")]  # it is given more time than it had


def test_only_what_says_nothing_of_the_machine_is_remembered() -> None:
    memo = OutcomeMemo()
    own, other = Question(gold="x", answer="x"), Question(gold="x", answer="y")
    memo.keep({own: "deadline", other: "verifier crash"}, deadline=1.0)
    assert memo.known([own, other], deadline=1.0) == {}
    memo.keep({own: "equal", other: "deadline"}, deadline=1.0)
    assert memo.known([own, other], deadline=0.5) == {own: "equal", other: "deadline"}
    assert memo.known([own, other], deadline=9.0) == {own: "equal"}


def test_the_memo_is_bounded_and_forgets_the_oldest() -> None:
    memo = OutcomeMemo(capacity=2)
    questions = [Question(gold="x", answer=str(number)) for number in range(3)]
    for question in questions[:2]:
        memo.keep({question: "different"}, deadline=1.0)
    memo.known(questions[:1], deadline=1.0)
    memo.keep({questions[2]: "equal"}, deadline=1.0)
    known = memo.known(questions, deadline=1.0)
    assert known == {questions[0]: "different", questions[2]: "equal"} and len(memo) == 2
