"""BIRD's metrics against outcomes of the official scripts of the mini-dev release."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.sql.metrics.bird_execution import is_bird_match, r_ves, r_ves_reward, soft_f1

Row = tuple[object, ...]
RESULTS = st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["a", None])), max_size=5)

# (gold, predicted, the official Soft-F1)
OFFICIAL_SOFT_F1: list[tuple[list[Row], list[Row], float]] = [
    ([], [], 1.0),
    ([(1,)], [], 0),
    ([], [(1,)], 0),
    ([(1, 2)], [(1, 2)], 1.0),
    ([(1, 2)], [(2, 1)], 1.0),
    ([(1, 3)], [(1, 2)], 0.5),
    ([(1, 2)], [(1,)], 0.6666666666666666),
    ([(1, 2)], [(1, 2, 3)], 0.8),
    ([(2,), (1,)], [(1,), (2,)], 0),
    ([(1,), (2,)], [(1,), (1,), (2,)], 1.0),
    ([(1,), (2,)], [(1,), (2,), (3,)], 0.8),
    ([(1,), (2,)], [(1,)], 0.6666666666666666),
    ([(1, 2)], [(1, 1)], 0.8),
    ([("a", 2), ("b", 2)], [("a", 1), ("b", 2)], 0.75),
]


@pytest.mark.parametrize(("gold", "predicted", "outcome"), OFFICIAL_SOFT_F1)
def test_soft_f1_is_the_official_one(gold: list[Row], predicted: list[Row], outcome: float) -> None:
    assert soft_f1(gold, predicted) == outcome


@given(RESULTS, RESULTS)
def test_soft_f1_lies_between_none_and_all_and_is_one_for_the_gold(gold: list[Row], predicted: list[Row]) -> None:
    assert 0 <= soft_f1(gold, predicted) <= 1
    assert soft_f1(gold, gold) == 1
    assert soft_f1(gold, [*gold, *gold]) == 1


@given(RESULTS)
def test_execution_accuracy_sees_neither_order_nor_duplicates_of_rows(gold: list[Row]) -> None:
    assert is_bird_match(gold, [*reversed(gold), *gold])


def test_execution_accuracy_sees_the_order_of_columns_and_missing_rows() -> None:
    assert is_bird_match([], [])
    assert is_bird_match([(1, 2)], [(1.0, 2)])
    assert not is_bird_match([(1, 2)], [(2, 1)])
    assert not is_bird_match([(1,), (2,)], [(1,)])
    assert not is_bird_match([(None,)], [])


def times(ratio: float) -> tuple[list[float], list[float]]:
    """Gold and predicted times of ten repetitions, one slightly noisy, whose ratio is about ``ratio``."""
    predicted = [0.001 * (1 + index / 100) for index in range(10)]
    return [seconds * ratio * (1.001 if index else 1.002) for index, seconds in enumerate(predicted)], predicted


@pytest.mark.parametrize(
    ("ratio", "reward"),
    [(9, 1.25), (2, 1.25), (1.9, 1), (1, 1), (0.9, 0.75), (0.5, 0.75), (0.4, 0.5), (0.25, 0.5), (0.2, 0.25), (0, 0)],
)
def test_the_reward_steps_with_the_ratio(ratio: float, reward: float) -> None:
    gold, predicted = times(ratio)
    assert r_ves_reward(gold, predicted, is_correct=True) == reward
    assert r_ves_reward(gold, predicted, is_correct=False) == 0


def test_an_outlier_does_not_count() -> None:
    gold, predicted = times(0.9)
    gold, predicted = gold * 3, predicted * 3
    assert r_ves_reward([*gold, 0.5], [*predicted, 0.001], is_correct=True) == 0.75


def test_identical_ratios_and_a_time_of_zero_earn_nothing_as_in_the_official_script() -> None:
    assert r_ves_reward([0.5], [0.25], is_correct=True) == 0
    assert r_ves_reward([0.5, 0.5], [0.25, 0.25], is_correct=True) == 0
    assert r_ves_reward([0.5, 0.4], [0.25, 0], is_correct=True) == 0
    assert r_ves_reward([], [], is_correct=True) == 0


def test_times_must_come_in_pairs() -> None:
    with pytest.raises(ValueError, match="2 gold times and 1 predicted"):
        r_ves_reward([1, 2], [1], is_correct=True)


def test_r_ves_is_the_mean_root_of_the_rewards_in_percent() -> None:
    assert r_ves([1, 0, 0.25, 1]) == 62.5
    assert r_ves([1.25]) == pytest.approx(100 * math.sqrt(1.25))
    with pytest.raises(ValueError, match="no rewards"):
        r_ves([])
