"""What a search asks for, and the plans that ask for it.

A strategy is written for one task alone, as a generator: it yields what it needs next and is sent what came of it.
Whoever drives it (``decoding.search.driver``) runs the plans of many tasks at once, so that their rows fill one batch.
Plans are made of smaller ones with ``yield from``:

    children = yield from expand(states, width=4, until="step")
    scores = yield from self.scorer.score(children)

Whatever is asked for is granted as far as the task's budget goes: fewer children, or None in place of an examination.
So no plan can spend more than its budget, and none has to count.
"""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from decoding.search.state import State
from envs.examination import Examination
from envs.grammar import Grammar
from envs.transcript import Message

Until = Literal["step", "turn", "end"]
"""How far an expansion goes: to the next delimiter of the strategy's steps or what comes first of the following; to the
environment's next answer; to the end of the episode."""


@dataclass(frozen=True, kw_only=True)
class Begin:
    """A new root. Costs nothing before it is expanded.

    Answered with a ``State``, or None where the prompt does not fit the model's window.
    """

    messages: tuple[Message, ...] | None = None
    """What opens the episode; None: the environment's own prompt."""
    temperature: float | None = None
    """Of all that is expanded from it; None: the decoder's own."""


@dataclass(frozen=True, kw_only=True)
class Expand:
    """Continue states.

    Answered with a list of their children, those of the first state first; fewer, or none, at the budget's end. A state
    can be expanded once, and a final one not at all.
    """

    states: tuple[State, ...]
    widths: tuple[int, ...]
    """Children of each state, from 1."""
    until: Until


@dataclass(frozen=True, kw_only=True)
class Drop:
    """Give up states that will not be expanded: their rows, and the memory that they hold. They can still be chosen.

    Answered with None. States that are final, or were expanded, have no row.
    """

    states: tuple[State, ...]


@dataclass(frozen=True, kw_only=True)
class Examine:
    """See what can be said of states without the gold. Each state costs one verifier call, once.

    Answered with a list of ``Examination | None``, all made in one call, so that digests can be compared; None beyond
    the budget.
    """

    states: tuple[State, ...]


@dataclass(frozen=True, kw_only=True)
class Ask:
    """A question to the model, outside of any episode."""

    messages: tuple[Message, ...]
    max_new_tokens: int
    n: int = 1
    temperature: float | None = None
    """None: the decoder's own."""
    grammar: Grammar | None = None
    stops: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class AskAll:
    """Put questions to the model, all in one batch.

    Answered with a list of ``Said`` for each: fewer at the budget's end, none where the prompt does not fit the window.
    """

    questions: tuple[Ask, ...]


@dataclass(frozen=True, kw_only=True)
class Said:
    """What the model answered to a question."""

    text: str
    """Special tokens left out; a stop string at its end belongs to it."""
    logprob: float
    """The sum over its tokens; nan where the engine does not tell."""
    tokens: int


@dataclass(frozen=True, kw_only=True)
class Rating:
    """What a rater made of one state."""

    score: float
    """From 0 to 1."""
    tokens: int
    """That it read; counted as the verifier's."""


@dataclass(frozen=True, kw_only=True)
class Rate:
    """Let another model rate states. Each state costs one verifier call.

    Answered with a list of ``Rating | None``; None beyond the budget.
    """

    rater: Callable[[Sequence[State]], list[Rating]]
    """Called with the states of many tasks at once: the same object for all that can be rated together."""
    states: tuple[State, ...]


Wish = Begin | Expand | Drop | Examine | AskAll | Rate
ResultT = TypeVar("ResultT")
Plan = Generator[Wish, Any, ResultT]


def begin(messages: Sequence[Message] | None = None, *, temperature: float | None = None) -> Plan[State | None]:
    """A new root; None where its prompt does not fit the model's window."""
    root: State | None = yield Begin(messages=None if messages is None else tuple(messages), temperature=temperature)
    return root


def expand(states: Sequence[State], *, width: int | Sequence[int] = 1, until: Until = "end") -> Plan[list[State]]:
    """The children of states that are not final, those of the first one first. ``width``: of all, or one for each."""
    widths = (width,) * len(states) if isinstance(width, int) else tuple(width)
    if not states:
        return []
    children: list[State] = yield Expand(states=tuple(states), widths=widths, until=until)
    return children


def drop(states: Sequence[State]) -> Plan[None]:
    """Gives up states that will not be expanded."""
    if states:
        yield Drop(states=tuple(states))


def examine(states: Sequence[State]) -> Plan[list[Examination | None]]:
    """What can be said of each state without the gold; None beyond the budget."""
    if not states:
        return []
    found: list[Examination | None] = yield Examine(states=tuple(states))
    return found


def ask(
    messages: Sequence[Message],
    *,
    max_new_tokens: int,
    n: int = 1,
    temperature: float | None = None,
    grammar: Grammar | None = None,
    stops: tuple[str, ...] = (),
) -> Plan[list[Said]]:
    """What the model answers to a question outside of any episode."""
    question = Ask(
        messages=tuple(messages),
        max_new_tokens=max_new_tokens,
        n=n,
        temperature=temperature,
        grammar=grammar,
        stops=stops,
    )
    (said,) = yield from ask_all([question])
    return said


def ask_all(questions: Sequence[Ask]) -> Plan[list[list[Said]]]:
    """What the model answers to each of several questions, which are asked in one batch."""
    if not questions:
        return []
    said: list[list[Said]] = yield AskAll(questions=tuple(questions))
    return said


def rate(rater: Callable[[Sequence[State]], list[Rating]], states: Sequence[State]) -> Plan[list[Rating | None]]:
    """What another model makes of states; None beyond the budget."""
    if not states:
        return []
    ratings: list[Rating | None] = yield Rate(rater=rater, states=tuple(states))
    return ratings
