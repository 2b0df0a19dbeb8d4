"""AWRS: draws tokens under a check that is too slow to be asked of the whole vocabulary.

Adaptive weighted rejection sampling (Lipkin et al. 2025, arXiv 2504.05410): tokens are asked one by one in the order of
a sample without replacement, until one passes; one more is asked for the weight. With m the mass of those that failed
before the passing token x,

    w = 1 - m   where the next token of the order passes too, else   w = p(x),

and E[w 1{x = v}] = p(v) 1[v passes]: the pair is properly weighted, and E[w] is the mass Z that passes. (The paper
writes the first case as the product of 1 - q_i over the failed ones, q_i being p_i without those before: the same.)

A grammar's mask comes first and costs nothing: p is then the masked distribution, and w estimates what passes of it.
With a mask alone Z is known exactly, and AWRS is of no use. Not covered: the paper's variant with several passing
tokens.
"""

import math
from collections.abc import Callable, Collection, Sequence
from typing import Protocol

import numpy as np
from torch import Tensor

from decoding.aligned.masking import log_sum, masked_log_p
from decoding.grammars.matcher import Matcher
from decoding.token_sampler import Drawn


class TextCheck(Protocol):
    """Whether a text may become, or is, a good answer. Must never refuse the beginning of a text that it accepts."""

    def __call__(self, text: str, *, is_whole: bool) -> bool:
        """
        Args:
            text: of an answer, from its start. Bytes at its end that make no character yet are left out.
            is_whole: the answer ends here; else more may follow.
        """
        ...


class AwrsSampler:
    """A ``TokenSampler`` for the rows of one request. Keeps for each row what its checks have weighed."""

    def __init__(
        self,
        check: TextCheck,
        *,
        decode: Callable[[Sequence[int]], str],
        end_ids: Collection[int],
        most_checks: int,
    ) -> None:
        """
        Args:
            check: of the text so far.
            decode: ids to text, special tokens left out.
            end_ids: the tokens that end a text.
            most_checks: tokens that are asked at one place; then the text is given up.
        """
        self._check = check
        self._decode = decode
        self._end_ids = frozenset(end_ids)
        self._most_checks = most_checks
        self._log_weights: dict[int, float] = {}
        self.checks = 0
        """Calls of the check so far."""

    def draw(self, row: int, written: tuple[int, ...], matcher: Matcher | None, log_p: Tensor, uniform: float) -> Drawn:
        """The next token of a row (``decoding.token_sampler``)."""
        _, masked = masked_log_p(log_p, matcher)
        log_z = log_sum(masked)
        log_q = masked - log_z
        token, log_weight = properly_weighted(
            log_q, lambda token: self._passes(written, token), uniform, most_checks=self._most_checks
        )
        before = 0.0 if not written else self._log_weights.get(row, 0.0)
        self._log_weights[row] = before + log_weight
        return Drawn(
            token=token,
            logprob=float(log_q[token]),
            log_weight=min(0.0, log_z),
            ends_row=log_weight == -math.inf,
        )

    def log_weight(self, row: int) -> float:
        """log of the estimated probability, under the mask, that the row's tokens pass."""
        return self._log_weights.get(row, 0.0)

    def fork(self, row: int, new: int) -> None:
        """Row ``new`` has written what ``row`` has."""
        self._log_weights[new] = self.log_weight(row)

    def end(self, row: int) -> None:
        """Forgets a row."""
        self._log_weights.pop(row, None)

    def _passes(self, written: tuple[int, ...], token: int) -> bool:
        self.checks += 1
        is_whole = token in self._end_ids
        text = self._decode([*written, token]).rstrip("\N{REPLACEMENT CHARACTER}")
        return self._check(text, is_whole=is_whole)


def properly_weighted(
    log_q: np.ndarray, passes: Callable[[int], bool], uniform: float, *, most_checks: int
) -> tuple[int, float]:
    """A token that passes and its log weight; the likeliest token and -inf where none is found.

    Args:
        log_q: (V,) normalised log-probabilities.
        passes: the check.
        uniform: the source of randomness.
        most_checks: the calls of ``passes`` after which nothing counts as found. The weight then misses its mass.
    """
    random = np.random.default_rng(int(uniform * 2**53))
    # In falling order of log q + Gumbel noise, tokens are a sample without replacement.
    keys = log_q + random.gumbel(size=len(log_q))
    keys[np.isneginf(log_q)] = -np.inf
    left = np.exp(log_q)
    found: int | None = None
    for _ in range(most_checks):
        token = int(keys.argmax())
        if keys[token] == -np.inf:
            break
        keys[token] = -np.inf
        is_good = passes(token)
        if found is not None:
            return found, math.log(left.sum()) if is_good else float(log_q[found])
        if is_good:
            found = token
        else:
            left[token] = 0.0
    if found is None:
        return int(log_q.argmax()), -math.inf
    # No other token is left, so that what is left is its own mass; or the checks are spent, and that is the safe side.
    return found, float(log_q[found])
