"""Training on episodes of several turns, from configuration to checkpoints, on a model that writes tags at random."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

Train = Callable[..., Path]

TAGS = "{reasoning: null, step: intermediate_sql, observation: result, answer: final_sql}"


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def train_steps(train: Train, tagging_model: Path) -> Train:
    """Returns a function of (more flags, name) that trains on SQL with steps, and returns the run's directory."""

    def run(*more: str, config: str = "sql.yaml", name: str = "run") -> Path:
        options = f"{{tags: {TAGS}, observation_tokens: 32, max_steps: 3}}"
        return train(
            config, "--model.reference", str(tagging_model), "--environment.options", options,
            "--reward.parts", "{answered: {weight: 1}, tag_share: {weight: 1}}", "--heldout.metrics", "[answered]",
            "--heldout.decodings", "{free: {temperature: 1.0}}", "--heldout.max_new_tokens", "120",
            "--trainer.max_completion_length", "120", "--tracking.transcripts", "8", *more, name=name,
        )  # fmt: skip

    return run


@pytest.mark.parametrize("config", ["sql.yaml", "json.yaml", "math.yaml"])
def test_the_environment_answers_within_training_rollouts(train_steps: Train, config: str) -> None:
    run = train_steps(config=config)
    steps = lines(run / "metrics.jsonl")
    assert all(step["rollouts/observations"] > 0 and not math.isnan(step["loss"]) for step in steps)
    # A completion that ends at the closing tag of its answer is whole, whatever its last token is.
    assert all(step["completions/clipped_ratio"] == step["truncated"] < 1 for step in steps)
    texts = [row["completion"] for row in lines(run / "transcripts.jsonl")]
    assert any("<result>" in text and text.index("</intermediate_sql>") < text.index("<result>") for text in texts)


def test_trees_with_credit_by_siblings_train(train_steps: Train) -> None:
    run = train_steps("--rollout.branching", "2", "--credit.advantage", "siblings")
    steps = lines(run / "metrics.jsonl")
    assert all(step["rollouts/observations"] > 0 and not math.isnan(step["loss"]) for step in steps)
    assert any(step["grad_norm"] > 0 for step in steps)


def test_a_run_repeats_itself_to_the_last_bit_while_the_environment_answers_in_threads(train_steps: Train) -> None:
    runs = [train_steps("--rollout.refill", "1", name=name) for name in ("one", "two")]
    first, second = (load_file(run / "model" / "model.safetensors") for run in runs)
    assert all(first[name].equal(second[name]) for name in first)
    kept = [[(step["loss"], step["reward"]) for step in lines(run / "metrics.jsonl")] for run in runs]
    assert kept[0] == kept[1]


def test_a_run_that_was_stopped_in_the_midst_of_a_window_goes_on_as_if_it_had_not_been(train_steps: Train) -> None:
    # A window is 2 micro-batches, used twice: 2 steps. One step is half of it.
    window = ["--trainer.num_iterations", "2", "--trainer.save_steps", "1", "--trainer.learning_rate", "1e-2"]
    straight = train_steps(*window, "--trainer.max_steps", "4", name="straight")
    train_steps(*window, "--trainer.max_steps", "3", name="stopped")
    stopped = train_steps(*window, "--trainer.max_steps", "4", "--resume", name="stopped")
    kept = [lines(run / "metrics.jsonl") for run in (straight, stopped)]
    for key in ("loss", "grad_norm", "entropy"):
        assert [step[key] for step in kept[0]] == [step[key] for step in kept[1]], key
    weights, resumed = (load_file(run / "model" / "model.safetensors") for run in (straight, stopped))
    assert all(weights[name].equal(resumed[name]) for name in weights)
    # The second use of a window is off its policy.
    assert kept[0][1]["loss"] != kept[0][0]["loss"]
