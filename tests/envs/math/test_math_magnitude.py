"""Powers and factorials that nobody could compute are refused without a worker, and no others."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.math.magnitude import LARGEST_EXPONENT, is_beyond_computing
from envs.math.verification import verify

BEYOND = [
    "9^{9^{9^9}}",
    r"0\cdot 9^{9^{9^9}}",
    r"\log(9^{9^9})",
    r"\sin(10^{10^{10}})",
    "e^{e^{e^{e^{e}}}}",
    r"\pi^{\pi^{\pi^{\pi^{\pi}}}}",
    "9^{{9^{9^9}}}",
    "9^{(9^{(9^9)})}",
    "9^{9^{9+9}}",
    "9^{1+9^{9^9}}",
    "9^{9^{10-1}}",
    r"9^{9\cdot 99999}",
    "x^{10^9}",
    "2^{-10^9}",
    "(9!)!",
    "9!!!!!!",
    "(10^7)!",
    r"\Gamma(10^9)",
    "9^{99!}",
]
WITHIN = [
    "e^{x^2}",
    "x^{2^n}",
    "x^{x^{x^x}}",
    "2^{2^{10}}",
    "2^{3^2}x",
    "e^{e^{e}}",
    "10^{100}",
    "100!",
    r"6.02 \times 10^{23}",
    "H^2",
    "2^{H}",
    r"\frac{10^{9}}{3}",
    "(x+1)^{2024}",
    "2^{10^{-10}}",
    "!",
    "^",
]


@pytest.mark.parametrize("answer", BEYOND)
def test_what_nobody_could_compute_has_its_own_error(answer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_beyond_computing(answer)
    monkeypatch.setattr("envs.math.verification._outcomes", lambda questions, **_: dict.fromkeys(questions, "equal"))
    (found,) = verify([(r"\sqrt{3}+x", answer)], workers=1, deadline=1.0)
    assert found.error == "beyond computing"


@pytest.mark.parametrize("answer", WITHIN)
def test_what_answers_look_like_is_computed(answer: str) -> None:
    assert not is_beyond_computing(answer)


def test_a_gold_may_have_such_a_power_and_so_may_its_answers() -> None:
    pairs = [("2^{2^{10}}", "4^{512}"), ("2^{2^{2^{10}}}", "2^{2^{2^{10}}}+0"), ("7^{10^6}x", r"7\cdot 7^{999999}x")]
    assert [found.error for found in verify(pairs, workers=1, deadline=10.0)] == [None] * 3


@given(st.integers(2, 9), st.integers(2, 9), st.integers(1, 9))
def test_the_size_of_an_exponent_decides(base: int, middle: int, top: int) -> None:
    for text in (f"{base}^{{{middle}^{top}}}", f"x^{{{middle}^{{{top}}}}}", f"({middle}^{top})!"):
        assert is_beyond_computing(text) == (middle**top > LARGEST_EXPONENT)


@given(st.integers(0, 10**7))
def test_a_plain_exponent_is_compared_as_a_number(exponent: int) -> None:
    assert is_beyond_computing(f"x^{{{exponent}}}") == (exponent > LARGEST_EXPONENT)


@given(st.text("0123456789^{}()!ex+-. \\cdotpiH", max_size=60), st.text(max_size=40))
def test_any_text_is_taken(first: str, second: str) -> None:
    for text in (first, second + "^", "!" + second):
        assert is_beyond_computing(text) in (True, False)


@given(st.text("abcxyn^{}+-()", max_size=40))
def test_letters_alone_are_never_beyond_computing(text: str) -> None:
    assert not is_beyond_computing(text)
