"""95 % confidence intervals of a metric over tasks.

    Wilson:  (p + z²/2n ± z √(p(1 - p)/n + z²/4n²)) / (1 + z²/n),    z the normal quantile of 97.5 %

Not covered: comparing two models task by task, which is sharper than asking whether two intervals overlap
(eval/paired.py); and that a bootstrap over a handful of tasks is too narrow: read strata by their number of tasks.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
RESAMPLES = 2000
RESAMPLES_AT_ONCE = 200


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A mean over tasks with its 95 % interval."""

    mean: float
    low: float
    high: float
    count: int
    """Number of tasks that the mean is over."""


def estimate(values: Sequence[float], *, is_proportion: bool) -> Estimate | None:
    """The mean of one value in [0, 1] a task; None when there is no value.

    A proportion of 0/1 values gets Wilson's score interval (E. B. Wilson 1927), which stays honest near 0 and 1;
    anything else a BCa bootstrap interval (B. Efron 1987, fixed seed). Values without any spread, a single one above
    all, tell the bootstrap nothing: they get Wilson's interval too, which is wide enough for any values in [0, 1] since
    none spread more around their mean than 0/1 values do.
    """
    if not values:
        return None
    mean, count = math.fsum(values) / len(values), len(values)
    interval = None if is_proportion else _bootstrap(values)
    low, high = interval or wilson(mean, count)
    return Estimate(mean=mean, low=min(low, mean), high=max(high, mean), count=count)


def are_separate(first: Estimate, second: Estimate) -> bool:
    """True when the two intervals do not overlap."""
    return first.high < second.low or second.high < first.low


def wilson(mean: float, count: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a proportion ``mean`` of ``count`` tasks."""
    z = float(stats.norm.ppf(0.5 + CONFIDENCE / 2))
    centre = mean + z * z / (2 * count)
    margin = z * math.sqrt(mean * (1 - mean) / count + z * z / (4 * count * count))
    scale = 1 + z * z / count
    return max(0.0, (centre - margin) / scale), min(1.0, (centre + margin) / scale)


def _bootstrap(values: Sequence[float]) -> tuple[float, float] | None:
    """The BCa interval of the mean; None when the values spread too little to have one."""
    if max(values) - min(values) < 1e-9:
        return None
    interval = stats.bootstrap(
        (np.asarray(values, dtype=float),),
        np.mean,
        confidence_level=CONFIDENCE,
        n_resamples=RESAMPLES,
        batch=RESAMPLES_AT_ONCE,  # or else thousands of tasks cost gigabytes
        random_state=0,
    ).confidence_interval
    low, high = float(interval.low), float(interval.high)
    return (low, high) if math.isfinite(low) and math.isfinite(high) else None
