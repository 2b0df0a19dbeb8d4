"""The contracts of a search: what expands, what scores, what is selected in the end."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from decoding.search.account import SearchBudget
from decoding.search.plan import Plan
from decoding.search.state import State
from decoding.steps import Steps
from envs.environment import Environment
from envs.task import Task


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A state that could have been the answer, and what was found of it."""

    state: State
    score: float | None = None
    """By which it was compared; None where nothing was scored."""
    digest: str | None = None
    """Candidates with the same one mean the same."""


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The end of a search."""

    chosen: State
    """What is judged. Where it is not final, the budget has ended it."""
    candidates: tuple[Candidate, ...]
    """All that were compared, ``chosen`` among them, in the order in which they were found."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What a strategy is told of its task."""

    task: Task
    environment: Environment[Any]
    root: State
    """Of the environment's own prompt."""
    seed: int
    """Of this search: what a strategy draws by itself follows from it (``decoding.seeds.derived_seed``)."""
    budget: SearchBudget
    """What the whole search may spend, for strategies that divide it. Nobody has to keep to it: no more is granted."""


class Strategy(Protocol):
    """A way to search. Implementations are frozen dataclasses whose fields are the strategy's options."""

    def steps(self, environment: Environment[Any]) -> Steps:
        """What ``until="step"`` means.

        Raises:
            ConfigurationError: the environment cannot be searched so.
        """
        ...

    def search(self, problem: Problem) -> Plan[Selection | None]:
        """The plan for one task; None where the budget had no room for any answer."""
        ...


class Scorer(Protocol):
    """Says how good states are. Implementations are frozen dataclasses whose fields are the scorer's options."""

    def score(self, problem: Problem, states: Sequence[State]) -> Plan[list[float | None]]:
        """One number from 0 to 1 a state, of the same task, in order; None where nothing can be said."""
        ...
