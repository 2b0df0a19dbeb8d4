"""How much of the model's own probability the grammar left: what it wanted to write anyway was no constraint."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from decoding.search.plan import Plan
from decoding.search.state import State
from decoding.search.strategy import Problem


@dataclass(frozen=True, kw_only=True)
class GrammarMass:
    """The geometric mean of the mass that the grammar allowed at each of a state's T tokens, exp(1/T sum_t log Z_t).

    Z_t is the probability that the model gave to all tokens which the grammar allowed in place t: low where the mask
    forced the model off what it would have written. Ours as a score; the product is the importance weight of a masked
    sample (Lew et al. 2023, arXiv 2306.03081).

    Costs nothing. None where no grammar was applied, and where the engine does not tell: it needs a decoding with
    ``grammar: true``, without which it says nothing of any state, and the first of all would be the best.
    """

    total: bool = False
    """Take the mass of all tokens together instead, prod_t Z_t."""

    def score(self, problem: Problem, states: Sequence[State]) -> Plan[list[float | None]]:
        """One number from 0 to 1 a state."""
        yield from ()
        return [self._mass(state) for state in states]

    def _mass(self, state: State) -> float | None:
        if not state.tokens or state.log_z is None or math.isnan(state.log_z):
            return None
        return math.exp(min(0.0, state.log_z if self.total else state.log_z / state.tokens))
