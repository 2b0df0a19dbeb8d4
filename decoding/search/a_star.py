"""A*-decoding: the partial answer with the lowest cost so far plus the lowest estimate of what is to come goes on.

After arXiv 2505.13672: a state is a partial answer, its heuristic is h(s) = 1 - r(s) for a score r in [0, 1], the state
with the lowest f = g + h is expanded into ``width`` next steps, and the search is over when an answer that has ended is
the one with the lowest f.

The paper's equation of g was not at hand, so nothing here claims to be the paper's g: a survey has it that "g
accumulates only increases in [the heuristic value] to preserve optimality", and this is read in two ways. With c(s, s')
the cost of the step from s to s', and g the sum of the costs from the root,

- ``gain``: c = max(0, r(s') - r(s)), increases in the score. Then c >= h(s) - h(s'): h is consistent, f never falls
  along a path (it rises by what the score falls), and the first answer that is taken has the lowest f of all that
  could have been sampled. This is the property that the survey names.
- ``loss``: c = max(0, h(s') - h(s)), increases in 1 - r. The survey to the letter; f can fall, and nothing is optimal.
- ``zero``: c = 0, greedy best-first search.

Ours: the first step costs nothing, since nothing can be scored before it; among equal f the higher score goes first,
then an answer that has ended, then the longer path, then what was found first; a state without a score counts as
r = 1/2 (``selection.promise``); an episode that its token budget cut off is no answer that ends the search.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from decoding.search.options import require_choice, require_count, require_pauses
from decoding.search.plan import Plan, drop, expand
from decoding.search.scorers.registry import make_scorer
from decoding.search.selection import best, is_cut_off, promise
from decoding.search.state import State
from decoding.search.strategy import Candidate, Problem, Selection
from decoding.steps import Steps
from envs.environment import Environment

COSTS = ("gain", "loss", "zero")
Order = tuple[float, float, bool, int, int]
DECIMALS = 9
"""Of f: sums of the same costs in another order differ in the last bits, and are equal."""


@dataclass(frozen=True, kw_only=True)
class AStar:
    """Best-first search over steps.

    Raises:
        ConfigurationError: an option has no meaning.
    """

    width: int
    """Next steps of a state that is expanded."""
    scorer: Any
    """A ``Scorer``, or what a configuration names one by (``make_scorer``)."""
    step: Steps = Steps()
    """What is written at a time."""
    g: Literal["gain", "loss", "zero"] = "gain"
    """What a step costs; see above."""
    max_expansions: int | None = 64
    """States that are expanded at most, the root included; None: as many as the budget has room for. Where no answer
    is much better than what could still go on, a search without a limit expands all there is."""

    def __post_init__(self) -> None:
        require_count("a_star", "width", self.width)
        require_choice("a_star", "g", self.g, COSTS)
        if self.max_expansions is not None:
            require_count("a_star", "max_expansions", self.max_expansions)
        object.__setattr__(self, "scorer", make_scorer(self.scorer))

    def steps(self, environment: Environment[Any]) -> Steps:
        """As configured.

        Raises:
            ConfigurationError: a step would be a whole answer.
        """
        return require_pauses("a_star", self.step, environment)

    def search(self, problem: Problem) -> Plan[Selection | None]:
        """Expands until the state with the lowest f is a complete answer. Where the budget has no steps left for a
        state, it is passed over, so that in the end the answer with the lowest f is found; or else what came
        furthest."""
        node = _Node(candidate=Candidate(state=problem.root), cost=0.0, place=0)
        frontier: list[tuple[Order, _Node]] = []
        ended: list[Candidate] = []
        stuck: list[_Node] = []
        expansions, found = 0, 1
        while True:
            is_spent = expansions == self.max_expansions
            children = [] if is_spent else (yield from expand([node.candidate.state], width=self.width, until="step"))
            if children:
                expansions += 1
                scores: list[float | None] = yield from self.scorer.score(problem, children)
                for child in self._stepped(node, children, scores, found):
                    if child.candidate.state.is_final:
                        ended.append(child.candidate)
                    if not is_cut_off(child.candidate.state):
                        heapq.heappush(frontier, (child.order(), child))
                found += len(children)
            elif node.is_said:
                stuck.append(node)
                yield from drop([node.candidate.state])
            if not frontier:
                return _furthest(ended, stuck)
            _, node = heapq.heappop(frontier)
            if node.candidate.state.is_final:
                yield from drop([one.candidate.state for _, one in frontier if not one.candidate.state.is_final])
                return Selection(chosen=node.candidate.state, candidates=tuple(ended))

    def _stepped(
        self, parent: "_Node", children: Sequence[State], scores: Sequence[float | None], found: int
    ) -> list["_Node"]:
        """The children of a node; ``found`` states were there before them."""
        nodes = []
        for place, (child, score) in enumerate(zip(children, scores, strict=True), start=found):
            candidate = Candidate(state=child, score=score)
            cost = self._cost(_score(parent.candidate), _score(candidate)) if parent.is_said else 0.0
            nodes.append(_Node(candidate=candidate, cost=parent.cost + cost, place=place))
        return nodes

    def _cost(self, before: float, after: float) -> float:
        """c(s, s') of a step from a score r(s) to r(s')."""
        if self.g == "zero":
            return 0.0
        return max(0.0, after - before) if self.g == "gain" else max(0.0, before - after)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Node:
    candidate: Candidate
    cost: float
    """g."""
    place: int
    """In the order in which all were found."""

    @property
    def is_said(self) -> bool:
        """It is not the root."""
        return self.candidate.state.parent is not None

    def order(self) -> Order:
        """The lowest goes on first."""
        state, score = self.candidate.state, _score(self.candidate)
        return (round(self.cost + 1 - score, DECIMALS), -score, not state.is_final, -state.depth, self.place)


def _furthest(ended: Sequence[Candidate], stuck: Sequence[_Node]) -> Selection | None:
    """Where no answer is complete: the best of those that were cut off, or else of the partial ones."""
    pool = tuple(ended or (node.candidate for node in sorted(stuck, key=lambda node: node.place)))
    return Selection(chosen=best(pool).state, candidates=pool) if pool else None


def _score(candidate: Candidate) -> float:
    return promise(candidate.score)
