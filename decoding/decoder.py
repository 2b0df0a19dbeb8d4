"""Decoders: strategies over an engine and an environment. Training and evaluation use the same ones.

Here: independent samples. Trees that branch where the environment answered are in ``decoding.tree_decoder``.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from transformers import PreTrainedTokenizerBase

from decoding.budgets import Budgets
from decoding.chat_prompt import opens_reasoning, prompt_ids
from decoding.cost_meter import CostMeter
from decoding.engine import Engine
from decoding.episode import Episode
from decoding.episode_loop import EpisodeLoop
from decoding.rollout import Group, Ledger, Rollout
from decoding.search.strategy import Candidate
from decoding.seeds import derived_seed, task_seeds
from decoding.session import Session
from decoding.token_text import encode_text, require_plain_tags
from envs.environment import Environment, tags_of_environment
from envs.errors import ConfigurationError
from envs.task import Task
from rewards.credit import Branch


@dataclass(frozen=True, kw_only=True)
class Decoding:
    """The groups of a decode, in the order of its tasks, and what they cost."""

    groups: tuple[Group, ...]
    ledger: Ledger


@dataclass(frozen=True, kw_only=True)
class Finish:
    """One task of a stream, judged."""

    place: int
    """Of the task among those that were given."""
    group: Group
    cost: Ledger
    """What was spent since the finish before; those of a stream add up to the whole."""
    candidates: tuple[tuple[Candidate, ...], ...] | None = None
    """What each of the group's rollouts was chosen from; None where nothing was searched."""


class Decoder(Protocol):
    """Makes and judges the rollouts of tasks."""

    def decode(self, tasks: Sequence[Task], *, n: Sequence[int], seed: int | None = None) -> Decoding:
        """``n[i]`` rollouts of ``tasks[i]``; with a ``seed`` the same ones each time, whatever the batch."""
        ...


class StreamingDecoder(Decoder, Protocol):
    """A decoder that hands each task over as soon as its rollouts are there, and keeps its batch full with others."""

    def stream(
        self, tasks: Sequence[Task], *, n: Sequence[int], seed: int | None = None, most_rows: int | None = None
    ) -> Iterator[Finish]:
        """The rollouts that ``decode`` makes, task by task in the order in which they finish.

        Args:
            most_rows: a further task is begun while fewer rows than this decode; None: all are begun at once.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class SampleDecoder:
    """Independent episodes, freely or under the task's grammar.

    Raises:
        ConfigurationError: the budgets have no room for a step of the environment, or the share has no meaning.
    """

    engine: Engine
    tokenizer: PreTrainedTokenizerBase
    environment: Environment[Any]
    budgets: Budgets
    temperature: float = 1.0
    masked_share: float = 0.0
    """Which share of a task's rollouts is held to its grammar (``masked_count``); they come first in their group."""
    rejoin_after: int | None = None
    """Decode steps after which a row that asked the environment goes on (``decoding.episode_loop``)."""

    def __post_init__(self) -> None:
        self.budgets.require_room(self.environment)
        require_share(self.masked_share)

    def decode(self, tasks: Sequence[Task], *, n: Sequence[int], seed: int | None = None) -> Decoding:
        """``n[i]`` rollouts of ``tasks[i]``; with a ``seed`` the same ones each time, whatever the batch."""
        start = time.perf_counter()
        with self.engine.session() as session, self._loop(session) as loop:
            prefilled = 0
            episodes: list[Episode] = []
            for place, (task, count, task_seed) in enumerate(zip(tasks, n, task_seeds(tasks, seed), strict=True)):
                prompt = prompt_ids(self.tokenizer, self.environment, task)
                prefilled += len(prompt)
                episodes += self._begin(loop, task, place, prompt, count, task_seed)
            for episode, answer in loop.events():
                if answer is not None:
                    loop.go_on(episode, answer.token_ids)
        ledger = loop.ledger(prefilled=prefilled, started=start)
        paths = [(Branch(node=number, start=0),) for count in n for number in range(count)]
        return judged(tasks, episodes, paths, self.environment, self.tokenizer, ledger)

    def stream(
        self, tasks: Sequence[Task], *, n: Sequence[int], seed: int | None = None, most_rows: int | None = None
    ) -> Iterator[Finish]:
        """The rollouts that ``decode`` makes, task by task in the order in which they finish.

        Args:
            most_rows: a further task is begun while fewer rows than this decode; None: all are begun at once.
        """
        waiting = list(zip(range(len(tasks)), tasks, n, task_seeds(tasks, seed), strict=True))[::-1]
        begun: dict[int, list[Episode]] = {}
        with self.engine.session() as session, self._loop(session) as loop:
            meter = CostMeter(loop)
            while waiting or begun:
                with meter.generating():
                    while waiting and (most_rows is None or sum(map(len, begun.values())) < most_rows):
                        place, task, count, task_seed = waiting.pop()
                        prompt = prompt_ids(self.tokenizer, self.environment, task)
                        meter.add(Ledger(prefilled_tokens=len(prompt)))
                        begun[place] = self._begin(loop, task, 0, prompt, count, task_seed)
                    for episode, answer in loop.advance():
                        if answer is not None:
                            loop.go_on(episode, answer.token_ids)
                for place in [place for place, ones in begun.items() if all(one.finish for one in ones)]:
                    episodes = begun.pop(place)
                    paths = [(Branch(node=number, start=0),) for number in range(len(episodes))]
                    decoding = judged([tasks[place]], episodes, paths, self.environment, self.tokenizer, Ledger())
                    meter.add(decoding.ledger)
                    yield Finish(place=place, group=decoding.groups[0], cost=meter.since())

    def _loop(self, session: Session) -> EpisodeLoop:
        return EpisodeLoop(session, self.tokenizer, self.environment, self.budgets, self.rejoin_after)

    def _begin(
        self, loop: EpisodeLoop, task: Task, place: int, prompt: Sequence[int], count: int, seed: int
    ) -> list[Episode]:
        """The episodes of one task, those under its grammar first."""
        unsaid = unsaid_episode(self.tokenizer, self.environment, task, place, prompt)
        episodes = []
        for part in masked_parts(count, self.masked_share, seed):
            said = replace(unsaid, is_masked=part.is_masked)
            episodes += loop.begin(said, n=part.count, temperature=self.temperature, seed=part.seed)
        return episodes


def unsaid_episode(
    tokenizer: PreTrainedTokenizerBase, environment: Environment[Any], task: Task, place: int, prompt: Sequence[int]
) -> Episode:
    """An episode before its first turn.

    Args:
        place: of the task in the decode.
        prompt: the ids of its prompt.
    """
    is_open = opens_reasoning(tokenizer, environment, prompt)
    return Episode(task=task, place=place, row=-1, prompt_ids=prompt, begins_in_reasoning=is_open)


@dataclass(frozen=True, kw_only=True)
class MaskedPart:
    """Some samples of a task: all under its grammar, or all free."""

    is_masked: bool
    count: int
    seed: int


def masked_parts(count: int, share: float, seed: int) -> list[MaskedPart]:
    """The samples of a task that are held to its grammar, then those that are not; parts without samples left out.

    Args:
        count: samples of the task.
        share: of them that is masked, rounded; with a share between 0 and 1 there is one of each kind at least, if
            there are two.
        seed: of the task; where there are both kinds, each has random numbers of its own.
    """
    masked = round(count * share)
    if 0 < share < 1:
        masked = min(max(masked, 1), max(count - 1, 0))
    if masked in (0, count):
        return [MaskedPart(is_masked=masked > 0, count=count, seed=seed)] if count else []
    return [
        MaskedPart(is_masked=True, count=masked, seed=derived_seed(seed, "masked")),
        MaskedPart(is_masked=False, count=count - masked, seed=derived_seed(seed, "free")),
    ]


def require_share(share: float) -> None:
    """Checks that rollouts can be divided into masked and free ones.

    Raises:
        ConfigurationError: they cannot.
    """
    if not 0 <= share <= 1:
        raise ConfigurationError(f"the share of masked rollouts is {share:g}; expected a number from 0 to 1")


def judged(
    tasks: Sequence[Task],
    episodes: Sequence[Episode],
    paths: Sequence[tuple[Branch, ...]],
    environment: Environment[Any],
    tokenizer: PreTrainedTokenizerBase,
    ledger: Ledger,
    *,
    copies: Sequence[int] | None = None,
) -> Decoding:
    """Finished episodes as the groups of their tasks, each judged once.

    Args:
        episodes: in any order; those of one task stay in theirs.
        paths: of each episode, the branches that led to it.
        ledger: what they have cost so far.
        copies: as how many rollouts each episode counts; None: one.
    """
    start = time.perf_counter()
    transcripts = [episode.transcript(tokenizer) for episode in episodes]
    verdicts = environment.judge([(one.task, text) for one, text in zip(episodes, transcripts, strict=True)])
    rollouts: list[list[Rollout]] = [[] for _ in tasks]
    for place, (episode, path) in enumerate(zip(episodes, paths, strict=True)):
        rollout = episode.rollout(transcripts[place], verdicts[place], path)
        rollouts[episode.place] += [rollout] * (1 if copies is None else copies[place])
    cost = Ledger(judged=len(transcripts), judge_seconds=time.perf_counter() - start)
    groups = tuple(Group(task=task, rollouts=tuple(ones)) for task, ones in zip(tasks, rollouts, strict=True))
    return Decoding(groups=groups, ledger=ledger + cost)


def require_window(
    tokenizer: PreTrainedTokenizerBase,
    environment: Environment[Any],
    tasks: Sequence[Task],
    *,
    max_new_tokens: int,
    window: int | None,
) -> None:
    """Checks that every prompt and its answer fit the model's window, and that the tokenizer can write observations and
    shows the environment's tags.

    Raises:
        ConfigurationError: one does not fit (names the task with the longest prompt), or the tokenizer cannot.
    """
    if environment.stops:
        encode_text(tokenizer, "")
    require_plain_tags(tokenizer, tags_of_environment(environment))
    if window is None or not tasks:
        return
    lengths = [(len(prompt_ids(tokenizer, environment, task)), task.id) for task in tasks]
    longest, task_id = max(lengths)
    if longest + max_new_tokens > window:
        raise ConfigurationError(
            f"task '{task_id}': its prompt of {longest} tokens and max_new_tokens {max_new_tokens} exceed the model's "
            f"window of {window}; shorten the prompt, lower max_new_tokens or take a model with a longer window"
        )
