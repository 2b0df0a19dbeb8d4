"""Values that agree to many digits are told apart, and the same value in other words is not."""

import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.math.comparison import are_equal, compare, equal_by_value

SYMBOL = sympy.Symbol("x", real=True)
IRRATIONAL = (sympy.pi, sympy.sqrt(2), sympy.exp(1), sympy.log(3), sympy.sin(1), sympy.zeta(3))


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("2^{2004}-1", "2^{2004}"),
        ("10^{50}-1", "10^{50}"),
        ("2^{20000}", "2^{20000}-1"),
        ("100!", "100!+1"),
        (r"1-\frac{1}{2^{200}}", "1"),
        (r"1-(\frac{5}{6})^{1000}", "1"),
        ("e^{100}", "e^{100}+1"),
        (r"\sqrt{10^{200}+1}", "10^{100}"),
        ("x+2^{200}", "x+2^{200}+1"),
        ("(e^{100}, 1)", "(e^{100}+1, 1)"),
        (r"\{e^{100}, 1\}", r"\{e^{100}+1, 1\}"),
    ],
)
def test_nearly_equal_is_different(gold: str, answer: str) -> None:
    assert compare(gold, answer) == compare(answer, gold) == "different"
    assert compare(gold, gold) == compare(answer, answer) == "equal"


@given(st.integers(2, 9), st.integers(30, 2_000), st.integers(1, 9), st.integers(1, 9))
def test_integers_are_equal_only_to_themselves(base: int, power: int, first: int, second: int) -> None:
    written = [sympy.Add(sympy.Pow(base, power, evaluate=False), term, evaluate=False) for term in (first, second)]
    assert equal_by_value(*written) is (first == second)
    assert equal_by_value(written[0], sympy.Integer(base**power + first)) is True


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(IRRATIONAL), st.integers(41, 900), st.booleans())
def test_irrational_numbers_that_differ_in_a_late_digit_are_different(
    number: sympy.Expr, digits: int, has_symbol: bool
) -> None:
    first = number + SYMBOL if has_symbol else number
    assert equal_by_value(first, first + sympy.Rational(1, 10**digits)) is False


@settings(deadline=None, max_examples=40)
@given(st.integers(2, 50), st.integers(2, 50))
def test_a_denested_root_is_the_same_value(first: int, second: int) -> None:
    nested = sympy.sqrt(first + second + 2 * sympy.sqrt(first * second))
    assert equal_by_value(nested, sympy.sqrt(first) + sympy.sqrt(second)) is True


@pytest.mark.parametrize(
    ("answer", "rounding", "expected"),
    [
        (r"\sqrt{20}", "4.5", "equal"),
        (r"\sqrt{20}", "4.472", "equal"),
        (r"\sqrt{20}", "4.473", "different"),
        (r"\sqrt{20}", "4", "equal"),
        (r"\sqrt{20}", "5", "different"),
        (r"\sqrt{20}", "-4.5", "different"),
        (r"\sqrt{20}", "99", "different"),
        (r"\sqrt{21}", "4.58", "different"),
    ],
)
def test_a_decimal_behind_a_value_is_its_rounding(answer: str, rounding: str, expected: str) -> None:
    assert compare(r"2\sqrt{5}", answer, rounding) == expected


def test_only_a_number_has_a_rounding() -> None:
    for text in ("x+1", "(1,2)", r"\{1\}", "1+i", "x=1"):
        assert compare(text, text) == "equal"
        assert compare(text, text, "1") == "different"


@given(st.integers(-9, 9), st.integers(-9, 9), st.booleans(), st.booleans())
def test_an_inequality_says_its_interval_and_no_other(start: int, length: int, is_left: bool, is_right: bool) -> None:
    end = start + abs(length) + 1
    interval = sympy.Interval(start, end, is_left, is_right)
    lower = sympy.StrictLessThan(start, SYMBOL) if is_left else sympy.LessThan(start, SYMBOL)
    upper = sympy.StrictGreaterThan(end, SYMBOL) if is_right else sympy.GreaterThan(end, SYMBOL)
    assert are_equal(interval, sympy.And(lower, upper, evaluate=False))
    assert are_equal(sympy.Interval(-sympy.oo, end, True, is_right), upper)
    others = [
        (start, end, not is_left, is_right),
        (start, end, is_left, not is_right),
        (start - 1, end, is_left, is_right),
    ]
    for other in others:
        assert not are_equal(sympy.Interval(*other), sympy.And(lower, upper, evaluate=False))
    assert not are_equal(interval, upper)


@pytest.mark.parametrize("answer", ["x^2 < 9", "|x| < 3", "-3 < x < y", "-3 < x+1 < 3", "x = 3", "-3 < y, x < 3"])
def test_an_inequality_that_is_to_be_solved_is_no_interval(answer: str) -> None:
    assert compare("[-3,3)", r"-3 \le x < 3") == "equal"
    assert compare("(-3,3)", answer) == compare("[-3,3)", answer) == "different"


@pytest.mark.parametrize(
    ("gold", "answer"), [(r"\emptyset", r"\varnothing"), (r"\lg 5", r"\log_{10} 5"), (r"\lg(x)+1", r"1+\log_{10}(x)")]
)
def test_synonyms_are_read_alike(gold: str, answer: str) -> None:
    assert compare(gold, answer) == compare(answer, gold) == "equal"
