"""What a reward is configured by: parts with weights, gates and schedules, a clamp, and when to stop."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from envs.errors import ConfigurationError

Normalization = Literal["sum", "parts"]


@dataclass(frozen=True, kw_only=True)
class SchedulePoint:
    """A knot of a part's schedule."""

    step: int
    """Optimiser steps done."""
    factor: float
    """What the part's weight is multiplied by at that step."""


@dataclass(frozen=True, kw_only=True)
class Pace:
    """A weight that opens as another part is mastered: a self-paced curriculum.

    The weight is multiplied by clip((m - opens_at) / (full_at - opens_at), 0, 1), where m is the running mean of the
    other part over training (ours).
    """

    part: str
    """The part whose mean opens this one; it may have weight 0."""
    opens_at: float = 0.0
    """Up to this mean the weight is 0."""
    full_at: float = 1.0
    """From this mean on the weight is whole."""

    def __post_init__(self) -> None:
        if not 0 <= self.opens_at < self.full_at <= 1:
            raise ConfigurationError(
                f"pace of '{self.part}': opens_at is {self.opens_at} and full_at {self.full_at}; expected"
                " 0 <= opens_at < full_at <= 1"
            )


@dataclass(frozen=True, kw_only=True)
class PartConfig:
    """How one component enters the composite."""

    weight: float
    """Its share of the sum; 0 logs the component without paying it."""
    gate: str | None = None
    """Another part: this one pays only where that one has the value 1."""
    component: str | None = None
    """The component that is measured; null: the one of the part's own name."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """The component's own options."""
    schedule: Sequence[SchedulePoint] = ()
    """How the weight moves with the steps: linear between these points, level before the first and after the last."""
    pace: Pace | None = None
    """How the weight opens with the mean of another part."""


@dataclass(frozen=True, kw_only=True)
class Clamp:
    """No wrong answer outscores a right one: values of wrong answers are cut from above, of right ones from below."""

    wrong_at_most: float
    """The most that an answer which is not correct can be worth."""
    right_at_least: float
    """The least that a correct answer is worth."""

    def __post_init__(self) -> None:
        if not 0 <= self.wrong_at_most < self.right_at_least <= 1:
            raise ConfigurationError(
                f"clamp: wrong_at_most is {self.wrong_at_most} and right_at_least {self.right_at_least}; expected"
                " 0 <= wrong_at_most < right_at_least <= 1"
            )


@dataclass(frozen=True, kw_only=True)
class UnjudgedLimit:
    """When answers that could not be judged stop the training: a broken judge must not look like a dull model."""

    share: float = 0.25
    """Training stops when more answers than this share of the window could not be judged; 1 never stops it."""
    window: int = 256
    """How many of the latest answers are looked at. The share is of the whole window, also before it is full."""

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1 or self.window < 1:
            raise ConfigurationError(
                f"unjudged: share is {self.share} and window {self.window}; expected a share from 0 to 1 and a window"
                " of at least one answer"
            )


@dataclass(frozen=True, kw_only=True)
class RewardConfig:
    """What an answer is paid for."""

    parts: Mapping[str, PartConfig]
    """Part -> how its component enters the sum."""
    clamp: Clamp | None = None
    """Keeps wrong answers below right ones; null leaves the sum as it is."""
    normalization: Normalization = "sum"
    """What is normalised within a group: the ``sum``, as in GRPO, or each of the ``parts`` before they are added, as in
    GDPO (arXiv 2601.05242), so that a part of small spread is not drowned by one of large."""
    unjudged: UnjudgedLimit = field(default_factory=UnjudgedLimit)
    """When answers that could not be judged stop the training."""

    def __post_init__(self) -> None:
        if self.normalization not in get_args(Normalization):
            raise ConfigurationError(
                f"normalization is '{self.normalization}'; expected one of {', '.join(get_args(Normalization))}"
            )
        if self.normalization == "parts" and self.clamp is not None:
            raise ConfigurationError(
                "clamp bounds the sum of the parts, which normalization 'parts' never forms; drop one of the two"
            )
