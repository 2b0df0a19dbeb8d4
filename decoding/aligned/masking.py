"""A distribution over the next token and what a matcher allows of it, as NumPy arrays on the CPU."""

import math

import numpy as np
import torch
from torch import Tensor

from decoding.grammars.mask_words import allowed_bits
from decoding.grammars.matcher import Matcher


def masked_log_p(log_p: Tensor, matcher: Matcher | None) -> tuple[np.ndarray, np.ndarray]:
    """(V,) log-probabilities as they are, and with -inf for what the matcher does not allow; float64.

    Args:
        log_p: (V,), on any device.
        matcher: at the place in question. One in error knows nothing, so that all is allowed there, as in the engine.
    """
    values = log_p.detach().to("cpu", torch.float64).numpy()
    words = None if matcher is None else matcher.mask()
    if words is None:
        return values, values
    masked = np.full(len(values), -np.inf)
    # Beyond the matcher's vocabulary nothing is allowed.
    allowed = np.flatnonzero(allowed_bits(words)[: len(values)])
    masked[allowed] = values[allowed]
    return values, masked


def log_sum(values: np.ndarray) -> float:
    """log of the summed exponentials; -inf where there is nothing to sum."""
    largest = values.max(initial=-np.inf)
    if largest == -np.inf:
        return -math.inf
    return float(largest + np.log(np.exp(values - largest).sum()))
