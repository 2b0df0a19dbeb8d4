"""Tree rollouts: episodes that branch where the environment answered, and share what they have in common.

A group of G rollouts is a tree of G leaves. A node holds a quota of them, those of the first turn so that a given share
of the leaves is held to the grammar; where the environment has answered its turn,
it forks into up to ``branching`` children, which share the quota evenly and, in the engine, the cache. When all
children of a node have had their turn, those that were answered alike (the same digest: another query with the same
result) merge: the one that was sampled first is followed, with the quota of all. A child that ended its episode
is a leaf, as often as its quota says.

So every child weighs what its share is, whatever became of it, and which of equals is followed depends on nothing that
they wrote: sums over the leaves have the expectation of sums over independent rollouts. (Following the one that was
answered first would prefer short turns; sampling again where an episode ended early would prefer long ones.)

The merge is that of ReEx-SQL's tree decoding (arXiv 2505.12768), whose widths are not published; quotas are ours.
Not covered: branching inside of a turn.
"""

import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from transformers import PreTrainedTokenizerBase

from decoding.budgets import Budgets
from decoding.chat_prompt import prompt_ids
from decoding.decoder import Decoding, judged, masked_parts, require_share, unsaid_episode
from decoding.engine import Engine
from decoding.episode import Episode
from decoding.episode_loop import Answer, EpisodeLoop
from decoding.seeds import derived_seed, task_seeds
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
    """Children of each turn that was answered, at most."""
    first_branching: int | None = None
    """Samples of the first turn; None: as many as ``branching``."""
    temperature: float = 1.0
    masked_share: float = 0.0
    """Which share of the leaves is held to the task's grammar (``decoding.decoder.masked_parts``). Each kind has its
    own samples of the first turn, about as many as its share."""
    rejoin_after: int | None = None
    """Decode steps after which a row that asked the environment goes on (``decoding.episode_loop``)."""

    def __post_init__(self) -> None:
        require_share(self.masked_share)
        if 0 < self.masked_share < 1 and self.first_branching == 1:
            raise ConfigurationError(
                f"a tree whose share of masked rollouts is {self.masked_share:g} needs a masked and a free sample of"
                " the first turn, and first_branching is 1; expected 2 or more"
            )
        require_tree(self.environment, self.budgets, branching=self.branching, temperature=self.temperature)

    def decode(self, tasks: Sequence[Task], *, n: Sequence[int], seed: int | None = None) -> Decoding:
        """``n[i]`` rollouts of ``tasks[i]``; with a ``seed`` the same ones each time, whatever the batch."""
        start = time.perf_counter()
        seeds = task_seeds(tasks, seed)
        prompts = [prompt_ids(self.tokenizer, self.environment, task) for task in tasks]
        loop_options = (self.tokenizer, self.environment, self.budgets, self.rejoin_after)
        with self.engine.session() as session, EpisodeLoop(session, *loop_options) as loop:
            trees = []
            for place, (task, count, task_seed) in enumerate(zip(tasks, n, seeds, strict=True)):
                unsaid = unsaid_episode(self.tokenizer, self.environment, task, place, prompts[place])
                trees.append(_Tree(self, loop, unsaid, leaves=count, seed=task_seed))
            for episode, answer in loop.events():
                trees[episode.place].take(episode, answer)
        ledger = loop.ledger(prefilled=sum(map(len, prompts)), started=start)
        leaves = [leaf for tree in trees for leaf in tree.leaves()]
        return judged(
            tasks,
            [leaf.episode for leaf in leaves],
            [leaf.path() for leaf in leaves],
            self.environment,
            self.tokenizer,
            ledger,
            copies=[leaf.quota for leaf in leaves],
        )


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
    """A turn of the tree: what was said up to its end, and what became of it."""

    seed: int
    parent: "_Node | None"
    episode: Episode
    """Of a leaf, the whole of it; a node that has grown has lent it to its first child."""
    start: int
    """Where the turn begins in the completion."""
    quota: int
    """Leaves that are to come of it."""
    number: int = 0
    """Its place in a walk through the tree that is grown."""
    samples: int = 1
    children: "list[_Node]" = field(default_factory=list)
    answer: Answer | None = None
    """What the environment answered; None while it has not, and of an episode that ended."""
    is_over: bool = False
    """Its turn has ended, and was answered or was the last."""

    def path(self) -> tuple[Branch, ...]:
        """The branches from the root to here."""
        nodes = []
        node: _Node | None = self
        while node is not None and node.parent is not None:
            nodes.append(Branch(node=node.number, start=node.start, samples=node.samples))
            node = node.parent
        return tuple(reversed(nodes))


class _Tree:
    """The tree of one group while it grows."""

    def __init__(self, decoder: TreeDecoder, loop: EpisodeLoop, unsaid: Episode, *, leaves: int, seed: int) -> None:
        self._decoder = decoder
        self._loop = loop
        self._in_turn: dict[int, _Node] = {}  # row -> the node whose turn it writes
        self._root = _Node(parent=None, seed=seed, episode=unsaid, start=0, quota=leaves)
        children: list[Episode] = []
        quotas: list[int] = []
        width = min(decoder.first_branching or decoder.branching, leaves)
        # The same share of fewer: of each kind there are as many leaves as samples, or more.
        parts, samples = (masked_parts(count, decoder.masked_share, seed) for count in (leaves, width))
        for part, own in zip(parts, samples, strict=True):
            said = replace(unsaid, is_masked=part.is_masked)
            children += loop.begin(said, n=own.count, temperature=decoder.temperature, seed=own.seed)
            quotas += _even(part.count, own.count)
        self._add_children(self._root, children, quotas)

    def take(self, episode: Episode, answer: Answer | None) -> None:
        """An episode has ended, or its turn was answered. The last one of its siblings decides how they go on."""
        node = self._in_turn.pop(episode.row)
        node.is_over, node.answer = True, answer
        assert node.parent is not None
        if all(sibling.is_over for sibling in node.parent.children):
            self._resolve(node.parent.children)

    def leaves(self) -> list[_Node]:
        """The ends of the tree that is grown, from the first child of each node to the last; numbers all nodes."""
        found = []
        waiting = [self._root]
        number = itertools.count()
        while waiting:
            node = waiting.pop()
            node.number = next(number)
            # One without children that was answered has merged into a sibling.
            waiting += [child for child in reversed(node.children) if child.children or child.answer is None]
            if node.is_over and node.answer is None:
                found.append(node)
        return found

    def _resolve(self, siblings: Sequence[_Node]) -> None:
        """Merges what was answered alike, and lets the rest grow, but for the leaves. What a grammar held goes on under
        it, so that masked and free ones stay apart."""
        followed: dict[tuple[str, bool], _Node] = {}
        growing = []
        for node in siblings:
            if node.answer is None:
                continue
            digest = node.answer.digest
            first = node if digest is None else followed.setdefault((digest, node.episode.is_masked), node)
            if first is node:
                growing.append(node)
            else:
                first.samples += 1
                first.quota += node.quota
                self._loop.drop(node.episode)
        for node in growing:
            self._grow(node)

    def _grow(self, node: _Node) -> None:
        """Samples the next turn after ``node``; its own row goes on as the first child."""
        assert node.answer is not None
        width = min(self._decoder.branching, node.quota)
        said = node.episode
        forks = [self._loop.fork(said, seed=derived_seed(node.seed, str(child))) for child in range(1, width)]
        children = [said, *forks]
        start = said.length + len(node.answer.token_ids)
        self._add_children(node, children, _even(node.quota, width), start=start)
        for child in children:
            self._loop.go_on(child, node.answer.token_ids)

    def _add_children(self, parent: _Node, episodes: Sequence[Episode], quotas: Sequence[int], start: int = 0) -> None:
        for place, (episode, quota) in enumerate(zip(episodes, quotas, strict=True)):
            seed = derived_seed(parent.seed, f"child {place}")
            child = _Node(parent=parent, seed=seed, episode=episode, start=start, quota=quota)
            parent.children.append(child)
            self._in_turn[episode.row] = child


def _even(quota: int, children: int) -> list[int]:
    """A node's leaves as those of its children, which differ by one at most."""
    return [quota // children + (place < quota % children) for place in range(children)]
