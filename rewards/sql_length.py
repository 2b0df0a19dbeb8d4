"""How long an SQL answer is beside its query: the length term of SQL-R1. ``rewards.length`` has the general one."""

from dataclasses import dataclass

from envs.errors import ConfigurationError
from envs.sql.judge import SqlVerdict
from rewards.component import Component, ComponentOptions


@dataclass(frozen=True, kw_only=True)
class SqlR1Length:
    """SQL-R1's length term (arXiv 2504.08600, equation 5) over its largest value; 0 unless the answer is right.

    In characters,

        T = min(1, (|reasoning| + |answer|) / limit)        S = |query| / |answer|
        r = (0.5 T + S) / 1.5        or, without ``pays_reasoning``,        r = S

    S pays for an answer that is the query and no talk around it. T pays for a longer reasoning, up to the limit: it is
    part of what was published and can be earned by padding, which is why it has to be asked for.
    """

    limit: int = 2048
    """The length at which T is whole; in characters, as in SQL-R1's code."""
    pays_reasoning: bool = False
    """Include T, as published."""

    def __post_init__(self) -> None:
        if self.limit < 1:
            raise ConfigurationError(f"sql_r1_length: limit is {self.limit}; expected at least 1 character")

    def component(self) -> Component:
        """The component with these options."""
        return Component(verdict=SqlVerdict, measure=self._measure, is_rate=False)

    def _measure(self, verdict: SqlVerdict) -> float:
        answer = (verdict.layout.answer or "").strip()
        if not verdict.is_correct or verdict.answer is None or not answer:
            return 0.0
        query_share = min(1.0, len(" ".join(verdict.answer.split())) / len(answer))
        if not self.pays_reasoning:
            return query_share
        written = len(verdict.layout.reasoning.strip()) + len(answer)
        return (0.5 * min(1.0, written / self.limit) + query_share) / 1.5


COMPONENTS: dict[str, Component | type[ComponentOptions]] = {"sql_r1_length": SqlR1Length}
