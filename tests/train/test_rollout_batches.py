"""Batches of rollouts: scores, and groups that are sampled again because they have no spread."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from decoding.decoder import Decoding
from decoding.rollout import Group, Ledger, Rollout
from envs.math.environment import MathEnvironment
from envs.math.judge import MathVerdict
from envs.task import Task
from envs.transcript import Transcript
from rewards.composite import Composite, Score
from rewards.configuration import PartConfig, RewardConfig
from rewards.schedule import START
from train.rollouts import Batch, ScoredRollout, is_flat, make_batch


@dataclass
class Dice:
    """A decoder whose answers are as right as the task's id says: ``0110`` for four rollouts, ``?`` is unjudged."""

    decoded: list[list[str]] = field(default_factory=list)

    def decode(self, tasks: Sequence[Task], *, n: Sequence[int], seed: int | None = None) -> Decoding:
        self.decoded.append([task.id for task in tasks])
        groups = tuple(
            Group(task=task, rollouts=tuple(rollout(mark) for mark in task.id[:count]))
            for task, count in zip(tasks, n, strict=True)
        )
        return Decoding(groups=groups, ledger=Ledger(generated_tokens=len(tasks)))


def rollout(mark: str) -> Rollout:
    verdict = MathVerdict(unjudged="no time") if mark == "?" else MathVerdict(is_correct=mark == "1")
    return Rollout(
        prompt_ids=(1,), completion_ids=(2,), logprobs=(0.0,), env_mask=(1,), log_z=None, finish="eos",
        transcript=Transcript.of(mark), verdict=verdict,
    )  # fmt: skip


COMPOSITE = Composite(MathEnvironment(), RewardConfig(parts={"correct": PartConfig(weight=1.0)}))


def make(
    ids: Sequence[str], batch: Sequence[int], *, rounds: int, decoder: Dice | None = None, **options: Any
) -> Batch:
    return make_batch(
        decoder or Dice(),
        COMPOSITE,
        START,
        "sum",
        [Task(id=name) for name in ids],
        [(place, len(ids[place])) for place in batch],
        rounds=rounds,
        seed=options.pop("seed", "0:0"),
        share=options.pop("share", (0, 1)),
        taken=options.pop("taken", set(batch)),
        total_over_processes=options.pop("total", lambda number: number),
    )


def ids_of(batch: Batch) -> list[str]:
    return [group[0].task.id for group in batch.groups]


def test_groups_without_a_spread_are_replaced_in_their_place_and_counted() -> None:
    batch = make(["0110", "1111", "0000", "0001"], [0, 1, 2], rounds=3)
    assert ids_of(batch)[0] == "0110" and sorted(ids_of(batch)[1:]) in (
        ["0001", "0000"],
        ["0000", "0001"],
        ["0001", "1111"],
    )
    assert batch.refill.flat == 2 and batch.refill.flat_after == 1 and batch.refill.sampled == 1
    assert [len(group) for group in batch.groups] == [4, 4, 4] and len(batch.rollouts) == 12


def test_without_rounds_the_batch_stays_as_it_was_sampled() -> None:
    decoder = Dice()
    batch = make(["0110", "1111", "0001"], [0, 1], rounds=0, decoder=decoder)
    assert ids_of(batch) == ["0110", "1111"] and decoder.decoded == [["0110", "1111"]]
    assert (batch.refill.flat, batch.refill.flat_after, batch.refill.sampled) == (1, 1, 0)


def test_refilling_stops_at_its_budget_and_its_cost_is_counted() -> None:
    decoder = Dice()
    batch = make(["1111"] + ["0000"] * 9, [0], rounds=3, decoder=decoder)
    assert [len(round) for round in decoder.decoded] == [1, 1, 1, 1]
    assert batch.refill.sampled == 3 and batch.refill.flat_after == 1 and batch.ledger.generated_tokens == 4
    assert ids_of(batch) == ["1111"], "a flat group is not replaced by another one"


def test_no_task_is_drawn_twice_or_taken_from_the_batch() -> None:
    names = [f"000{number}" for number in range(2, 9)]
    decoder = Dice()
    make(names, [0, 1], rounds=9, decoder=decoder)
    drawn = [name for round in decoder.decoded for name in round]
    assert sorted(drawn) == sorted(names)


def test_processes_draw_tasks_of_their_own_and_a_seed_the_same_again() -> None:
    names = [f"000{number}" for number in range(2, 9)]

    def drawn(share: tuple[int, int], seed: str = "a") -> list[str]:
        decoder = Dice()
        make(names, [], rounds=0, decoder=decoder)
        make(names, [0], rounds=9, decoder=decoder, share=share, seed=seed)
        return [name for round in decoder.decoded[2:] for name in round]

    assert not set(drawn((0, 2))) & set(drawn((1, 2)))
    assert drawn((0, 2)) == drawn((0, 2)) and drawn((0, 1), "a") != drawn((0, 1), "b")


def test_tasks_of_other_processes_are_not_drawn() -> None:
    decoder = Dice()
    make(["0000", "0001", "0010"], [0], rounds=9, decoder=decoder, taken={0, 2})
    assert [name for round in decoder.decoded for name in round] == ["0000", "0001"]


def test_what_was_replaced_is_still_told_of() -> None:
    batch = make(["1111", "0110"], [0], rounds=1)
    assert ids_of(batch) == ["0110"] and [group[0].task.id for group in batch.first] == ["1111"]


def test_a_process_without_flat_groups_decodes_as_often_as_the_others() -> None:
    decoder = Dice()
    others = iter([1, 1, 0])
    make(["0110", "0001"], [0], rounds=5, decoder=decoder, total=lambda number: number + next(others))
    assert decoder.decoded == [["0110"], [], []]


@pytest.mark.parametrize(
    ("marks", "flat"), [("01", False), ("00", True), ("1?", True), ("0?1", False), ("??", True), ("1", True)]
)
def test_a_group_is_flat_where_its_judged_rollouts_are_paid_alike(marks: str, flat: bool) -> None:
    (group,) = make([marks], [0], rounds=0).groups
    assert is_flat(group, "sum") == flat and is_flat(group, "parts") == flat


def test_parts_that_cancel_in_the_sum_have_a_spread_where_they_are_normalised_apart() -> None:
    def scored(paid: dict[str, float]) -> ScoredRollout:
        score = Score(value=sum(paid.values()) / 2, parts=paid, paid=paid)
        return ScoredRollout(task=Task(id="x"), rollout=rollout("1"), score=score)

    group = (scored({"a": 1.0, "b": 0.0}), scored({"a": 0.0, "b": 1.0}))
    assert is_flat(group, "sum") and not is_flat(group, "parts")
