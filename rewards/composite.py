"""A composite reward: a weighted sum of components, some of them paid only when another one is.

Formula (ours; RL-Struct and Reasoning-SQL use weighted sums of the same kind, without the gates):

    s = sum_i w_i(t) g_i r_i / sum_i w_i(t)           g_i = 1 if the gate of i has the value 1, else 0
    value = min(s, wrong_at_most) or max(s, right_at_least), for a wrong or a right answer, with a clamp; else s

so that s lies in [0, 1] and is 1 exactly when every part whose w_i(t) is positive, and the gate of each, is. A gate is
compared as it was measured: its own weight and gate do not matter. w_i(t) is the weight times what its schedule and its
pace say at the moment t of the training (``rewards.schedule``).

Not covered: whether a sum of parts is a good reward. The report prints each part beside it for that reason.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from envs.environment import Environment
from envs.errors import ConfigurationError, nearest
from envs.verdict import Verdict
from rewards.component import Component
from rewards.configuration import Clamp, PartConfig, RewardConfig
from rewards.registry import component
from rewards.schedule import START, Moment, pace_factor, schedule_factor


@dataclass(frozen=True, kw_only=True)
class Score:
    """The composite's value of one verdict, with the parts as they were measured, before gates and weights."""

    value: float | None
    """In [0, 1]; None: the verdict, or a part that pays or its gate, could not be judged."""
    parts: Mapping[str, float | None]
    paid: Mapping[str, float] = field(default_factory=dict)
    """g_i r_i of each part whose weight is not 0 throughout; empty when the value is None."""
    unmeasured: str | None = None
    """The part, or gate, for which the value of a judged verdict is None."""


class Composite:
    """Scores verdicts of one environment."""

    def __init__(self, environment: Environment[Any], config: RewardConfig) -> None:
        """
        Args:
            environment: whose verdicts are scored.
            config: parts and clamp.

        Raises:
            ConfigurationError: an unknown component, gate or pacing part, an option that a component does not take, a
                weight that is negative or not finite, a schedule whose steps do not rise, or a moment of the training
                at which nothing is certain to be paid.
        """
        self._parts = config.parts
        self._clamp: Clamp | None = config.clamp
        self._components: dict[str, Component] = {
            name: component(environment, part.component or name, part.options) for name, part in config.parts.items()
        }
        for name, part in config.parts.items():
            _require_weights(name, part)
            self._require_other_part(name, "gate", part.gate)
            self._require_other_part(name, "pace", part.pace.part if part.pace else None)
        self._paying = {name: part for name, part in config.parts.items() if _can_pay(part)}
        self._require_pay_at_any_time()

    @property
    def names(self) -> tuple[str, ...]:
        """The parts' names, in the configuration's order."""
        return tuple(self._parts)

    @property
    def paying(self) -> tuple[str, ...]:
        """The parts whose weight is not 0 throughout."""
        return tuple(self._paying)

    @property
    def pacing(self) -> tuple[str, ...]:
        """The parts whose running means open the weights of others."""
        return tuple(dict.fromkeys(part.pace.part for part in self._parts.values() if part.pace is not None))

    @property
    def is_moving(self) -> bool:
        """Some weight depends on the moment."""
        return any(part.schedule or part.pace for part in self._paying.values())

    def weights(self, moment: Moment = START) -> dict[str, float]:
        """What each paying part is worth at a moment of the training; they add up to 1."""
        raw = self._raw_weights(moment)
        total = math.fsum(raw.values())
        return {name: weight / total for name, weight in raw.items()}

    def score(self, verdict: Verdict, moment: Moment = START) -> Score:
        """The value and parts of one verdict at a moment of the training."""
        if verdict.unjudged is not None:
            return Score(value=None, parts=dict.fromkeys(self._parts))
        parts = {name: measured.measure(verdict) for name, measured in self._components.items()}
        paid, unmeasured = self._paid(parts)
        if unmeasured is not None:
            return Score(value=None, parts=parts, unmeasured=unmeasured)
        weights = self._raw_weights(moment)
        # fsum rounds once, so that rounding can neither lift the value above 1 nor keep it below.
        value = math.fsum(weights[name] * share for name, share in paid.items()) / math.fsum(weights.values())
        if self._clamp is not None and verdict.is_correct:
            value = max(value, self._clamp.right_at_least)
        elif self._clamp is not None:
            value = min(value, self._clamp.wrong_at_most)
        return Score(value=value, parts=parts, paid=paid)

    def _paid(self, parts: Mapping[str, float | None]) -> tuple[dict[str, float], str | None]:
        """g_i r_i of the paying parts, and the first part or gate that was needed for it and not measured."""
        paid = {}
        for name, part in self._paying.items():
            gate = 1 if part.gate is None else parts[part.gate]
            measured = parts[name] if gate == 1 else 0.0
            if gate is None:
                return {}, part.gate
            if measured is None:
                return {}, name
            paid[name] = measured
        return paid, None

    def unmeasurable(self, verdict: Verdict) -> str | None:
        """The first part that pays, or gates one that does, of which a judged verdict says nothing; None when there is
        none. Unlike ``score`` it asks behind closed gates too: what is open for a better answer."""
        gates = [part.gate for part in self._paying.values() if part.gate is not None]
        needed = dict.fromkeys([*self._paying, *gates])
        return next((name for name in needed if self._components[name].measure(verdict) is None), None)

    def _raw_weights(self, moment: Moment) -> dict[str, float]:
        return {
            name: part.weight * schedule_factor(part.schedule, moment.step) * pace_factor(part.pace, moment.means)
            for name, part in self._paying.items()
        }

    def _require_other_part(self, name: str, role: str, other: str | None) -> None:
        if other is not None and (other not in self._parts or other == name):
            raise ConfigurationError(
                f"reward '{name}': its {role} '{other}' is not another part of this composite"
                f"{nearest(other, self._parts)}; parts: {', '.join(self._parts)}"
            )

    def _require_pay_at_any_time(self) -> None:
        steps = {0, *(point.step for part in self._paying.values() for point in part.schedule)}
        for step in sorted(steps):
            # A pace may hold its part at 0 for ever, so that those without one must carry the sum.
            if not any(
                part.pace is None and part.weight * schedule_factor(part.schedule, step) > 0
                for part in self._paying.values()
            ):
                raise ConfigurationError(
                    f"the reward needs at least one part with a positive weight and no pace, at step {step} too"
                )


def _require_weights(name: str, part: PartConfig) -> None:
    for weight in (part.weight, *(point.factor for point in part.schedule)):
        if not 0 <= weight < math.inf:
            raise ConfigurationError(
                f"reward '{name}': a weight, and a factor of its schedule, must be finite and not negative, got"
                f" {weight}"
            )
    steps = [point.step for point in part.schedule]
    if steps != sorted(set(steps)) or any(step < 0 for step in steps):
        raise ConfigurationError(
            f"reward '{name}': the steps of its schedule are {steps}; expected steps from 0 on, each larger than the"
            " last"
        )


def _can_pay(part: PartConfig) -> bool:
    return part.weight > 0 and (not part.schedule or any(point.factor > 0 for point in part.schedule))
