"""BIRD's metrics on results and times (Li et al. 2023, with the mini-dev release's Soft-F1 and R-VES).

A prediction that fails to run or runs out of time scores 0 in all three; running it is the caller's. Columns are
compared in their order. Not covered: VES, the ratio without steps of the first release.
"""

import math
from collections.abc import Sequence

from envs.sql.comparison import Rows

REWARD_STEPS = ((2.0, 1.25), (1.0, 1.0), (0.5, 0.75), (0.25, 0.5))
"""(least ratio of gold time to predicted time, reward), fastest first."""
BEST_REWARD = REWARD_STEPS[0][1]
SLOWEST_REWARD = 0.25
OUTLIER_DEVIATIONS = 3
"""Ratios this many standard deviations from the mean, or more, are left out."""


def is_bird_match(gold: Rows, predicted: Rows) -> bool:
    """BIRD's execution accuracy (EX) of one pair: the same set of rows; duplicates and order do not count."""
    return set(gold) == set(predicted)


def soft_f1(gold: Rows, predicted: Rows) -> float:
    """BIRD's Soft-F1 of one pair, from 0 to 1.

    Without their duplicates the i-th rows of both results are compared, value by value and wherever in the row a value
    stands. With n columns in the gold, a pair of rows adds (predicted values that the gold's row has) / n to the true
    positives, the other predicted values / n to the false positives, and the gold's values that the predicted row lacks
    / n to the false negatives; a row without a partner adds 1. Two empty results score 1.
    """
    if not gold and not predicted:
        return 1.0
    gold_rows, predicted_rows = list(dict.fromkeys(gold)), list(dict.fromkeys(predicted))
    true_positives: list[float] = []
    false_positives: list[float] = []
    false_negatives: list[float] = []
    for gold_row, predicted_row in zip(gold_rows, predicted_rows, strict=False):
        matches = sum(value in gold_row for value in predicted_row)
        missing = sum(value not in predicted_row for value in gold_row)
        true_positives.append(matches / len(gold_row))
        false_positives.append((len(predicted_row) - matches) / len(gold_row))
        false_negatives.append(missing / len(gold_row))
    # One by one, as in the official sums, so that floats round alike.
    false_positives += [1.0] * (len(predicted_rows) - len(gold_rows))
    false_negatives += [1.0] * (len(gold_rows) - len(predicted_rows))
    true_positive, false_positive, false_negative = map(sum, (true_positives, false_positives, false_negatives))
    if true_positive == 0:
        return 0.0
    precision = true_positive / (true_positive + false_positive)
    recall = true_positive / (true_positive + false_negative)
    return 2 * precision * recall / (precision + recall)


def r_ves_reward(gold_seconds: Sequence[float], predicted_seconds: Sequence[float], *, is_correct: bool) -> float:
    """The reward of one pair for R-VES: 0 when it is wrong, else 0.25 to 1.25 by how fast it is.

    The ratios gold / predicted of the repetitions are averaged without outliers, and the average looked up in
    ``REWARD_STEPS``. Official: the reward is also 0 when no ratio is left, which happens when all are the same number
    (with one repetition always), and when a predicted time is 0.

    Args:
        gold_seconds, predicted_seconds: times of the repetitions, taken in turn; 100 each in the official script.
        is_correct: ``is_bird_match`` of their results.

    Raises:
        ValueError: not as many times of one as of the other.
    """
    if len(gold_seconds) != len(predicted_seconds):
        raise ValueError(f"{len(gold_seconds)} gold times and {len(predicted_seconds)} predicted times; expected pairs")
    if not is_correct or not gold_seconds or 0 in predicted_seconds:
        return 0.0
    ratios = _without_outliers(
        [gold / predicted for gold, predicted in zip(gold_seconds, predicted_seconds, strict=True)]
    )
    ratio = sum(ratios) / len(ratios) if ratios else 0
    if ratio == 0:
        return 0.0
    return next((reward for least, reward in REWARD_STEPS if ratio >= least), SLOWEST_REWARD)


def _without_outliers(ratios: Sequence[float]) -> list[float]:
    # numpy as in the official script: its order of summation decides about ratios that differ in the last digit only.
    import numpy

    mean, deviation = numpy.mean(ratios), numpy.std(ratios)
    low, high = mean - OUTLIER_DEVIATIONS * deviation, mean + OUTLIER_DEVIATIONS * deviation
    return [ratio for ratio in ratios if low < ratio < high]


def r_ves(rewards: Sequence[float]) -> float:
    """R-VES of a data set, from 0 to 112: the mean of 100 * sqrt(reward).

    Raises:
        ValueError: there are no rewards.
    """
    if not rewards:
        raise ValueError("R-VES of no rewards; expected at least one")
    return sum(math.sqrt(reward) * 100 for reward in rewards) / len(rewards)
