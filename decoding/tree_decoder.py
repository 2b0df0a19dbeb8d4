"""Tree rollouts: episodes that branch where the environment answered, and share what they have in common.

A group of G rollouts begins with a few samples of the first turn; each holds a quota of the G leaves. Where the
environment answers a turn, its row forks into up to ``branching`` children, which share its quota and, in the engine,
its cache. Siblings that were answered alike (the same digest: another query with the same result) merge: the first is
followed further, and counts as so many samples; the others' quota goes to it. An episode that ends is one leaf; what is
left of its quota goes back to where it branched off, which is sampled again. So exactly G leaves are reached.

The merge is that of ReEx-SQL's tree decoding (arXiv 2505.12768), whose widths are not published; quotas are ours.
Not covered: branching inside of a turn.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from transformers import PreTrainedTokenizerBase

from decoding.budgets import Budgets
from decoding.decoder import Decoding, derived_seed, judged, prompt_ids, task_seeds
from decoding.engine import Engine, Request
from decoding.episode import Episode
from decoding.episode_loop import EpisodeLoop
from envs.environment import Environment
from envs.errors import ConfigurationError
from envs.task import Task
from rewards.credit import Branch


@dataclass(frozen=True, kw_only=True)
class TreeDecoder:
    """Groups whose rollouts are the leaves of a tree.

    Raises:
        ConfigurationError: the environment answers no turns, or a number has no meaning.
    """

    engine: Engine
    tokenizer: PreTrainedTokenizerBase
    environment: Environment[Any]
    budgets: Budgets
    branching: int = 2
    """Children of the prompt, and of each turn that was answered, at most."""
    temperature: float = 1.0
    rejoin_after: int | None = None
    """Decode steps after which a row that asked the environment goes on (``decoding.episode_loop``)."""

    def __post_init__(self) -> None:
        require_tree(self.environment, self.budgets, branching=self.branching, temperature=self.temperature)

    def decode(self, tasks: Sequence[Task], *, n: Sequence[int], seed: int | None = None) -> Decoding:
        """``n[i]`` rollouts of ``tasks[i]``; with a ``seed`` the same ones each time."""
        start = time.perf_counter()
        seeds = task_seeds(tasks, seed)
        loop_options = (self.tokenizer, self.environment, self.budgets, self.rejoin_after)
        with self.engine.session() as session, EpisodeLoop(session, *loop_options) as loop:
            trees = [
                _Tree(decoder=self, loop=loop, task=task, place=place, leaves=count, seed=task_seed)
                for place, (task, count, task_seed) in enumerate(zip(tasks, n, seeds, strict=True))
            ]
            for episode, observation_ids in loop.events():
                tree = trees[episode.place]
                if observation_ids is None:
                    tree.end(episode)
                else:
                    tree.answer(episode, observation_ids)
        ledger = loop.ledger(prefilled=sum(tree.prefilled for tree in trees), started=start)
        episodes = [episode for tree in trees for episode, _ in tree.ends]
        paths = [node.path() for tree in trees for _, node in tree.ends]
        return judged(tasks, episodes, paths, self.environment, self.tokenizer, ledger)


def require_tree(environment: Environment[Any], budgets: Budgets, *, branching: int, temperature: float) -> None:
    """Checks that trees can grow.

    Raises:
        ConfigurationError: the environment answers no turns, or a number has no meaning.
    """
    budgets.require_room(environment)
    if not environment.stops:
        raise ConfigurationError(
            f"environment '{environment.name}' answers no turns, so that nothing branches; give its option tags a step,"
            " an observation and an answer, or decode independent samples"
        )
    if branching < 2 or temperature == 0:
        raise ConfigurationError(
            f"a tree with branching {branching} at temperature {temperature:g} has one branch only; expected branching"
            " from 2, and a temperature above 0"
        )


@dataclass(eq=False)
class _Node:
    """A turn of the tree with what the environment answered to it; the root is the prompt."""

    number: int
    start: int
    parent: "_Node | None"
    samples: int = 1
    children: int = 0
    """Samples that were drawn here so far; they number their seeds."""
    by_digest: "dict[str, _Node]" = field(default_factory=dict)
    """The child that is followed for each digest that the environment gave to one."""
    said: Episode | None = None
    """All up to the end of this turn; None for the root."""
    observation_ids: tuple[int, ...] = ()
    held: Episode | None = None
    """The same in a row that is still in the session, to be forked."""

    def path(self) -> tuple[Branch, ...]:
        """The branches from the root to here."""
        if self.parent is None:
            return ()
        return (*self.parent.path(), Branch(node=self.number, start=self.start, samples=self.samples))


class _Tree:
    """The tree of one group while it grows."""

    def __init__(
        self, *, decoder: TreeDecoder, loop: EpisodeLoop, task: Task, place: int, leaves: int, seed: int
    ) -> None:
        self.ends: list[tuple[Episode, _Node]] = []
        self.prefilled = 0
        self._decoder = decoder
        self._loop = loop
        self._task = task
        self._place = place
        self._seed = seed
        self._prompt_ids = prompt_ids(decoder.tokenizer, decoder.environment, task)
        self._root = _Node(number=0, start=0, parent=None)
        self._nodes = 1
        self._held: list[_Node] = []
        self._growing: dict[int, tuple[_Node, int]] = {}  # row -> the node of its turn, and its quota of leaves
        self._grow(self._root, leaves)

    def end(self, episode: Episode) -> None:
        """An episode is a leaf; what it leaves of its quota is sampled where it branched off."""
        node, quota = self._growing.pop(episode.row)
        self.ends.append((episode, node))
        assert node.parent is not None
        self._grow(node.parent, quota - 1)
        if not self._growing:
            for inner in self._held:
                assert inner.held is not None
                self._loop.drop(inner.held)

    def answer(self, episode: Episode, observation_ids: tuple[int, ...]) -> None:
        """The environment answered a turn: it branches, or merges with a sibling that was answered alike."""
        node, quota = self._growing.pop(episode.row)
        assert node.parent is not None
        digest = self._loop.digests[episode.row]
        followed = node.parent.by_digest.get(digest) if digest is not None else None
        if followed is not None:
            followed.samples += node.samples
            self._loop.drop(episode)
            self._grow(followed, quota)
            return
        if digest is not None:
            node.parent.by_digest[digest] = node
        node.said, node.observation_ids = episode.fork(episode.row), observation_ids
        if quota == 1:
            # Most likely it never forks: its own row goes on, and is read anew if it must fork after all.
            self._take(node, [episode], 1)
            self._loop.go_on(episode, observation_ids)
            return
        node.held = episode
        self._held.append(node)
        self._grow(node, quota)

    def _grow(self, node: _Node, quota: int) -> None:
        """Samples the next turn after ``node`` by up to ``branching`` children, which share ``quota`` evenly."""
        width = min(self._decoder.branching, quota)
        if width == 0:
            return
        seed = derived_seed(self._seed, f"{node.number}/{node.children}")
        if node.held is None:
            self._take(node, self._read(node, width, seed), quota)
            return
        children = [self._loop.fork(node.held, seed=derived_seed(seed, str(child))) for child in range(width)]
        self._take(node, children, quota)
        for child in children:
            self._loop.go_on(child, node.observation_ids)

    def _take(self, parent: _Node, children: Sequence[Episode], quota: int) -> None:
        """Makes each of ``children`` a node, with its share of ``quota``."""
        for place, episode in enumerate(children):
            share = quota // len(children) + (place < quota % len(children))
            start = 0 if parent.said is None else parent.said.length + len(parent.observation_ids)
            self._growing[episode.row] = (_Node(number=self._nodes, start=start, parent=parent), share)
            self._nodes += 1
        parent.children += len(children)

    def _read(self, node: _Node, count: int, seed: int) -> list[Episode]:
        """``count`` episodes that go on at ``node``, whose text is read for them: no row holds it."""
        said = Episode(task=self._task, place=self._place, row=-1, prompt_ids=self._prompt_ids)
        if node.said is not None:
            said = node.said.fork(-1)
            said.add_observation(node.observation_ids)
        request = Request(
            prompt_ids=[*self._prompt_ids, *(token for stretch in said.stretches for token in stretch.token_ids)],
            max_new_tokens=self._decoder.budgets.turn(said.length),
            stops=self._decoder.environment.stops,
            temperature=self._decoder.temperature,
            n=count,
            seed=seed,
        )
        self.prefilled += len(request.prompt_ids)
        return self._loop.begin(said, request)
