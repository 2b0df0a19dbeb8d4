"""Self-consistency: independent answers, of which the meaning that most of them share is chosen.

What answers mean is the environment's to say (``Environment.examine``): queries by their result, JSON by its value,
mathematics by equivalence. The method is Wang et al., arXiv 2203.11171, with samples of equal weight.
"""

from dataclasses import dataclass
from typing import Any

from decoding.search.options import require_count
from decoding.search.plan import Plan, examine, expand
from decoding.search.selection import candidates_of, vote
from decoding.search.strategy import Problem, Selection
from decoding.steps import WHOLE_ANSWERS, Steps
from envs.environment import Environment


@dataclass(frozen=True, kw_only=True)
class SelfConsistency:
    """argmax_a #{i: a_i = a} over n independent answers, where a_i is what the answer y_i means.

    Raises:
        ConfigurationError: an option has no meaning.
    """

    samples: int
    """Answers, n."""

    def __post_init__(self) -> None:
        require_count("self_consistency", "samples", self.samples)

    def steps(self, environment: Environment[Any]) -> Steps:
        """Answers are sampled whole."""
        return WHOLE_ANSWERS

    def search(self, problem: Problem) -> Plan[Selection | None]:
        """Samples, examines, and votes."""
        answers = yield from expand([problem.root], width=self.samples, until="end")
        if not answers:
            return None
        found = yield from examine(answers)
        candidates = candidates_of(answers, found=found)
        return Selection(chosen=vote(candidates, weighted=False).state, candidates=candidates)
