"""Is a JSON answer well-formed, bare and valid? That it is right in full is ``correct`` in ``rewards.general``."""

from dataclasses import dataclass

from envs.errors import ConfigurationError
from envs.json.verdict import JsonVerdict
from rewards.component import Component, ComponentOptions


def parsed(verdict: JsonVerdict) -> float:
    """1 when the answer holds a value (JSON, or the XML or YAML that was asked for), alone or beside other text."""
    return float(verdict.is_parsed)


def bare(verdict: JsonVerdict) -> float:
    """1 when the answer is a value and nothing else: the JSON validity of RL-Struct (arXiv 2512.00319), the share of
    answers that a program can parse as they stand."""
    return float(_is_bare(verdict))


def valid(verdict: JsonVerdict) -> float:
    """1 when the value obeys the schema."""
    return float(verdict.is_valid)


def usable(verdict: JsonVerdict) -> float:
    """1 when the answer is a value that obeys the schema and nothing else, laid out as the tags ask: what a program can
    take as it stands. The gate for ``content``, so that the right value in the midst of others does not pay."""
    return float(verdict.is_valid and _is_bare(verdict) and verdict.layout.defect is None)


def progress(verdict: JsonVerdict) -> float:
    """The share of the answer's tokens that come before the first at which no continuation could be valid
    (``envs.json.progress``); 1 exactly when the value is valid. It never falls when a prefix of a valid answer is
    continued as that answer."""
    return verdict.progress


@dataclass(frozen=True, kw_only=True)
class DenseValidity:
    """Validity with a dense part below it, as in Schema Reinforcement Learning (SRL, arXiv 2502.18878):

        r = 1 when the answer is ``usable``, else partial * progress

    SRL's progress is a ratio of characters (``fgevaluate_with_schema`` in its fork of PRIME): the place of the syntax
    error over the length, times the place of the schema error in the value written out again over its length; 0 where
    that error is at the root. Ours is ``JsonVerdict.progress``, a ratio of tokens, which does not depend on the one of
    several errors that a validator reports.
    """

    partial: float = 0.3
    """What an answer can come near without being valid."""

    def __post_init__(self) -> None:
        if not 0 <= self.partial < 1:
            raise ConfigurationError(f"dense_validity: partial is {self.partial}; expected 0 <= partial < 1")

    def component(self) -> Component:
        """The component with these options."""
        return Component(verdict=JsonVerdict, measure=self._measure, is_rate=False)

    def _measure(self, verdict: JsonVerdict) -> float:
        return usable(verdict) or self.partial * verdict.progress


def _is_bare(verdict: JsonVerdict) -> bool:
    return verdict.is_parsed and not verdict.has_extra_text


COMPONENTS: dict[str, Component | type[ComponentOptions]] = {
    "parsed": Component(verdict=JsonVerdict, measure=parsed),
    "bare": Component(verdict=JsonVerdict, measure=bare),
    "valid": Component(verdict=JsonVerdict, measure=valid),
    "usable": Component(verdict=JsonVerdict, measure=usable),
    "progress": Component(verdict=JsonVerdict, measure=progress, is_rate=False),
    "dense_validity": DenseValidity,
}
