"""Components of mathematics verdicts. That the value is right is ``correct`` in ``rewards.general``."""

from envs.math.judge import MathVerdict
from rewards.component import Component, ComponentOptions


def boxed(verdict: MathVerdict) -> float:
    """1 when a box that holds something begins within the last 500 characters, or the answer is its whole tag."""
    return float(verdict.is_boxed)


def number(verdict: MathVerdict) -> float:
    """1 when the box holds a plain number, right or wrong."""
    return float(verdict.is_number)


COMPONENTS: dict[str, Component | type[ComponentOptions]] = {
    "boxed": Component(verdict=MathVerdict, measure=boxed),
    "number": Component(verdict=MathVerdict, measure=number),
}
