"""Compares two decodings, or two models, task by task.

What both get right or wrong says nothing about which is better, and leaving it out makes a comparison sharper than two
intervals beside each other. Which test is used is decided by the values and told in the result:

    one value of 0 or 1 a task  McNemar's exact test (Q. McNemar 1947), 2 P(X <= min(b, c)) for X ~ Binomial(b + c, 1/2)
                                over the b and c tasks that only one got right, and R. G. Newcombe's interval of the
                                difference (Statistics in Medicine 17 (1998) 2635, method 10: Wilson's intervals of both
                                rates, combined with their correlation)
    anything else               the tasks' mean differences: a sign-flip permutation test (R. A. Fisher 1935; exact
                                where at most 13 tasks differ) and a BCa bootstrap interval (B. Efron 1987, fixed seed)

Not covered: several metrics at once (``holm`` corrects p-values of one family), and whether the tasks are independent:
questions to one database are less so than these tests assume.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from eval.intervals import CONFIDENCE, RESAMPLES, RESAMPLES_AT_ONCE, wilson

PERMUTATIONS = 9999


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How many tasks each of two got right."""

    both: int
    first_only: int
    second_only: int
    neither: int


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The second against the first on the tasks that both were judged on."""

    test: Literal["McNemar", "sign-flip permutation"]
    tasks: int
    """Tasks that were compared."""
    unjudged: int
    """Shared tasks that were left out, since one or both have no judged answer."""
    first: float
    """Mean over the compared tasks."""
    second: float
    difference: float
    """second - first."""
    low: float
    """Of the 95 % interval of the difference."""
    high: float
    p_value: float
    """Two-sided, of there being no difference."""
    agreement: Agreement | None
    """None where values are other than one 0 or 1 a task."""


class Measured(Protocol):
    """A measured answer, of which a record is one."""

    @property
    def task(self) -> str: ...

    @property
    def metrics(self) -> Mapping[str, float | None]: ...


Values = Mapping[str, Sequence[float | None]]
"""Task -> the values of its answers, each in [0, 1], None for one that could not be judged."""


def values_by_task(answers: Iterable[Measured], metric: str) -> dict[str, list[float | None]]:
    """What a metric says of each task's answers; answers that were not measured by it are left out."""
    values: dict[str, list[float | None]] = {}
    for answer in answers:
        if metric in answer.metrics:
            values.setdefault(answer.task, []).append(answer.metrics[metric])
    return values


def compare(first: Values, second: Values) -> Comparison | None:
    """Compares two measurements of one metric on their shared tasks; None when no shared task was judged in both."""
    shared = [task for task in first if task in second]
    judged = {task: (_judged(first[task]), _judged(second[task])) for task in shared}
    pairs = {task: pair for task, pair in judged.items() if all(pair)}
    if not pairs:
        return None
    before = [math.fsum(values) / len(values) for values, _ in pairs.values()]
    after = [math.fsum(values) / len(values) for _, values in pairs.values()]
    is_single = all(len(first[task]) == len(second[task]) == 1 for task in pairs)
    is_binary = is_single and all(value in (0.0, 1.0) for value in [*before, *after])
    agreement = _agreement(before, after) if is_binary else None
    differences = [late - early for early, late in zip(before, after, strict=True)]
    difference = math.fsum(differences) / len(differences)
    low, high = newcombe(agreement) if agreement else mean_interval(differences)
    return Comparison(
        test="McNemar" if agreement else "sign-flip permutation",
        tasks=len(pairs),
        unjudged=len(shared) - len(pairs),
        first=math.fsum(before) / len(before),
        second=math.fsum(after) / len(after),
        difference=difference,
        low=min(low, difference),
        high=max(high, difference),
        p_value=mcnemar(agreement) if agreement else sign_flip(differences),
        agreement=agreement,
    )


def mcnemar(agreement: Agreement) -> float:
    """The two-sided p-value of McNemar's exact test; 1 where no task tells the two apart."""
    discordant = agreement.first_only + agreement.second_only
    return float(stats.binomtest(agreement.first_only, discordant).pvalue) if discordant else 1.0


def newcombe(agreement: Agreement) -> tuple[float, float]:
    """The 95 % interval of the second rate minus the first.

        low = d - sqrt((p2 - l2)² - 2 φ (p2 - l2)(u1 - p1) + (u1 - p1)²),   high likewise,

    with Wilson's (l, u) of each rate and their correlation φ, which a continuity correction draws towards 0 when it is
    positive.
    """
    both, first_only, second_only, neither = (
        agreement.both,
        agreement.first_only,
        agreement.second_only,
        agreement.neither,
    )
    count = both + first_only + second_only + neither
    first, second = (both + first_only) / count, (both + second_only) / count
    low_first, high_first = wilson(first, count)
    low_second, high_second = wilson(second, count)
    margins = (both + first_only) * (neither + second_only) * (both + second_only) * (neither + first_only)
    excess = float(both * neither - first_only * second_only)
    excess = max(excess - count / 2, 0.0) if excess > 0 else excess
    correlation = excess / math.sqrt(margins) if margins else 0.0

    def distance(up: float, down: float) -> float:
        return math.sqrt(max(0.0, up * up - 2 * correlation * up * down + down * down))

    difference = second - first
    low = difference - distance(second - low_second, high_first - first)
    high = difference + distance(high_second - second, first - low_first)
    return max(-1.0, low), min(1.0, high)


def sign_flip(differences: Sequence[float]) -> float:
    """The p-value of a mean of differences: how often as large a one arises when each is as likely to be reversed.

    All reversals are counted where there are at most ``PERMUTATIONS``, else as many are drawn (fixed seed), and the
    observed one counts as one of them. ``scipy.stats.permutation_test`` gives the same, in twenty times the time.
    """
    sizes = np.asarray([abs(difference) for difference in differences if difference])
    if not len(sizes):
        return 1.0
    least = abs(math.fsum(differences)) - 1e-9 * sizes.sum()  # sums that are equal but for rounding count as equal
    if 2 ** len(sizes) <= PERMUTATIONS:
        numbers = np.arange(2 ** len(sizes))[:, None]
        return float(np.mean(_reach(numbers >> np.arange(len(sizes)) & 1, sizes, least)))
    generator = np.random.default_rng(0)
    counts = [
        _reach(generator.integers(0, 2, (rows, len(sizes)), dtype=np.int8), sizes, least).sum()
        for rows in (min(1000, PERMUTATIONS - start) for start in range(0, PERMUTATIONS, 1000))
    ]
    return float((sum(counts) + 1) / (PERMUTATIONS + 1))


def _reach(bits: NDArray[np.integer], sizes: NDArray[np.float64], least: float) -> NDArray[np.bool_]:
    """Row by row, whether the sum of ``sizes``, positive where a bit is set, is as far from 0 as ``least``."""
    return np.abs((2.0 * bits - 1.0) @ sizes) >= least


def mean_interval(differences: Sequence[float]) -> tuple[float, float]:
    """The 95 % interval of the mean of differences, each in [-1, 1].

    Differences without any spread tell the bootstrap nothing. Then at most a share u of all tasks differs from what was
    seen, where u is Wilson's upper limit of 0 out of n, and those by as much as possible: (1 - u) d ± u (ours).
    """
    if max(differences) - min(differences) >= 1e-9:
        interval = stats.bootstrap(
            (np.asarray(differences, dtype=float),),
            np.mean,
            confidence_level=CONFIDENCE,
            n_resamples=RESAMPLES,
            batch=RESAMPLES_AT_ONCE,
            random_state=0,
        ).confidence_interval
        if math.isfinite(interval.low) and math.isfinite(interval.high):
            return float(interval.low), float(interval.high)
    _, unseen = wilson(0.0, len(differences))
    middle = (1 - unseen) * math.fsum(differences) / len(differences)
    return middle - unseen, middle + unseen


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values of one family of comparisons, corrected for their number (S. Holm 1979)."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    corrected, highest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = highest
    return corrected


def _judged(values: Sequence[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _agreement(first: Sequence[float], second: Sequence[float]) -> Agreement:
    counts = {(early, late): 0 for early in (0.0, 1.0) for late in (0.0, 1.0)}
    for pair in zip(first, second, strict=True):
        counts[pair] += 1
    return Agreement(
        both=counts[1.0, 1.0], first_only=counts[1.0, 0.0], second_only=counts[0.0, 1.0], neither=counts[0.0, 0.0]
    )
