"""Importance weights as logarithms: nothing is lost to their size, and resampling is unbiased."""

import math
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decoding.aligned.weights import choose, effective_sample_size, log_mean, normalised, systematic_counts

LOG_WEIGHTS = st.lists(st.floats(-2000, 0) | st.just(-math.inf), min_size=1, max_size=12)


@given(log_weights=LOG_WEIGHTS, seed=st.integers(0, 99))
def test_counts_sum_to_the_number_of_particles_and_are_within_one_of_their_share(
    log_weights: list[float], seed: int
) -> None:
    counts = systematic_counts(log_weights, Random(seed))
    shares = normalised(log_weights) * len(log_weights)
    assert sum(counts) == len(log_weights)
    assert np.all(np.abs(np.array(counts) - shares) < 1 + 1e-9)


def test_counts_and_choices_are_unbiased() -> None:
    log_weights = [math.log(weight) - 900 for weight in (0.05, 0.4, 0.15, 0.3, 0.1)]
    random = Random(0)
    draws = 4000
    counts = np.mean([systematic_counts(log_weights, random) for _ in range(draws)], axis=0)
    assert counts == pytest.approx(5 * normalised(log_weights), abs=0.05)
    chosen = np.bincount([choose(log_weights, random) for _ in range(draws)], minlength=5) / draws
    assert chosen == pytest.approx(normalised(log_weights), abs=0.03)


@settings(deadline=None)
@given(log_weights=LOG_WEIGHTS, shift=st.floats(-5000, 5000))
def test_a_common_factor_moves_the_evidence_alone(log_weights: list[float], shift: float) -> None:
    moved = [value + shift for value in log_weights]
    assert normalised(moved) == pytest.approx(normalised(log_weights), abs=1e-9)
    if max(log_weights) > -math.inf:
        assert log_mean(moved) == pytest.approx(log_mean(log_weights) + shift, abs=1e-8)
        assert 1 - 1e-9 <= effective_sample_size(log_weights) <= len(log_weights) + 1e-9
    else:
        assert log_mean(moved) == -math.inf and effective_sample_size(moved) == 0
