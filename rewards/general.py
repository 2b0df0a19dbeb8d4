"""Components that every environment's verdicts can answer."""

from envs.verdict import Verdict
from rewards import layout, length, plan
from rewards.component import Component, ComponentOptions


def answered(verdict: Verdict) -> float:
    """1 when the transcript holds an answer, right or wrong."""
    return float(verdict.answer is not None)


def finished(verdict: Verdict) -> float:
    """1 when the model ended by itself, 0 when a token budget cut it off."""
    return float(not verdict.is_truncated)


def correct(verdict: Verdict) -> float:
    """1 when the answer is right in full, by the environment's strictest own measure."""
    return float(verdict.is_correct)


COMPONENTS: dict[str, Component | type[ComponentOptions]] = {
    "answered": Component(verdict=Verdict, measure=answered),
    "finished": Component(verdict=Verdict, measure=finished),
    "correct": Component(verdict=Verdict, measure=correct),
    **layout.COMPONENTS,
    **length.COMPONENTS,
    **plan.COMPONENTS,
}
