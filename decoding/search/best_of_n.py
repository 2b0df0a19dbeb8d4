"""Best-of-n: independent answers, of which the one with the highest score is chosen."""

from dataclasses import dataclass
from typing import Any

from decoding.search.options import require_count
from decoding.search.plan import Plan, expand
from decoding.search.scorers.registry import make_scorer
from decoding.search.selection import best, candidates_of
from decoding.search.strategy import Problem, Selection
from decoding.steps import WHOLE_ANSWERS, Steps
from envs.environment import Environment


@dataclass(frozen=True, kw_only=True)
class BestOfN:
    """argmax_i s(y_i) over n independent answers y_i.

    Raises:
        ConfigurationError: an option has no meaning.
    """

    samples: int
    """Answers, n."""
    scorer: Any
    """A ``Scorer``, or what a configuration names one by (``make_scorer``)."""

    def __post_init__(self) -> None:
        require_count("best_of_n", "samples", self.samples)
        object.__setattr__(self, "scorer", make_scorer(self.scorer))

    def steps(self, environment: Environment[Any]) -> Steps:
        """Answers are sampled whole."""
        return WHOLE_ANSWERS

    def search(self, problem: Problem) -> Plan[Selection | None]:
        """Samples, scores, and takes the best."""
        answers = yield from expand([problem.root], width=self.samples, until="end")
        if not answers:
            return None
        scores: list[float | None] = yield from self.scorer.score(problem, answers)
        candidates = candidates_of(answers, scores=scores)
        return Selection(chosen=best(candidates).state, candidates=candidates)
