"""The rollouts of a batch: decoded, judged and scored, and sampled again where a group has nothing to learn from.

Refilling is DAPO's dynamic sampling (arXiv 2503.14476, section 3.2) inside of a batch of fixed size: a group whose
rewards are all equal has no advantage, and its place is given to other tasks, a few times at most.
"""

import random
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from decoding.decoder import Decoder
from decoding.rollout import Group, Ledger, Rollout
from envs.task import Task
from rewards.composite import Composite, Score
from rewards.configuration import Normalization
from rewards.schedule import Moment

EQUAL = 1e-8
"""Rewards that differ by less are equal: what TRL's ``isclose`` takes for a deviation of 0."""


@dataclass(frozen=True, kw_only=True)
class ScoredRollout:
    """A rollout of the latest batch with what it was paid."""

    task: Task
    rollout: Rollout
    score: Score


ScoredGroup = tuple[ScoredRollout, ...]


@dataclass(frozen=True, kw_only=True)
class Refill:
    """What one process tells of refilling its batch."""

    flat: int
    """Groups without a spread of rewards, as first sampled."""
    flat_after: int
    """The same after refilling."""
    sampled: int
    """Groups that were sampled in place of others."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """All scored rollouts of a batch, in its order, and what they cost."""

    groups: tuple[ScoredGroup, ...]
    first: tuple[ScoredGroup, ...]
    """The groups as first sampled, of which some were replaced: what the policy does on the tasks as they come."""
    ledger: Ledger
    refill: Refill

    @property
    def first_rollouts(self) -> list[ScoredRollout]:
        """Those of all groups as first sampled."""
        return [one for group in self.first for one in group]

    @property
    def rollouts(self) -> list[ScoredRollout]:
        """Those of all groups."""
        return [one for group in self.groups for one in group]


def make_batch(
    decoder: Decoder,
    composite: Composite,
    moment: Moment,
    normalization: Normalization,
    tasks: Sequence[Task],
    places: Sequence[tuple[int, int]],
    *,
    rounds: int,
    seed: str,
    share: tuple[int, int],
    taken: Collection[int],
    total_over_processes: Callable[[int], int],
) -> Batch:
    """Decodes and scores a batch; then up to ``rounds`` times gives the places of flat groups to other tasks.

    Args:
        tasks: all that is trained on.
        places: for each group of the batch its task's place in ``tasks``, and its number of rollouts.
        seed: of the draw of other tasks; a resumed run draws the same ones.
        share: this process's number, and how many there are: no two draw the same task.
        taken: places of the tasks that the batch has on any process.
        total_over_processes: adds up a number over all processes. They decode equally often, since a decode may be a
            joint affair of all of them.
    """
    ledger = Ledger()

    def decode(wanted: Sequence[tuple[int, int]]) -> list[ScoredGroup]:
        nonlocal ledger
        decoding = decoder.decode([tasks[place] for place, _ in wanted], n=[count for _, count in wanted])
        ledger += decoding.ledger
        return [_score(composite, group, moment) for group in decoding.groups]

    groups = decode(places)
    flat = [index for index, group in enumerate(groups) if is_flat(group, normalization)]
    others = _other_tasks(len(tasks), taken, seed, share)
    first, sampled = tuple(groups), 0
    flat_at_first = len(flat)
    for _ in range(rounds):
        drawn = [(others.pop(), places[index][1]) for index in flat[: len(others)]]
        if total_over_processes(len(drawn)) == 0:
            break
        sampled += len(drawn)
        for index, group in zip(list(flat), decode(drawn), strict=False):
            if not is_flat(group, normalization):
                groups[index] = group
                flat.remove(index)
    refill = Refill(flat=flat_at_first, flat_after=len(flat), sampled=sampled)
    return Batch(groups=tuple(groups), first=first, ledger=ledger, refill=refill)


def is_flat(group: ScoredGroup, normalization: Normalization) -> bool:
    """What is normalised does not differ between the judged rollouts of a group: all of its advantages are 0."""
    judged = [one.score for one in group if one.score.value is not None]
    if normalization == "sum":
        return _spread([score.value for score in judged if score.value is not None]) <= EQUAL
    parts = dict.fromkeys(part for score in judged for part in score.paid)
    return all(_spread([score.paid[part] for score in judged if part in score.paid]) <= EQUAL for part in parts)


def _spread(values: Sequence[float]) -> float:
    return max(values) - min(values) if values else 0.0


def _score(composite: Composite, group: Group, moment: Moment) -> ScoredGroup:
    return tuple(
        ScoredRollout(task=group.task, rollout=rollout, score=composite.score(rollout.verdict, moment))
        for rollout in group.rollouts
    )


def _other_tasks(count: int, taken: Collection[int], seed: str, share: tuple[int, int]) -> list[int]:
    """Places of tasks that this process may draw, in the order of the draw from the end."""
    process, processes = share
    order = list(range(count))
    random.Random(seed).shuffle(order)
    return [place for place in order[process::processes] if place not in taken]
