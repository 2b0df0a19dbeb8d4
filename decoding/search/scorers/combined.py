"""Several scorers as one."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from decoding.search.plan import Plan
from decoding.search.state import State
from decoding.search.strategy import Problem
from envs.errors import ConfigurationError


@dataclass(frozen=True, kw_only=True)
class Combined:
    """The product or the mean of what several scorers say, each of all states at once.

    Where one says nothing of a state, the mean of what it says of the others stands in for it, so that a state is
    neither better nor worse for it; a scorer that says nothing of any of them has no part. None where none says
    anything. Ours.

    Raises:
        ConfigurationError: there is no scorer, or the weights are not one for each, or do not make a mean.
    """

    scorers: tuple[Any, ...]
    """``Scorer``; in a configuration what ``make_scorer`` takes."""
    how: Literal["product", "mean"] = "product"
    weights: tuple[float, ...] | None = None
    """Of a mean, one a scorer, in proportion; None: all alike."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "scorers", tuple(self.scorers))
        if not self.scorers or not all(callable(getattr(one, "score", None)) for one in self.scorers):
            raise ConfigurationError(f"combined.scorers is {self.scorers!r}; expected one scorer at least")
        if self.how not in ("product", "mean"):
            raise ConfigurationError(f"combined.how is {self.how!r}; expected 'product' or 'mean'")
        if self.weights is None:
            return
        object.__setattr__(self, "weights", tuple(self.weights))
        if self.how == "product":
            raise ConfigurationError("combined.weights belong to a mean; leave them out, or set how: mean")
        is_mean = all(math.isfinite(weight) and weight >= 0 for weight in self.weights) and sum(self.weights) > 0
        if len(self.weights) != len(self.scorers) or not is_mean:
            raise ConfigurationError(
                f"combined.weights are {list(self.weights)}; expected {len(self.scorers)} numbers from 0, one a scorer,"
                " not all of them 0"
            )

    def score(self, problem: Problem, states: Sequence[State]) -> Plan[list[float | None]]:
        """One number from 0 to 1 a state; costs what the scorers cost."""
        columns, weights = [], []
        for place, scorer in enumerate(self.scorers):
            said: list[float | None] = yield from scorer.score(problem, states)
            known = [one for one in said if one is not None]
            if known:
                mean = sum(known) / len(known)
                columns.append([(mean if one is None else one, one is not None) for one in said])
                weights.append(1.0 if self.weights is None else self.weights[place])
        return [self._together([column[place] for column in columns], weights) for place in range(len(states))]

    def _together(self, said: Sequence[tuple[float, bool]], weights: Sequence[float]) -> float | None:
        """
        Args:
            said: the score by each scorer that said something of some state, and whether it did of this one.
            weights: of these scorers.
        """
        if not any(is_own for _, is_own in said):
            return None
        if self.how == "product":
            return math.prod(score for score, _ in said)
        total = sum(weights)
        # All that spoke have no weight: nothing is known by the others.
        return sum(weight * score for weight, (score, _) in zip(weights, said, strict=True)) / total if total else None
