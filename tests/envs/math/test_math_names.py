"""What a value is said to be a value of, and equations that give no value to a name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.math.kind import gold_kind
from envs.math.notation import undressed
from envs.math.number import plain_number
from envs.math.rules import Question, decide, read_gold
from envs.math.verification import verify

LETTERS = st.sampled_from("abcdghkmnprstuvwxyz")


@given(LETTERS, LETTERS, st.integers(0, 10**6))
def test_a_number_for_another_variable_is_wrong(first: str, second: str, number: int) -> None:
    gold = read_gold(f"{first} = {number}")
    assert decide(gold, f"{second} = {number}") == ("equal" if first == second else "wrong value")
    assert decide(gold, str(number)) == decide(read_gold(str(number)), f"{second} = {number}") == "equal"
    assert decide(gold, rf"\text{{Area}} = {number}") == "equal"


@given(st.text("abcdxyz", min_size=2, max_size=5), st.integers(0, 99))
def test_a_product_of_letters_is_no_name(letters: str, number: int) -> None:
    text = f"{letters} = {number}"
    assert undressed(text).name is None
    assert plain_number(text) is None and gold_kind(text) == "relation"
    assert decide(read_gold(text), str(number)) == "wrong value"


@pytest.mark.parametrize("name", ["x", r"\theta", "AB", "Area", r"\text{area}", r"\mathrm{cost}", "x_1", "f(x)", "A'"])
def test_other_names_stay(name: str) -> None:
    assert undressed(f"{name} = 12").name == name
    assert plain_number(f"{name} = 12") is not None


@pytest.mark.parametrize(
    ("gold", "answer", "is_right"),
    [
        ("2x+y=1", "y=1-2x", True),
        ("3x+4y-12=0", r"y=3-\frac34 x", True),
        ("x-y=0", "y=x", True),
        ("xy=1", r"y=\frac{1}{x}", True),
        ("y=2x+1", "2x+1", True),
        ("y=2x+1", "2x-y=-1", True),
        ("2x+y=1", "y=1+2x", False),
        ("2x+y=1", "1-2x", False),
        ("2x+y=1", "1", False),
        ("x-y=0", "x", False),
        ("xy=1", "1", False),
    ],
)
def test_an_equation_without_a_name_is_compared_whole(gold: str, answer: str, is_right: bool) -> None:
    (found,) = verify([(gold, answer)], workers=1, deadline=10.0)
    assert found.unjudged is None and (found.error is None) is is_right


@given(st.integers(1, 99), st.integers(0, 4), st.integers(0, 9_999))
def test_a_decimal_behind_a_value_goes_with_the_question(radicand: int, places: int, digits: int) -> None:
    decimal = f"{digits / 10**places:.{places}f}"
    question = decide(read_gold(r"2\sqrt{5}"), rf"\sqrt{{{radicand}}} \approx {decimal}")
    assert question == Question(gold=r"2\sqrt{5}", answer=rf"\sqrt{{{radicand}}}", rounding=decimal)


@pytest.mark.parametrize("tail", [r"447\%", r"\frac{9}{2}", "x", r"\sqrt{20}"])
def test_nothing_but_a_decimal_may_follow_a_value(tail: str) -> None:
    assert decide(read_gold(r"2\sqrt{5}"), rf"2\sqrt{{5}} \approx {tail}") == "chain"
