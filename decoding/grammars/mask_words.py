"""Masks as matchers give them: (W,) words of 32 bits (int32), bit ``i`` of word ``w`` for token ``32 w + i``."""

import numpy as np


def allowed_bits(words: np.ndarray) -> np.ndarray:
    """(32 W,) booleans, one for each token."""
    return np.unpackbits(np.ascontiguousarray(words).view(np.uint8), bitorder="little").view(bool)


def allowed_tokens(words: np.ndarray) -> np.ndarray:
    """(A,) the ids of the tokens that a mask allows, in ascending order."""
    return np.flatnonzero(allowed_bits(words))


def allowed_count(words: np.ndarray) -> int:
    """How many tokens a mask allows."""
    # Of signed words numpy would count the bits of the absolute values.
    return int(np.bitwise_count(words.view(np.uint32)).sum())


def is_allowed(words: np.ndarray, token: int) -> bool:
    """Whether a mask allows a token."""
    return bool(words[token >> 5] >> (token & 31) & 1)
