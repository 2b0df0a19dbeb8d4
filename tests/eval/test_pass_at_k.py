"""pass@k against its definition: every way to draw k of the samples, counted."""

from itertools import combinations

import pytest
from evaluations import record
from hypothesis import given
from hypothesis import strategies as st

from eval.pass_at_k import pass_at_k, pass_probability

samples = st.lists(st.booleans(), min_size=1, max_size=8)


@given(samples.flatmap(lambda answers: st.tuples(st.just(answers), st.integers(1, len(answers)))))
def test_pass_at_k_is_the_share_of_draws_that_hold_a_right_answer(drawn: tuple[list[bool], int]) -> None:
    answers, k = drawn
    draws = [any(draw) for draw in combinations(answers, k)]
    assert pass_probability(len(answers), sum(answers), k) == pytest.approx(sum(draws) / len(draws))


@pytest.mark.parametrize(("most", "right", "k"), [(4, 1, 5), (4, 1, 0), (4, 5, 1), (4, -1, 1)])
def test_more_than_there_is_cannot_be_drawn(most: int, right: int, k: int) -> None:
    with pytest.raises(ValueError, match=f"pass@{k} of {right} right ones among {most}"):
        pass_probability(most, right, k)


def test_hundreds_of_samples_neither_overflow_nor_round_to_nothing() -> None:
    assert pass_probability(5000, 1, 1) == pytest.approx(1 / 5000)
    assert pass_probability(5000, 2500, 2500) == 1


@pytest.mark.parametrize(
    ("most", "ks"), [(1, []), (2, [1, 2]), (3, [1, 2, 3]), (8, [1, 2, 4, 8]), (10, [1, 2, 4, 8, 10])]
)
def test_k_doubles_up_to_the_number_of_samples(most: int, ks: list[int]) -> None:
    found = pass_at_k([record(sample=sample, metrics={"valid": 1.0}) for sample in range(most)])
    assert list(found.get("valid", {})) == ks


def test_nothing_judged_is_no_pass_at_k() -> None:
    assert pass_at_k([record(sample=sample, metrics={"valid": None}) for sample in range(2)]) == {}
    assert pass_at_k([]) == {}
