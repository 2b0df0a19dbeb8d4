"""The answer is the last box of the final part."""

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
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed{ \boxed{7} }", "7"),
        (r"\boxed {7}", "7"),
        (r"<think>\boxed{3}</think> \boxed{5}", "5"),
        (r"text</think>\boxed{5}", "5"),
    ],
)
def test_an_answer_is_found(text: str, answer: str) -> None:
    assert parse(text).answer == answer
    assert parse(text).error is None


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "no answer"),
        ("  \n", "no answer"),
        (r"<think>\boxed{5}</think>", "no answer"),
        (r"<think>\boxed{5}", "no answer"),
        ("The answer is 5.", "no box"),
        (r"\boxed{5", "no box"),
        (r"\boxed{5} or \boxed{6", "no box"),
        (r"\boxed{}", "no box"),
        (r"\boxed 5", "no box"),
        (r"\boxed{5}" + "x" * 600, "no box"),
        (r"\boxed{" + "1" * 201 + "}", "too long"),
        (r"\boxed{" + "{" * 3_000 + "}" * 3_000 + "}", "no box"),
    ],
)
def test_what_is_no_answer_has_its_category(text: str, error: str) -> None:
    assert parse(text).error == error
    assert parse(text).answer is None


def test_megabytes_are_read_at_once() -> None:
    started = time.perf_counter()
    for text in ("\\boxed{" * 200_000, "<think>" * 200_000, "{" * 2_000_000, "</think>" * 200_000):
        assert parse(text).answer is None
    assert time.perf_counter() - started < 1


@given(st.text(max_size=30), st.text("0123456789+-x ", min_size=1).filter(str.strip))
def test_a_box_at_the_end_always_counts(before: str, content: str) -> None:
    assert parse(f"{before}</think>\\boxed{{{content}}}").answer == content.strip()


@given(st.text("\\boxed{}<think>/ 5", max_size=60))
def test_no_text_raises(text: str) -> None:
    assert (parse(text).answer is None) == (parse(text).error is not None)
