"""Components of JSON verdicts. That the answer is right in full is ``correct`` in ``rewards.general``."""

from envs.json.judge import JsonVerdict
from rewards.component import Component


def parsed(verdict: JsonVerdict) -> float:
    """1 when the answer holds a JSON value, alone or beside other text."""
    return float(verdict.is_parsed)


def bare(verdict: JsonVerdict) -> float:
    """1 when the answer is a JSON value and nothing else."""
    return float(verdict.is_parsed and not verdict.has_extra_text)


def valid(verdict: JsonVerdict) -> float:
    """1 when the value obeys the schema."""
    return float(verdict.is_valid)


def content(verdict: JsonVerdict) -> float | None:
    """F1 over the leaves of the answer and of the gold (``envs.json.content``); None without a gold."""
    return verdict.f1


COMPONENTS: dict[str, Component] = {
    "parsed": Component(verdict=JsonVerdict, measure=parsed),
    "bare": Component(verdict=JsonVerdict, measure=bare),
    "valid": Component(verdict=JsonVerdict, measure=valid),
    "content": Component(verdict=JsonVerdict, measure=content, is_rate=False),
}
