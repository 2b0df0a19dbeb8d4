"""How a weight moves during training: with the steps, and with how well another part is mastered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy

from rewards.configuration import Pace, SchedulePoint


@dataclass(frozen=True, kw_only=True)
class Moment:
    """How far the training is."""

    step: int = 0
    """Optimiser steps done."""
    means: Mapping[str, float] = field(default_factory=dict)
    """Part -> its running mean, of those that pace others; a part that was never measured has none."""


START = Moment()


def schedule_factor(points: Sequence[SchedulePoint], step: int) -> float:
    """The factor at a step: linear between the points, level before the first and after the last; 1 without points."""
    if not points:
        return 1.0
    return float(numpy.interp(step, [point.step for point in points], [point.factor for point in points]))


def pace_factor(pace: Pace | None, means: Mapping[str, float]) -> float:
    """clip((m - opens_at) / (full_at - opens_at), 0, 1) for the mean m of the pacing part, 0 before the first answer;
    1 without a pace."""
    if pace is None:
        return 1.0
    opened = (means.get(pace.part, 0.0) - pace.opens_at) / (pace.full_at - pace.opens_at)
    return min(max(opened, 0.0), 1.0)
