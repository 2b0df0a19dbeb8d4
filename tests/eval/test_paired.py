"""Paired comparisons: published examples, scipy's values, and what must hold whatever the values are."""

import math
import warnings
from itertools import pairwise

import numpy as np
import pytest
from evaluations import record
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from scipy import stats

from eval.paired import Agreement, compare, holm, mcnemar, mean_interval, newcombe, sign_flip, values_by_task


def agreement(both: int, first_only: int, second_only: int, neither: int) -> Agreement:
    """Four counts."""
    return Agreement(both=both, first_only=first_only, second_only=second_only, neither=neither)


def values(*counts: int) -> tuple[dict[str, list[float | None]], dict[str, list[float | None]]]:
    """Tasks that agree as ``agreement`` says."""
    pairs = [pair for pair, count in zip([(1, 1), (1, 0), (0, 1), (0, 0)], counts, strict=True) for _ in range(count)]
    first: dict[str, list[float | None]] = {str(place): [float(early)] for place, (early, _) in enumerate(pairs)}
    return first, {str(place): [float(late)] for place, (_, late) in enumerate(pairs)}


@pytest.mark.parametrize(
    ("counts", "low", "high"),
    [
        # R. G. Newcombe, Statistics in Medicine 17 (1998) 2635, method 10 (there the first minus the second).
        ((36, 12, 2, 0), 0.0569, 0.3404),
        ((18, 12, 2, 18), 0.0562, 0.3290),
        ((53, 0, 0, 1), -0.0729, 0.0729),
        ((0, 30, 0, 0), 0.8395, 1.0),
        # M. Cavo et al. 2012 in Fagerland, Lydersen and Laake, Statistical Analysis of Contingency Tables, chapter 8.
        ((59, 6, 16, 80), -0.1186, -0.0046),
    ],
)
def test_newcombes_interval_is_the_published_one(counts: tuple[int, int, int, int], low: float, high: float) -> None:
    both, first_only, second_only, neither = counts
    assert newcombe(agreement(both, second_only, first_only, neither)) == pytest.approx((low, high), abs=1e-4)
    assert newcombe(agreement(*counts)) == pytest.approx((-high, -low), abs=1e-4)


@pytest.mark.parametrize(
    ("counts", "p_value"),
    [
        ((1, 1, 7, 12), 0.0703),  # L. Bentur et al. 2009, in the same book
        ((59, 6, 16, 80), 0.0525),  # M. Cavo et al. 2012
        ((3, 0, 0, 4), 1.0),
        ((0, 5, 5, 0), 1.0),
    ],
)
def test_mcnemars_test_is_the_published_one(counts: tuple[int, int, int, int], p_value: float) -> None:
    assert mcnemar(agreement(*counts)) == pytest.approx(p_value, abs=5e-5)


counted = st.tuples(*[st.integers(0, 60)] * 4).filter(any)


@given(counted)
@example((0, 0, 0, 1))
@example((1, 0, 0, 0))
def test_binary_values_are_compared_by_mcnemar(counts: tuple[int, int, int, int]) -> None:
    found = compare(*values(*counts))
    assert found is not None and found.test == "McNemar" and found.agreement == agreement(*counts)
    both, first_only, second_only, _ = counts
    count = sum(counts)
    assert found.tasks == count and found.unjudged == 0
    assert found.difference == pytest.approx((second_only - first_only) / count)
    assert (found.first, found.second) == pytest.approx(((both + first_only) / count, (both + second_only) / count))
    assert -1 <= found.low <= found.difference <= found.high <= 1 and 0 <= found.p_value <= 1
    assert found.low < found.high


@given(counted)
def test_a_comparison_the_other_way_round_is_the_same_with_its_sign_reversed(counts: tuple[int, int, int, int]) -> None:
    first, second = values(*counts)
    one, other = compare(first, second), compare(second, first)
    assert one is not None and other is not None
    assert one.p_value == pytest.approx(other.p_value)
    assert (one.low, one.high, one.difference) == pytest.approx((-other.high, -other.low, -other.difference))


shares = st.sampled_from([0.0, 0.25, 0.5, 1.0]) | st.floats(0, 1)
judged_pairs = st.lists(st.tuples(shares, shares), min_size=1, max_size=12)


@settings(max_examples=40, deadline=None)
@given(judged_pairs)
def test_other_values_are_compared_by_their_mean_difference(pairs: list[tuple[float, float]]) -> None:
    # Two values a task, so that 0 and 1 are no exception.
    first = {str(place): [early, early] for place, (early, _) in enumerate(pairs)}
    second = {str(place): [late] for place, (_, late) in enumerate(pairs)}
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # scipy warns where a bootstrap has degenerated
        found = compare(first, second)
    assert found is not None and found.test == "sign-flip permutation" and found.agreement is None
    assert found.difference == pytest.approx(sum(late - early for early, late in pairs) / len(pairs))
    assert -1 - 1e-9 <= found.low <= found.difference <= found.high <= 1 + 1e-9
    assert 0 < found.p_value <= 1 and found.low < found.high


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(-4, 4).map(lambda eighths: eighths / 8), min_size=2, max_size=9))
def test_few_differences_are_reversed_in_every_way_as_scipy_does(differences: list[float]) -> None:
    assume(any(differences))
    expected = stats.permutation_test(
        (np.asarray(differences),), np.mean, permutation_type="samples", n_resamples=np.inf
    )
    assert sign_flip(differences) == pytest.approx(expected.pvalue)


def test_many_differences_are_reversed_at_random_and_the_same_way_every_time() -> None:
    draw = np.random.default_rng(0)
    differences = list(draw.normal(0.05, 0.4, 300))
    exact = stats.ttest_1samp(differences, 0).pvalue
    assert sign_flip(differences) == sign_flip(list(differences)) == pytest.approx(exact, abs=0.01)
    assert sign_flip([0.2] * 300) == pytest.approx(1 / 10_000)  # never 0: the observed one is one of them


def test_differences_without_spread_are_not_taken_for_certainty() -> None:
    low, high = mean_interval([0.0] * 100)
    assert -low == high == pytest.approx(stats.binomtest(0, 100).proportion_ci(0.95, method="wilson").high)
    low, high = mean_interval([0.5])
    assert low < 0 and high == pytest.approx(0.5 * (1 - 0.7935) + 0.7935, abs=1e-4)


def test_unjudged_pairs_are_left_out_and_counted_and_lone_tasks_are_no_pairs() -> None:
    first: dict[str, list[float | None]] = {"a": [1.0], "b": [None], "c": [0.0], "d": [1.0], "only first": [1.0]}
    second: dict[str, list[float | None]] = {"a": [0.0], "b": [1.0], "c": [0.0], "d": [None], "only second": [0.0]}
    found = compare(first, second)
    assert found is not None
    assert (found.tasks, found.unjudged, found.agreement) == (2, 2, agreement(0, 1, 0, 1))
    assert compare({"a": [None]}, {"a": [1.0]}) is None
    assert compare({"a": [1.0]}, {"b": [1.0]}) is None


def test_several_samples_of_a_task_are_one_value_their_mean_and_never_mcnemars() -> None:
    found = compare({"a": [1.0, 0.0], "b": [None, 1.0]}, {"a": [1.0, 1.0], "b": [1.0, 1.0]})
    assert found is not None and found.test == "sign-flip permutation"
    assert (found.tasks, found.first, found.second) == (2, 0.75, 1.0)


def test_values_are_gathered_by_task() -> None:
    answers = [record(task="b"), record(task="a", metrics={"valid": None}), record(task="b", metrics={"other": 1.0})]
    assert values_by_task(answers, "valid") == {"b": [1.0], "a": [None]}


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holms_correction_keeps_the_order_and_never_lowers(p_values: list[float]) -> None:
    corrected = holm(p_values)
    for before, after in zip(p_values, corrected, strict=True):
        assert before <= after <= min(1.0, len(p_values) * before + 1e-12)
    ranked = sorted(range(len(p_values)), key=p_values.__getitem__)
    assert all(corrected[one] <= corrected[other] for one, other in pairwise(ranked))


def test_holms_correction_of_an_example() -> None:
    # S. Holm's procedure on 0.01, 0.04, 0.03, 0.005: times 3, 1, 2, 4 by rank, and never below an earlier one.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert math.isclose(holm([0.5])[0], 0.5)
