"""A composite reward: a weighted sum of components, some of them paid only when another one is.

Formula (ours; RL-Struct and Reasoning-SQL use weighted sums of the same kind, without the gates):

    value = sum_i w_i * g_i * r_i / sum_i w_i,        g_i = 1 if the gate of i has the value 1, else 0

so that the value lies in [0, 1] and is 1 exactly when every part of positive weight, and the gate of each, is. A gate
is compared as it was measured: its own weight and gate do not matter.

Not covered: whether a sum of parts is a good reward. The report prints each part beside it for that reason.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from envs.environment import Environment
from envs.errors import ConfigurationError, nearest
from envs.verdict import Verdict
from rewards.component import Component
from rewards.registry import component


@dataclass(frozen=True, kw_only=True)
class PartConfig:
    """How one component enters the composite."""

    weight: float
    """Its share of the sum; 0 logs the component without paying it."""
    gate: str | None = None
    """Another component of this composite: this part pays only where that one has the value 1."""


@dataclass(frozen=True, kw_only=True)
class Score:
    """The composite's value of one verdict, with the parts as they were measured, before gates and weights."""

    value: float | None
    """In [0, 1]; None: the verdict, or a part that pays or its gate, could not be judged."""
    parts: Mapping[str, float | None]


@dataclass(frozen=True, kw_only=True)
class _Part:
    component: Component
    weight: float
    gate: str | None


class Composite:
    """Scores verdicts of one environment."""

    def __init__(self, environment: Environment[Any], parts: Mapping[str, PartConfig]) -> None:
        """
        Args:
            environment: whose verdicts are scored.
            parts: component name -> weight and gate.

        Raises:
            ConfigurationError: an unknown component or gate, a weight that is negative or not finite, or no positive
                weight at all.
        """
        components = {name: component(environment, name) for name in parts}
        for name, part in parts.items():
            if not 0 <= part.weight < math.inf:
                raise ConfigurationError(
                    f"reward '{name}': the weight must be finite and not negative, got {part.weight}"
                )
            if part.gate is not None and (part.gate not in parts or part.gate == name):
                raise ConfigurationError(
                    f"reward '{name}': its gate '{part.gate}' is not another part of this composite"
                    f"{nearest(part.gate, parts)}; parts: {', '.join(parts)}"
                )
        self._parts = {
            name: _Part(component=components[name], weight=part.weight, gate=part.gate) for name, part in parts.items()
        }
        self._total = math.fsum(part.weight for part in self._parts.values())
        if self._total <= 0:
            raise ConfigurationError("the reward needs at least one part with a positive weight")

    @property
    def names(self) -> tuple[str, ...]:
        """The parts' names, in the configuration's order."""
        return tuple(self._parts)

    def score(self, verdict: Verdict) -> Score:
        """The value and parts of one verdict."""
        if verdict.unjudged is not None:
            return Score(value=None, parts=dict.fromkeys(self._parts))
        parts = {name: part.component.measure(verdict) for name, part in self._parts.items()}
        return Score(value=self._value(parts), parts=parts)

    def _value(self, parts: Mapping[str, float | None]) -> float | None:
        paid = []
        for name, part in self._parts.items():
            if part.weight == 0:
                continue
            gate = 1 if part.gate is None else parts[part.gate]
            if gate is None:
                return None
            if gate != 1:
                continue
            measured = parts[name]
            if measured is None:
                return None
            paid.append(part.weight * measured)
        # fsum rounds once, so that rounding can neither lift the value above 1 nor keep it below.
        return math.fsum(paid) / self._total
