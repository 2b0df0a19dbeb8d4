"""The tree search of ReEx-SQL: answers that branch where the environment answered, merge on equal results, and vote.

Every node holds a quota of the answers that are asked for. Where the environment has answered its turn, it is expanded
into up to ``branching`` children, which share the quota evenly; those that were answered alike (another query with the
same result) merge, and the one that was sampled first is followed with the quota of all. An answer is a leaf that
weighs its quota. So at most as many turns are sampled as by independent answers, and the vote has the same total.

Shares are even and independent of what the children say, so that with ``merge: none``, or among siblings, every answer
has the expected weight that it has among independent samples (``decoding.tree_decoder`` has the reasons). Merging a
whole level, and a ``beam``, give this up for fewer turns.

The method is that of arXiv 2505.12768 (ReEx-SQL), whose widths are not published; quotas, ``merge: level`` and ``beam``
are ours. Not covered: branching inside of a turn.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from decoding.search.options import require_choice, require_count
from decoding.search.plan import Plan, drop, examine, expand
from decoding.search.selection import candidates_of, comparable, vote
from decoding.search.state import State
from decoding.search.strategy import Problem, Selection
from decoding.steps import WHOLE_ANSWERS, Steps
from envs.environment import Environment
from envs.errors import ConfigurationError

MERGES = ("siblings", "level", "none")


@dataclass(frozen=True, kw_only=True)
class ReExTree:
    """A tree of turns, and a vote over its leaves.

    Raises:
        ConfigurationError: an option has no meaning.
    """

    leaves: int
    """Answers that it stands for, as often as they merged."""
    branching: int = 2
    """Children of each turn that was answered, at most."""
    first_branching: int | None = None
    """Samples of the first turn; None: as many as ``branching``."""
    merge: Literal["siblings", "level", "none"] = "siblings"
    """Which turns with equal results become one: those after the same turn, all of the same depth, or none."""
    beam: int | None = None
    """Most turns of one depth that go on: those with the largest quotas, then the highest mean log-probabilities. Their
    quotas grow in proportion by those of the others. None: all."""

    def __post_init__(self) -> None:
        require_count("reex_tree", "leaves", self.leaves)
        require_count("reex_tree", "branching", self.branching, least=2)
        if self.first_branching is not None:
            require_count("reex_tree", "first_branching", self.first_branching)
        require_choice("reex_tree", "merge", self.merge, MERGES)
        if self.beam is not None:
            require_count("reex_tree", "beam", self.beam)

    def steps(self, environment: Environment[Any]) -> Steps:
        """Turns are sampled whole.

        Raises:
            ConfigurationError: the environment answers no turns.
        """
        if not environment.stops:
            raise ConfigurationError(
                f"environment '{environment.name}' answers no turns, so that strategy 'reex_tree' has nothing to branch"
                " at; give its option tags a step, an observation and an answer, or use self_consistency"
            )
        return WHOLE_ANSWERS

    def search(self, problem: Problem) -> Plan[Selection | None]:
        """Grows the tree level by level, examines its leaves, and votes."""
        leaves = yield from self._grown(problem.root)
        if not leaves:
            return None
        found = yield from examine(leaves)
        candidates = candidates_of(leaves, found=found)
        return Selection(chosen=vote(candidates, weighted=False).state, candidates=candidates)

    def _grown(self, root: State) -> Plan[list[State]]:
        """The leaves, whose quotas add up to ``self.leaves``; none where not even the first turn was granted."""
        leaves: list[State] = []
        growing = [replace(root, quota=self.leaves)]
        branching = self.first_branching or self.branching
        while growing:
            widths = [min(branching, state.quota) for state in growing]
            children = with_shares(growing, (yield from expand(growing, width=widths, until="turn")))
            # Where the budget had no child for a turn that was said, this is as far as its share of the answers gets.
            continued = {id(child.parent) for child in children}
            stuck = [state for state in growing if id(state) not in continued and state.parent is not None]
            leaves += [*stuck, *(child for child in children if child.is_final)]
            answered = [child for child in children if not child.is_final]
            growing = self._kept(merged(answered, self.merge))
            # These are copies with other quotas.
            followed = {id(state.episode) for state in growing}
            yield from drop([*stuck, *(state for state in answered if id(state.episode) not in followed)])
            branching = self.branching
        return leaves

    def _kept(self, level: Sequence[State]) -> list[State]:
        """The turns of a level that go on, in their order, with the quotas of all."""
        if self.beam is None or len(level) <= self.beam:
            return list(level)
        by_rank = sorted(
            range(len(level)), key=lambda place: (-level[place].quota, -comparable(level[place].mean_logprob))
        )
        kept = [level[place] for place in sorted(by_rank[: self.beam])]
        quotas = shares(sum(state.quota for state in level), [state.quota for state in kept])
        return [replace(state, quota=quota) for state, quota in zip(kept, quotas, strict=True)]


def shares(total: int, weights: Sequence[int]) -> list[int]:
    """``total`` in whole parts as proportional to ``weights`` as can be: what rounding down leaves goes to the largest
    remainders, the first of equals first."""
    whole = sum(weights)
    parts = [total * weight // whole for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda place: -(total * weights[place] % whole))
    for place in by_remainder[: total - sum(parts)]:
        parts[place] += 1
    return parts


def with_shares(parents: Sequence[State], children: Sequence[State]) -> list[State]:
    """The children with even shares of their parents' quotas: of as many of them as were granted."""
    siblings: dict[int, list[State]] = {id(parent): [] for parent in parents}
    for child in children:
        siblings[id(child.parent)].append(child)
    return [
        replace(child, quota=quota)
        for parent in parents
        for child, quota in zip(
            siblings[id(parent)], shares(parent.quota, [1] * len(siblings[id(parent)])), strict=True
        )
    ]


def merged(level: Sequence[State], merge: Literal["siblings", "level", "none"]) -> list[State]:
    """The turns of a level, of those that were answered alike the first one with the quotas of all. What no digest
    identifies equals nothing."""
    groups: dict[object, list[State]] = {}
    for place, state in enumerate(level):
        within = id(state.parent) if merge == "siblings" else 0
        is_alone = merge == "none" or state.digest is None
        groups.setdefault(("alone", place) if is_alone else (within, state.digest), []).append(state)
    return [replace(group[0], quota=sum(state.quota for state in group)) for group in groups.values()]
