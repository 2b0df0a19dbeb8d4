"""Intervals: Wilson's against published and scipy's values, the bootstrap's properties, and no false certainty."""

import random
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from eval.intervals import Estimate, are_separate, estimate


def known(values: list[float], *, is_proportion: bool) -> Estimate:
    """The estimate of values that there are."""
    made = estimate(values, is_proportion=is_proportion)
    assert made is not None
    return made


def rate(successes: int, count: int) -> Estimate:
    """The estimate of a proportion."""
    return known([1.0] * successes + [0.0] * (count - successes), is_proportion=True)


@pytest.mark.parametrize(
    ("successes", "count", "low", "high"),
    [
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (1, 1, 0.2065, 1.0),
        # R. G. Newcombe, Statistics in Medicine 17 (1998), table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_a_rate_gets_wilsons_interval(successes: int, count: int, low: float, high: float) -> None:
    made = rate(successes, count)
    assert made.mean == successes / count and made.count == count
    assert (made.low, made.high) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 400).flatmap(lambda count: st.tuples(st.integers(0, count), st.just(count))))
def test_wilsons_interval_is_scipys(counts: tuple[int, int]) -> None:
    expected = stats.binomtest(*counts).proportion_ci(0.95, method="wilson")
    made = rate(*counts)
    assert (made.low, made.high) == pytest.approx((expected.low, expected.high), abs=1e-12)


fractions = st.sampled_from([0.0, 0.3, 0.5, 1.0]) | st.floats(0, 1)


@settings(max_examples=60, deadline=None)
@given(st.lists(fractions, min_size=1, max_size=40))
def test_an_interval_holds_its_mean_and_stays_between_0_and_1(values: list[float]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # scipy warns where a bootstrap has degenerated
        made = known(values, is_proportion=False)
    assert 0.0 <= made.low <= made.mean <= made.high <= 1.0
    assert made.mean == pytest.approx(sum(values) / len(values))
    assert made.count == len(values)


def test_the_bootstrap_gives_the_same_interval_every_time() -> None:
    values = [random.Random(0).random() for _ in range(50)]
    assert known(values, is_proportion=False) == known(list(values), is_proportion=False)


def test_the_bootstraps_interval_is_about_that_of_the_normal_distribution_when_there_are_many_values() -> None:
    draw = random.Random(1)
    values = [draw.random() for _ in range(2000)]
    made = known(values, is_proportion=False)
    margin = 1.96 * (1 / 12 / 2000) ** 0.5
    assert (made.low, made.high) == pytest.approx((made.mean - margin, made.mean + margin), abs=0.003)


@pytest.mark.parametrize("values", [[0.5], [1.0] * 3, [0.0] * 5, [0.1 + 0.2, 0.3, 0.3]])
def test_values_without_spread_are_not_taken_for_certainty(values: list[float]) -> None:
    made = known(values, is_proportion=False)
    assert made.high - made.low > 0.3


def test_no_value_has_no_estimate() -> None:
    assert estimate([], is_proportion=True) is None
    assert estimate([], is_proportion=False) is None


def test_intervals_are_separate_when_no_point_is_in_both() -> None:
    low, high = rate(2, 64), rate(50, 64)
    assert are_separate(low, high) and are_separate(high, low)
    assert not are_separate(rate(30, 64), rate(34, 64))
    first = Estimate(mean=0.2, low=0.1, high=0.3, count=5)
    assert not are_separate(first, Estimate(mean=0.4, low=0.3, high=0.5, count=5))
    assert are_separate(first, Estimate(mean=0.4, low=0.31, high=0.5, count=5))
