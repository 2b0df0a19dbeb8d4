"""Beam search over steps: the partial answers with the highest scores go on.

Step-level search against a verifier as in Snell et al., arXiv 2408.03314: ``beams`` partial answers are kept, each
takes ``width`` next steps, and of all these the best ``beams`` are kept. Beams over tokens by their probability are
another method (``decoding.search.diverse_beam``).

Ours: what has no score counts as r = 1/2 (``selection.promise``), and an episode that its token budget cut off takes no
place from what goes on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from decoding.search.options import require_count, require_pauses
from decoding.search.plan import Plan, drop, expand
from decoding.search.scorers.registry import make_scorer
from decoding.search.selection import best, candidates_of, is_cut_off, promise
from decoding.search.strategy import Candidate, Problem, Selection
from decoding.steps import Steps
from envs.environment import Environment


@dataclass(frozen=True, kw_only=True)
class BeamSearch:
    """The ``beams`` best partial answers, step by step.

    The first step is sampled ``beams * width`` times, so that it is as wide as the others. Answers that are complete
    stay in the pool and compete with those that go on; the search is over when the ``beams`` best are all answers.

    Raises:
        ConfigurationError: an option has no meaning.
    """

    beams: int
    """Partial answers that are kept after a step."""
    width: int
    """Next steps of each."""
    scorer: Any
    """A ``Scorer``, or what a configuration names one by (``make_scorer``)."""
    step: Steps = Steps()
    """What a beam writes at a time."""

    def __post_init__(self) -> None:
        require_count("beam", "beams", self.beams)
        require_count("beam", "width", self.width)
        object.__setattr__(self, "scorer", make_scorer(self.scorer))

    def steps(self, environment: Environment[Any]) -> Steps:
        """As configured.

        Raises:
            ConfigurationError: a step would be a whole answer.
        """
        return require_pauses("beam", self.step, environment)

    def search(self, problem: Problem) -> Plan[Selection | None]:
        """Expands and prunes until the best are answers, or the budget is at its end."""
        ended: list[Candidate] = []
        stuck: list[Candidate] = []
        going = [Candidate(state=problem.root)]
        width = self.beams * self.width
        while going:
            children = yield from expand([beam.state for beam in going], width=width, until="step")
            scores: list[float | None] = (yield from self.scorer.score(problem, children)) if children else []
            stepped = candidates_of(children, scores=scores)
            # What the budget has no step for has come as far as it can.
            continued = {id(child.parent) for child in children}
            left = [beam for beam in going if id(beam.state) not in continued and beam.state.parent is not None]
            stuck += left
            ended += [candidate for candidate in stepped if candidate.state.is_final]
            partial = [candidate for candidate in stepped if not candidate.state.is_final]
            kept = self._kept([*(one for one in ended if not is_cut_off(one.state)), *partial])
            going = [beam for beam in kept if not beam.state.is_final]
            yield from drop([one.state for one in (*left, *partial) if one not in going])
            width = self.width
        pool = tuple(ended or stuck)
        return Selection(chosen=best(pool).state, candidates=pool) if pool else None

    def _kept(self, pool: Sequence[Candidate]) -> list[Candidate]:
        """The best of the pool; of equal ones, those that were found first."""
        return sorted(pool, key=lambda candidate: -promise(candidate.score))[: self.beams]
