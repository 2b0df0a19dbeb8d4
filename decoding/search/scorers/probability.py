"""The model's own probability of what it wrote."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from decoding.search.plan import Plan
from decoding.search.state import State
from decoding.search.strategy import Problem


@dataclass(frozen=True, kw_only=True)
class Probability:
    """The geometric mean of the probabilities of a state's T tokens, exp(1/T sum_t log q(y_t)), so that long answers
    are not worse for being long. q is what was sampled from: temperature and grammar applied.

    Costs nothing. None where nothing was written, and where the engine does not tell log-probabilities.
    """

    total: bool = False
    """Take the probability of all tokens together instead, exp(sum_t log q(y_t))."""

    def score(self, problem: Problem, states: Sequence[State]) -> Plan[list[float | None]]:
        """One number from 0 to 1 a state."""
        yield from ()
        return [self._probability(state) for state in states]

    def _probability(self, state: State) -> float | None:
        if not state.tokens or math.isnan(state.logprob):
            return None
        return math.exp(min(0.0, state.logprob if self.total else state.mean_logprob))
