"""Does the answer carry out the plan that stands before it? E2C's plan coverage.

    r = |{h in H : some heading of the execution matches h}| / |H|

with H the plan's distinct headings (lines ``1. title``) and the execution what stands where the answer is looked for.
A heading e of the execution matches h when its text contains that of h, or when

    LCS(h, e) / min(|h|, |e|) > 0.3

over their words: the rule of E2C (arXiv 2509.23946; ``verl/verl/utils/reward_score/e2c.py`` of its repository). Case
and the asterisks of bold type do not count. Ours: headings are counted once and stand at the beginning of a line; and
the bounds on the plan (``PlanCoverage``), without which the cheapest full plan is one heading of one word.

Not covered: the execution's headings have no bounds, so that a single one may take up several of the plan's, as in E2C;
whether the plan is any good; E2C pays coverage for right answers only (``gate: correct``).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from envs.errors import ConfigurationError
from envs.verdict import Verdict
from rewards.component import Component, ComponentOptions
from rewards.layout import needs_tag

MATCHING_SHARE = 0.3
# At most this many headings are compared, of so many words: the text is hostile, and every pair is looked at.
PLAN_HEADINGS = 32
EXECUTION_HEADINGS = 128
HEADING_WORDS = 32

# An opening tag, marks such as '### **', the word 'Step', a number and its full stop.
HEADING = re.compile(r"(?:<\w{1,32}>)?[^\w\n]{0,8}(?:step\s)?\d{1,3}\.\s+(\S.*)", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class PlanCoverage:
    """The share of the plan's headings that the execution takes up; 0 for a plan outside these bounds, or none.

    ``headings_at_least: 1``, ``characters_at_least: 0`` and a large ``characters_at_most`` give E2C's own formula.
    """

    headings_at_least: int = 2
    """A plan of fewer headings is worth 0."""
    characters_at_least: int = 30
    """A plan whose headings have fewer characters in all is worth 0."""
    characters_at_most: int = 2_000
    """A longer plan is worth 0: it is the solution, not a plan."""

    def __post_init__(self) -> None:
        if self.headings_at_least < 1 or not 0 <= self.characters_at_least <= self.characters_at_most:
            raise ConfigurationError(
                f"plan_coverage: headings_at_least is {self.headings_at_least}, characters_at_least"
                f" {self.characters_at_least} and characters_at_most {self.characters_at_most}; expected at least one"
                " heading and 0 <= characters_at_least <= characters_at_most"
            )
        if self.headings_at_least > PLAN_HEADINGS:
            raise ConfigurationError(
                f"plan_coverage: headings_at_least is {self.headings_at_least}; at most {PLAN_HEADINGS} headings of a"
                " plan are looked at"
            )

    def component(self) -> Component:
        """The component with these options."""
        return Component(verdict=Verdict, measure=self._measure, is_rate=False, lacks=needs_tag("plan"))

    def _measure(self, verdict: Verdict) -> float:
        plan = verdict.layout.plan or ""
        if len(plan) > self.characters_at_most:
            return 0.0
        planned = _headings(plan, PLAN_HEADINGS)
        if len(planned) < self.headings_at_least or sum(map(len, planned)) < self.characters_at_least:
            return 0.0
        executed = [heading.split() for heading in _headings(verdict.layout.answer or "", EXECUTION_HEADINGS)]
        found = sum(any(_match(heading.split(), other) for other in executed) for heading in planned)
        return found / len(planned)


def _headings(text: str, at_most: int) -> list[str]:
    """The first distinct headings of a text, in lower case, their words one space apart."""
    found: dict[str, None] = {}
    for line in text.splitlines():
        heading = HEADING.match(line)
        if heading is not None:
            found[" ".join(heading.group(1).replace("*", "").lower().split()[:HEADING_WORDS])] = None
            if len(found) == at_most:
                break
    return [heading for heading in found if heading]


def _match(planned: Sequence[str], executed: Sequence[str]) -> bool:
    if " ".join(planned) in " ".join(executed):
        return True
    return _common_subsequence(planned, executed) > MATCHING_SHARE * min(len(planned), len(executed))


def _common_subsequence(first: Sequence[str], second: Sequence[str]) -> int:
    """The length of the longest common subsequence, by the bits of an integer (Hyyrö 2004): one step a word."""
    places: dict[str, int] = {}
    for place, word in enumerate(first):
        places[word] = places.get(word, 0) | 1 << place
    whole = (1 << len(first)) - 1
    open_places = whole
    for word in second:
        matched = open_places & places.get(word, 0)
        open_places = (open_places + matched | open_places - matched) & whole
    return (whole & ~open_places).bit_count()


COMPONENTS: dict[str, Component | type[ComponentOptions]] = {"plan_coverage": PlanCoverage}
