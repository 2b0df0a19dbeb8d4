"""Weighted vote: independent answers, of which those that mean the same add up their scores."""

from dataclasses import dataclass
from typing import Any

from decoding.search.options import require_count
from decoding.search.plan import Plan, examine, expand
from decoding.search.scorers.registry import make_scorer
from decoding.search.selection import candidates_of, vote
from decoding.search.strategy import Problem, Selection
from decoding.steps import WHOLE_ANSWERS, Steps
from envs.environment import Environment


@dataclass(frozen=True, kw_only=True)
class WeightedVote:
    """Weighted best-of-n: argmax_a sum_{i: a_i = a} s(y_i), where a_i is what the answer y_i means.

    Raises:
        ConfigurationError: an option has no meaning.
    """

    samples: int
    """Answers, n."""
    scorer: Any
    """A ``Scorer``, or what a configuration names one by (``make_scorer``)."""

    def __post_init__(self) -> None:
        require_count("weighted_vote", "samples", self.samples)
        object.__setattr__(self, "scorer", make_scorer(self.scorer))

    def steps(self, environment: Environment[Any]) -> Steps:
        """Answers are sampled whole."""
        return WHOLE_ANSWERS

    def search(self, problem: Problem) -> Plan[Selection | None]:
        """Samples, examines, scores, and votes. Examines first: where calls run out, a vote without weights is left."""
        answers = yield from expand([problem.root], width=self.samples, until="end")
        if not answers:
            return None
        found = yield from examine(answers)
        scores: list[float | None] = yield from self.scorer.score(problem, answers)
        candidates = candidates_of(answers, scores=scores, found=found)
        return Selection(chosen=vote(candidates, weighted=True).state, candidates=candidates)
