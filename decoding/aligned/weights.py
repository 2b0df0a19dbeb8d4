"""Importance weights, kept as logarithms."""

import math
from collections.abc import Sequence
from random import Random

import numpy as np


def log_mean(log_weights: Sequence[float]) -> float:
    """log of the mean weight: of an unbiased estimate of the evidence, where the weights are proper; -inf for none."""
    if not len(log_weights):
        return -math.inf
    values = np.asarray(log_weights, dtype=np.float64)
    largest = values.max()
    if largest == -math.inf:
        return -math.inf
    return float(largest + math.log(np.exp(values - largest).mean()))


def normalised(log_weights: Sequence[float]) -> np.ndarray:
    """(K,) weights that sum to one; equal ones where all are 0."""
    values = np.asarray(log_weights, dtype=np.float64)
    largest = values.max()
    if largest == -math.inf:
        return np.full(len(values), 1 / len(values))
    weights = np.exp(values - largest)
    return weights / weights.sum()


def effective_sample_size(log_weights: Sequence[float]) -> float:
    """(sum w)^2 / sum w^2 (Kong 1992), from 1 to K; 0 where all weights are 0."""
    if max(log_weights) == -math.inf:
        return 0.0
    return float(1 / np.square(normalised(log_weights)).sum())


def choose(log_weights: Sequence[float], random: Random) -> int:
    """One index, drawn with probability proportional to its weight."""
    cumulative = normalised(log_weights).cumsum()
    drawn = int(np.searchsorted(cumulative, random.random() * cumulative[-1], side="right"))
    return min(drawn, len(cumulative) - 1)


def systematic_counts(log_weights: Sequence[float], random: Random) -> list[int]:
    """How often each of K particles survives; sums to K.

    Systematic resampling (Carpenter et al. 1999): K evenly spaced points with one random offset, laid over the
    cumulative weights. The expected count of a particle is K times its normalised weight, and no count is further than
    one from it.
    """
    weights = normalised(log_weights)
    count = len(weights)
    points = (random.random() + np.arange(count)) / count
    cumulative = weights.cumsum() / weights.sum()
    drawn = np.searchsorted(cumulative, points, side="right").clip(max=count - 1)
    return np.bincount(drawn, minlength=count).tolist()
