"""The contract of a reward component."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from envs.verdict import Verdict


@dataclass(frozen=True, kw_only=True)
class Component:
    """A named function of a verdict to a float in [0, 1].

    Used alike as a part of a training reward and as an evaluation metric, so that the two cannot disagree.
    """

    verdict: type[Verdict]
    """The verdicts it understands; ``Verdict`` itself: those of every environment."""
    measure: Callable[[Any], float | None]
    """The value for a judged verdict; None when this verdict cannot answer (no gold to compare with, for example)."""
    is_rate: bool = True
    """True when the value is always 0 or 1, so that its mean is a proportion."""
