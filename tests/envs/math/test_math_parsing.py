"""The answer is the last box near the end of the text that the layout points to."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.math.parsing import parse


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"So \boxed{18}.", "18"),
        (r"\boxed{3} no, \boxed{5}", "5"),
        (r"\boxed{3}\boxed{5}", "5"),
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed{ \boxed{7} }", "7"),
        (r"\boxed{3 \boxed{5}}", r"3 \boxed{5}"),
        (r"\boxed{5} and \boxed{3 \boxed{5}} ", r"3 \boxed{5}"),
        (r"\boxed {7}", "7"),
        (r"`\boxed{7}`", "7"),
        ("```\n\\boxed{7}\n```", "7"),
        (r"\verb|\boxed{7}|", "7"),
        (r"% \boxed{7}", "7"),
        (r"I write \boxed{ so: \boxed{7}", "7"),
        (r"\renewcommand{\boxed}[1]{5} \boxed{3}", "3"),
        (r"\def\boxed#1{5} \boxed{3}", "3"),
        (r"\boxed{5} \boxedtext{6}", "5"),
    ],
)
def test_an_answer_is_found(text: str, answer: str) -> None:
    assert parse(text).answer == answer
    assert parse(text).error is None


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (None, "no answer"),
        ("", "no answer"),
        ("  \n", "no answer"),
        ("The answer is 5.", "no box"),
        (r"\boxed{5", "no box"),
        (r"\boxed{5} or \boxed{6", "no box"),
        (r"\boxed{5} \boxed{}", "no box"),
        (r"\boxed 5", "no box"),
        (r"\boxed{3} \renewcommand{\boxed}[1]{5}", "no box"),
        (r"\boxed{5}" + "x" * 600, "no box"),
        (r"\boxed{" + "1" * 201 + "}", "too long"),
        (r"\boxed{" + "{" * 3_000 + "}" * 3_000 + "}", "no box"),
    ],
)
def test_what_is_no_answer_has_its_category(text: str | None, error: str) -> None:
    assert parse(text).error == error
    assert parse(text).answer is None


def test_all_boxes_are_counted() -> None:
    assert [parse(text).boxes for text in ("5", r"\boxed{5}", r"\boxed{3}\boxed{\boxed{5}}")] == [0, 1, 3]


def test_text_without_a_box_counts_only_where_it_may() -> None:
    assert parse(" 5 ", may_lack_box=True).answer == "5"
    assert parse(r"4 \boxed{5}", may_lack_box=True).answer == "5"
    assert parse(r"5 \boxed{", may_lack_box=True).error == "no box"
    assert parse("5" * 201, may_lack_box=True).error == "too long"


def test_megabytes_are_read_at_once() -> None:
    started = time.perf_counter()
    for text in ("\\boxed{" * 200_000, "<think>" * 200_000, "{" * 2_000_000, "\\boxed" + " " * 2_000_000):
        assert parse(text).answer is None
    assert time.perf_counter() - started < 5


@given(st.text(max_size=30), st.text("0123456789+-x ", min_size=1).filter(str.strip))
def test_a_box_at_the_end_always_counts(before: str, content: str) -> None:
    assert parse(f"{before}.\\boxed{{{content}}}").answer == content.strip()


@given(st.text(" \n\t", max_size=2_000), st.integers(0, 480))
def test_white_space_at_the_end_moves_no_box_out_of_reach(space: str, between: int) -> None:
    assert parse(rf"\boxed{{5}}{'x' * between}{space}").answer == "5"
    assert parse(rf"\boxed{{5}}{'x' * 600}{space}").error == "no box"


@given(st.text("\\boxed{}<think>/ 5", max_size=60))
def test_no_text_raises(text: str) -> None:
    parsed = parse(text)
    assert (parsed.answer is None) == (parsed.error is not None)
