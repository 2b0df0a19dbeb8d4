"""A driver of searches whose model is a tree of steps that is written out, within a budget, for tests of strategies.

Every state is a place in the tree. Children are either all places that can be reached, one after the other, or drawn.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from decoding.episode import Episode
from decoding.search.account import SearchBudget
from decoding.search.plan import Ask, AskAll, Begin, Drop, Examine, Expand, Plan, Rate, Rating, Said, Until, rate
from decoding.search.state import State
from decoding.search.strategy import Problem, Selection, Strategy
from envs.examination import Examination
from envs.task import Task
from envs.transcript import Segment, Transcript


@dataclass(frozen=True, kw_only=True)
class Step:
    """A step of the model, and all that could follow it; one without children ends its answer."""

    text: str
    children: tuple["Step", ...] = ()
    score: float | None = None
    """What ``StepScorer`` gives to a state that ends here."""
    chance: float = 1.0
    """In proportion to which it is drawn among its siblings."""
    logprob: float = -1.0
    tokens: int = 1
    digest: str | None = None
    """Of the environment's answer to it."""
    is_answered: bool = False
    """It ends a turn, which the environment answers."""
    meaning: str | None = None
    """The digest of its examination."""
    is_cut: bool = False
    """The token budget of its episode ends it here."""

    def leaves(self) -> list[tuple["Step", ...]]:
        """The paths below it that end an answer."""
        return [(self, *path) for child in self.children for path in child.leaves()] if self.children else [(self,)]


@dataclass(kw_only=True)
class ScriptedSearch:
    """Grants a plan's wishes, and holds it to the contract: what is expanded is open, was not expanded before, and was
    not given up; what is given up could have been expanded."""

    tree: Step
    """Its root is the prompt, of which nothing was said."""
    random: Random | None = None
    """Draws children; without it they are all that can be reached, in turn: a second state at the same place goes on
    where the first one stopped."""
    tokens: int | None = None
    """That are left, of which the children of an expansion have even shares: what exceeds its own is cut, and has no
    children, whatever others leave."""
    verifier_calls: int | None = None
    expansions: int | None = None
    budget: SearchBudget | None = None
    """What a strategy is told that it may spend; None: what it may."""
    seed: int = 0
    """Of the search."""
    says: Callable[[Ask], str] | None = None
    task: Task = field(default_factory=lambda: Task(id="task"))
    environment: Any = None
    expanded: int = 0
    """Children that were made."""
    ended: int = 0
    """Of them, those that are final."""
    rounds: int = 0
    """Expansions that were asked for."""
    wishes: list[object] = field(default_factory=list)
    _paths: dict[int, tuple[Step, ...]] = field(default_factory=dict)
    _episodes: list[Episode] = field(default_factory=list)
    _turns: dict[tuple[tuple[str, ...], Until], Iterator[tuple[Step, ...]]] = field(default_factory=dict)
    _closed: set[int] = field(default_factory=set)
    _given_up: set[int] = field(default_factory=set)
    _cut: set[int] = field(default_factory=set)
    _examined: set[int] = field(default_factory=set)

    def search(self, strategy: Strategy) -> Selection | None:
        """What a strategy selects."""
        # Nothing at all is no budget that could be configured.
        told = self.budget or SearchBudget(
            max_tokens=self.tokens or None,
            max_verifier_calls=self.verifier_calls,
            max_expansions=self.expansions or None,
        )
        problem = Problem(
            task=self.task,
            environment=self.environment,
            root=self._state((self.tree,), None),
            seed=self.seed,
            budget=told,
        )
        return self.run(strategy.search(problem))

    def run(self, plan: Plan[Any]) -> Any:
        """What a plan returns."""
        granted: Any = None
        while True:
            try:
                wish = plan.send(granted)
            except StopIteration as end:
                return end.value
            self.wishes += wish.questions if isinstance(wish, AskAll) else [wish]
            granted = self._grant(wish)

    @property
    def open(self) -> int:
        """States that could still be expanded."""
        begun = {id(one) for one in self._episodes if self._paths[id(one)][-1].children}
        return len(begun - self._closed - self._given_up)

    def path(self, state: State) -> tuple[Step, ...]:
        """The steps of a state, the root included."""
        return self._paths[id(state.episode)]

    def rating(self, states: Sequence[State]) -> list[Rating]:
        """The scores of their last steps; nan for None."""
        scores = [self.path(state)[-1].score for state in states]
        return [Rating(score=math.nan if score is None else score, tokens=1) for score in scores]

    def _grant(self, wish: object) -> Any:
        if isinstance(wish, Begin):
            return self._state((self.tree,), None)
        if isinstance(wish, Expand):
            return self._expand(wish)
        if isinstance(wish, Drop):
            return self._drop(wish)
        if isinstance(wish, Examine):
            return [self._examination(state) for state in wish.states]
        if isinstance(wish, AskAll):
            return [[self._said(question) for _ in range(question.n)] for question in wish.questions]
        assert isinstance(wish, Rate)
        return [rating if self._verifies() else None for rating in wish.rater(wish.states)]

    def _drop(self, wish: Drop) -> None:
        for state in wish.states:
            assert not state.is_final, "a final state was given up"
            assert id(state.episode) not in self._given_up, "a state was given up twice"
            self._given_up.add(id(state.episode))

    def _said(self, question: Ask) -> Said:
        assert self.says is not None
        return Said(text=self.says(question), logprob=-1.0, tokens=1)

    def _expand(self, wish: Expand) -> list[State]:
        self.rounds += 1
        assert all(width >= 1 for width in wish.widths)
        children = []
        asked = list(zip(wish.states, wish.widths, strict=True))
        left = sum(width for state, width in asked if id(state.episode) not in self._cut)
        for state, width in asked:
            assert not state.is_final, "a final state was expanded"
            assert id(state.episode) not in self._closed, "a state was expanded twice"
            assert id(state.episode) not in self._given_up, "a state was expanded that was given up"
            self._closed.add(id(state.episode))
            ends = self._ends(self.path(state), wish.until)
            before = len(children)
            for _ in range(0 if id(state.episode) in self._cut else width):
                child = self._child(state, next(ends), most=None if self.tokens is None else self.tokens // left)
                children += [] if child is None else [child]
                left -= 1
            if len(children) == before:  # it was granted nothing, and stays as it was
                self._closed.discard(id(state.episode))
        return children

    def _child(self, state: State, path: tuple[Step, ...], most: int | None) -> State | None:
        """A state at the end of ``path``, or as far as ``most`` tokens reach; None where they reach nowhere."""
        if self.expansions is not None and self.expanded >= self.expansions:
            return None
        reached = said = len(self.path(state))
        while reached < len(path) and (most is None or sum(step.tokens for step in path[said : reached + 1]) <= most):
            reached += 1
        if reached == said:
            return None
        self.expanded += 1
        child = self._state(path[:reached], state)
        self.ended += child.is_final
        if reached < len(path):
            self._cut.add(id(child.episode))
        if self.tokens is not None:
            self.tokens -= child.tokens - state.tokens
        return child

    def _ends(self, path: tuple[Step, ...], until: Until) -> Iterator[tuple[Step, ...]]:
        """The places where an expansion stops, drawn or in turn."""
        if self.random is None:
            texts = tuple(step.text for step in path)
            return self._turns.setdefault((texts, until), itertools.cycle(list(_stops(path, until))))
        return (self._drawn(path, until) for _ in itertools.count())

    def _drawn(self, path: tuple[Step, ...], until: Until) -> tuple[Step, ...]:
        assert self.random is not None
        while True:
            below = path[-1].children
            path = (*path, self.random.choices(below, weights=[step.chance for step in below])[0])
            if _is_stop(path[-1], until):
                return path

    def _state(self, path: tuple[Step, ...], parent: State | None) -> State:
        episode = Episode(task=self.task, place=0, row=-1, prompt_ids=())
        self._paths[id(episode)] = path
        self._episodes.append(episode)  # kept, so that no other one gets its id
        said = path[1:]
        return State(
            task=self.task,
            transcript=Transcript(
                segments=tuple(Segment(author="model", text=step.text) for step in said), is_truncated=path[-1].is_cut
            ),
            is_final=not path[-1].children,
            logprob=sum(step.logprob for step in said),
            log_z=None,
            tokens=sum(step.tokens for step in said),
            digest=path[-1].digest,
            parent=parent,
            quota=1 if parent is None else parent.quota,
            episode=episode,
        )

    def _examination(self, state: State) -> Examination | None:
        if id(state.episode) not in self._examined:
            if not self._verifies():
                return None
            self._examined.add(id(state.episode))
        step = self.path(state)[-1]
        return Examination(answer=step.text, digest=step.meaning, is_valid=step.meaning is not None)

    def _verifies(self) -> bool:
        if self.verifier_calls is None:
            return True
        self.verifier_calls -= 1
        return self.verifier_calls >= 0


@dataclass(frozen=True, kw_only=True)
class StepScorer:
    """The scores that are written in the tree; each costs a verifier call."""

    scripted: ScriptedSearch

    def score(self, problem: Problem, states: Sequence[State]) -> Plan[list[float | None]]:
        ratings = yield from rate(self.scripted.rating, states)
        return [None if rating is None or math.isnan(rating.score) else rating.score for rating in ratings]


def _is_stop(step: Step, until: Until) -> bool:
    return not step.children or until == "step" or (until == "turn" and step.is_answered)


def _stops(path: tuple[Step, ...], until: Until) -> Iterator[tuple[Step, ...]]:
    for child in path[-1].children:
        if _is_stop(child, until):
            yield (*path, child)
        else:
            yield from _stops((*path, child), until)


def random_tree(
    random: Random, *, depth: int = 3, width: int = 3, is_full: bool = False, unscored: float = 0.0, text: str = ""
) -> Step:
    """A tree of up to ``depth`` steps with random scores, results and meanings.

    Args:
        is_full: no answer ends before ``depth``, every step is followed by ``width`` others, and the environment
            answers all steps.
        unscored: how often a step has no score.
        text: of its root.
    """
    is_leaf = depth == 0 or (text != "" and not is_full and random.random() < 0.3)
    options = {"depth": depth - 1, "width": width, "is_full": is_full, "unscored": unscored}
    followers = 0 if is_leaf else width if is_full else random.randint(1, width)
    children = tuple(random_tree(random, **options, text=f"{text}{place}") for place in range(followers))
    is_answered = not is_leaf and (is_full or random.random() < 0.8)
    return Step(
        text=text,
        children=children,
        score=None if random.random() < unscored else random.random(),
        chance=random.uniform(0.2, 1.0),
        logprob=math.nan if random.random() < 0.05 else -random.random(),
        tokens=random.randint(1, 3),
        digest=random.choice(["few", "many"] if is_full else [None, "few", "many"]) if is_answered else None,
        is_answered=is_answered,
        meaning=random.choice([None, "one", "two", "three"]) if is_leaf else None,
    )
