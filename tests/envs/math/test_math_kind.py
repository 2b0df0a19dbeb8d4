"""What a gold is, by its text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.math.kind import gold_kind, outer_bracket
from envs.math.notation import undressed, visible


@pytest.mark.parametrize(
    ("gold", "kind"),
    [
        ("18", "number"),
        (r"\frac{3}{4}", "number"),
        (r"50\%", "number"),
        (r"\text{Monday}", "words"),
        (r"\text{(A)}", "words"),
        ("B", "words"),
        ("even", "words"),
        (r"\text{no solution}", "words"),
        ("(1, 2)", "tuple"),
        (r"\left( 3, \frac{\pi}{2} \right)", "tuple"),
        (r"\{1, 2\}", "set"),
        ("[1, 2)", "interval"),
        (r"(-\infty, 2]", "interval"),
        ("1, 2", "list"),
        ("x = 1, y = 2", "list"),
        (r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}", "matrix"),
        ("y = 2x + 1", "relation"),
        ("1 < x < 2", "relation"),
        (r"x \in [1, 2]", "relation"),
        (r"\sqrt{2}", "expression"),
        ("(1,2) \\cup (3,4)", "expression"),
        ("x", "expression"),
        ("ab", "expression"),
        (r"\pi", "expression"),
        ("f(x, y)", "expression"),
        ("", "expression"),
    ],
)
def test_the_kind_of_a_gold(gold: str, kind: str) -> None:
    assert gold_kind(gold) == kind


@pytest.mark.parametrize(
    ("text", "bracket"),
    [
        ("(1,2)", "()"),
        ("(1,2]", "(]"),
        (r"\{1\}", "{}"),
        ("(1)", None),
        ("(1,2)(3,4)", None),
        ("(1,2),(3,4)", "list"),
        (r"\frac{1}{2}", None),
        ("{1,2}", None),
        ("(1,2", None),
        (")(", None),
        ("", None),
    ],
)
def test_only_brackets_around_the_whole_count(text: str, bracket: str | None) -> None:
    assert outer_bracket(text) == bracket


@pytest.mark.parametrize(
    ("text", "bare", "name"),
    [
        ("x = 5", "5", "x"),
        ("f(x) = 2x", "2x", "f(x)"),
        ("x_1 = 5", "5", "x_1"),
        (r"\theta = \pi", r"\pi", r"\theta"),
        (r"(x, y) = (1, 2)", "(1, 2)", "(x, y)"),
        (r"$\left( 3 \right)$", "( 3 )", None),
        (r"\boxed{5}", "5", None),
        ("x = 1 = 5", "x = 1 = 5", None),
        ("2x = 10", "2x = 10", None),
        (r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}", r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}", None),
        ("π", r"\pi", None),
        ("√2", r"\sqrt{2}", None),
    ],
)
def test_dressing_is_taken_off_and_nothing_else(text: str, bare: str, name: str | None) -> None:
    expression = undressed(text)
    assert (expression.text, expression.name) == (bare, name)


def test_spaces_that_mean_something_stay() -> None:
    assert undressed("1 1/2").compact == "1 1/2"
    assert undressed("x + 1").compact == "x+1"


@given(st.text(max_size=60))
def test_any_text_has_a_kind(text: str) -> None:
    assert gold_kind(text)


@given(st.text(st.characters(max_codepoint=127), max_size=60))
def test_ascii_shows_as_it_is(text: str) -> None:
    assert visible(text) == text
