"""One search while it runs: its plan, its states, and the rows that stand for them."""

from dataclasses import dataclass, field
from typing import Any

from decoding.episode import Episode
from decoding.episode_loop import Answer
from decoding.search.account import Account
from decoding.search.plan import Plan, Until, Wish
from decoding.search.state import State
from decoding.search.strategy import Selection
from decoding.seeds import derived_seed
from envs.task import Task
from envs.transcript import Segment, Transcript


@dataclass(kw_only=True, eq=False)
class Growing:
    """A child that is being written, or waits until the budget has room for it."""

    parent: State
    until: Until
    origin: "Standing"
    """What it goes on from."""
    sample: int
    """Of the children of its parent."""
    live: Episode | None = None
    """Of its row; None for the child of a root until it is begun."""
    is_begun: bool = False
    counted: int = 0
    """Tokens of it that its account knows of."""
    reserved: int | None = None
    """Of what its account keeps back for it, the part that it has not written; None: it has no limit."""
    grown: State | None = None

    @property
    def begun(self) -> int:
        """Tokens by the model when its step began."""
        return self.origin.snapshot.written


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What a state is expanded from."""

    snapshot: Episode
    """The state's own."""
    live: Episode | None
    """Of its row; None for a root, which has none yet."""
    observation_ids: tuple[int, ...] = ()
    """What the environment said last, which the row does not hold yet."""
    temperature: float = 1.0
    """Of a root: that of the rows which begin from it."""
    seed: int = 0
    """Of a root: that of the rows which begin from it."""


@dataclass(kw_only=True, eq=False)
class Search:
    """One search. It knows neither engine nor session."""

    task: Task
    seed: int
    plan: Plan[Selection | None]
    account: Account
    temperature: float
    standing: dict[int, Standing] = field(default_factory=dict)
    """The states that can be expanded, by ``id(state.episode)``: a strategy may make others of the same episode."""
    growing: list[Growing] = field(default_factory=list)
    """The children of the expansion in progress, in the order in which they are answered."""
    examined: dict[int, Episode] = field(default_factory=dict)
    """The episodes of the states that were, by ``id(state.episode)``."""
    wish: Wish | None = None
    """What the plan waits for; None: it is over."""
    selection: Selection | None = None
    draws: int = 0
    """Random streams that were given out."""

    def send(self, result: Any) -> None:
        """Goes on with the plan up to its next wish, or its end."""
        try:
            self.wish = self.plan.send(result)
        except StopIteration as end:
            self.wish, self.selection = None, end.value

    def next_seed(self, kind: str) -> int:
        """A seed for what is drawn next; the first one is the search's own, so that a search that only samples draws
        what ``SampleDecoder`` draws."""
        self.draws += 1
        return self.seed if self.draws == 1 else derived_seed(self.seed, f"{kind} {self.draws}")

    def begin_root(self, unsaid: Episode, temperature: float) -> State:
        """A root, which costs nothing yet."""
        snapshot = unsaid.snapshot()
        self.standing[id(snapshot)] = Standing(
            snapshot=snapshot, live=None, temperature=temperature, seed=self.next_seed("root")
        )
        return State.of(snapshot, Transcript(segments=(), begins_in_reasoning=unsaid.begins_in_reasoning))

    def grow(self, child: Growing, transcript: Transcript, answer: Answer | None) -> None:
        """Makes a state of a child whose step has ended.

        Args:
            child: has a row.
            transcript: of its episode, without what the environment answered last.
            answer: what ended the step; None: the episode is over.
        """
        episode = child.live
        assert episode is not None
        if answer is not None and answer.text:
            said = Segment(author="environment", text=answer.text)
            transcript = Transcript(
                segments=(*transcript.segments, said),
                begins_in_reasoning=transcript.begins_in_reasoning,
                tokens=transcript.tokens,
            )
        # The row's own episode is written on; what is judged in the end must not change.
        snapshot = episode.snapshot()
        digest = None if answer is None else answer.digest
        child.grown = State.of(snapshot, transcript, digest=digest, parent=child.parent)
        if answer is not None:
            self.standing[id(snapshot)] = Standing(snapshot=snapshot, live=episode, observation_ids=answer.token_ids)

    @property
    def grown(self) -> list[State] | None:
        """The children of the expansion in progress, once all of them are there."""
        states = [child.grown for child in self.growing]
        return None if None in states else [state for state in states if state is not None]

    def take_standing(self, state: State) -> Standing:
        """What a state is expanded from, once.

        Raises:
            ValueError: it is final, was expanded before, or is another search's.
        """
        standing = self.standing.pop(id(state.episode), None)
        if standing is None:
            what = "is final" if state.is_final else "was expanded before, or is another search's"
            raise ValueError(f"a state of task '{self.task.id}' at depth {state.depth} cannot be expanded: it {what}")
        return standing
