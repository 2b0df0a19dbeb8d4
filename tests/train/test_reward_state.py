"""What the reward remembers between steps: means that pace a curriculum, and the share of unjudged answers."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from transformers import TrainerControl, TrainerState, TrainingArguments

from rewards.configuration import UnjudgedLimit
from train.reward_state import BatchCounts, RewardState, TrainingStopped

NEVER = UnjudgedLimit(share=1.0)


def counts(answers: int = 8, unjudged: dict[str, int] | None = None, **sums: tuple[float, int]) -> BatchCounts:
    reasons: list[str | None] = [reason for reason, count in (unjudged or {}).items() for _ in range(count)]
    return BatchCounts(reasons=(*reasons, *[None] * (answers - len(reasons))), sums=sums)


def test_the_mean_is_that_of_all_processes_and_follows_the_latest_batches() -> None:
    state = RewardState(NEVER)
    state.update([counts(valid=(1.0, 4)), counts(valid=(0.0, 1))], step=1)
    assert state.means == {"valid": pytest.approx(0.2)}
    for step in range(2, 200):
        state.update([counts(valid=(8.0, 8))], step=step)
    assert state.means["valid"] == pytest.approx(1.0)


def test_a_part_that_nobody_could_measure_keeps_its_mean() -> None:
    state = RewardState(NEVER)
    state.update([counts(valid=(0.0, 0))], step=1)
    assert state.means == {}
    state.update([counts(valid=(4.0, 8))], step=2)
    state.update([counts(valid=(0.0, 0))], step=3)
    assert state.means == {"valid": pytest.approx(0.5)}


def test_training_stops_when_more_than_the_share_of_the_window_is_unjudged() -> None:
    state = RewardState(UnjudgedLimit(share=0.25, window=32))
    state.update([counts(unjudged={"deadline": 4}), counts(unjudged={"deadline": 3, "defective gold": 1})], step=1)
    with pytest.raises(TrainingStopped) as caught:
        state.update([counts(unjudged={"deadline": 1})], step=2)
    message = str(caught.value)
    expected = ["step 2", "9 of the last 24", "8 x deadline, 1 x defective gold", "0.25", "--resume"]
    assert "\n" not in message and all(word in message for word in expected), message


def test_exactly_the_latest_answers_of_a_window_count_however_large_the_batches() -> None:
    state = RewardState(UnjudgedLimit(share=0.25, window=32))
    for step in range(50):
        state.update([counts(unjudged={"deadline": 2})], step=step)  # a quarter, for ever
    state.update([counts(answers=100)], step=50)
    state.update([counts(answers=24), counts(answers=4, unjudged={"deadline": 4})], step=51)
    state.update([counts(answers=4, unjudged={"deadline": 4})], step=52)
    with pytest.raises(TrainingStopped):
        state.update([counts(answers=1, unjudged={"deadline": 1})], step=53)


def test_each_reason_has_a_rate_over_all_processes_which_goes_down_again() -> None:
    state = RewardState(NEVER)
    assert state.update([counts(), counts(unjudged={"deadline": 1})], step=1) == {"deadline": 1 / 16}
    assert state.update([counts(unjudged={"part exact": 4})], step=2) == {"deadline": 0.0, "part exact": 0.5}


def test_a_share_of_1_never_stops() -> None:
    state = RewardState(UnjudgedLimit(share=1.0, window=8))
    for step in range(20):
        state.update([counts(unjudged={"deadline": 8})], step=step)


def test_the_state_survives_a_checkpoint(tmp_path: Path) -> None:
    limit = UnjudgedLimit(share=0.25, window=32)
    first = RewardState(limit)
    first.update([counts(unjudged={"deadline": 8}, valid=(3.0, 8))], step=1)
    saved = TrainerState(global_step=1, stateful_callbacks=[first])
    saved.save_to_json(str(tmp_path / "state.json"))
    resumed = RewardState(limit)
    arguments = TrainingArguments(output_dir=str(tmp_path), use_cpu=True)
    resumed.on_train_begin(arguments, TrainerState.load_from_json(str(tmp_path / "state.json")), TrainerControl())
    assert resumed.means == first.means
    with pytest.raises(TrainingStopped):
        resumed.update([counts(unjudged={"deadline": 1})], step=2)


MOVING = [
    "--reward.parts",
    "{answered: {weight: 1}, finished: {weight: 2, pace: {part: answered, full_at: 0.9},"
    " schedule: [{step: 0, factor: 0.2}, {step: 3, factor: 1}]}}",
    "--trainer.max_completion_length", "32", "--trainer.num_generations", "8",
]  # fmt: skip


def lines(path: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_resumed_curriculum_goes_on_where_it_was(train: Callable[..., Path]) -> None:
    straight = train("json.yaml", *MOVING, "--trainer.max_steps", "4", name="straight")
    train("json.yaml", *MOVING, "--trainer.max_steps", "2", name="stopped")
    stopped = train("json.yaml", *MOVING, "--trainer.max_steps", "4", "--resume", name="stopped")
    first, second = lines(straight / "metrics.jsonl"), lines(stopped / "metrics.jsonl")
    for key in ("weights/answered", "weights/finished", "reward", "loss"):
        assert [step[key] for step in first] == [step[key] for step in second], key
    assert first[0]["weights/finished"] == 0.0, "no answer has been seen yet"
    assert first[3]["weights/finished"] > first[1]["weights/finished"] > 0.0


def test_training_stops_with_the_reason_when_nothing_can_be_judged(
    train: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from envs.json.environment import JsonEnvironment
    from envs.json.judge import JsonVerdict

    judge = JsonEnvironment.judge

    def broken(self: JsonEnvironment, episodes: list) -> list:
        # Rollouts have tokens, gold answers have not: the tasks load, then the judge breaks down.
        verdicts = judge(self, episodes)
        return [
            verdict if transcript.tokens is None else JsonVerdict(unjudged="deadline")
            for verdict, (_, transcript) in zip(verdicts, episodes, strict=True)
        ]

    monkeypatch.setattr(JsonEnvironment, "judge", broken)
    with pytest.raises(SystemExit) as caught:
        train("json.yaml", "--trainer.max_steps", "40", "--reward.unjudged", "{share: 0.5, window: 16}")
    assert caught.value.code == 3
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert "training stopped at step 1" in message and "16 x deadline" in message, message
