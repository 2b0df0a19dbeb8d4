"""95 % confidence intervals of a metric over tasks; scipy does the statistics."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

CONFIDENCE = 0.95


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A mean over tasks with its 95 % interval."""

    mean: float
    low: float
    high: float
    count: int
    """Number of tasks that the mean is over."""


def estimate(values: Sequence[float], *, is_proportion: bool) -> Estimate | None:
    """The mean of one value a task; None when there is no value.

    A proportion of 0/1 values gets Wilson's score interval (E. B. Wilson 1927), which stays honest near 0 and 1;
    anything else a BCa bootstrap interval (B. Efron 1987, 2,000 resamples, fixed seed).
    """
    if not values:
        return None
    mean, count = float(np.mean(values)), len(values)
    if is_proportion:
        interval = stats.binomtest(round(sum(values)), count).proportion_ci(CONFIDENCE, method="wilson")
        return Estimate(mean=mean, low=float(interval.low), high=float(interval.high), count=count)
    if len(set(values)) == 1:
        # Without any spread the bootstrap is degenerate.
        return Estimate(mean=mean, low=mean, high=mean, count=count)
    resampled = stats.bootstrap(
        (np.asarray(values),), np.mean, confidence_level=CONFIDENCE, n_resamples=2000, random_state=0
    ).confidence_interval
    return Estimate(mean=mean, low=float(resampled.low), high=float(resampled.high), count=count)


def are_separate(first: Estimate, second: Estimate) -> bool:
    """True when the two intervals do not overlap."""
    return first.high < second.low or second.high < first.low
