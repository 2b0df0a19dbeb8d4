"""A training run on the tiny model, started as a user would, in this process."""

from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# What makes any of the shipped configurations small enough for a test.
SMALL = [
    "--lora", "null", "--trainer.bf16", "false", "--trainer.use_cpu", "true",
    "--trainer.gradient_checkpointing", "false",
    "--trainer.per_device_train_batch_size", "4", "--trainer.gradient_accumulation_steps", "2",
    "--trainer.num_generations", "4", "--trainer.max_completion_length", "12", "--trainer.max_steps", "2",
    "--trainer.warmup_steps", "0", "--trainer.save_steps", "2", "--trainer.learning_rate", "1e-3",
    "--heldout.tasks", "4", "--heldout.max_new_tokens", "12",
]  # fmt: skip


@pytest.fixture
def small_arguments(tiny_model: Path, tmp_path: Path) -> Callable[..., list[str]]:
    """Returns a function of (configuration, more flags) to a command line that trains the tiny model for two steps."""

    def arguments(config: str, *more: str, name: str = "run") -> list[str]:
        model = ["--model.reference", str(tiny_model), "--model.dtype", "float32"]
        place = ["--output", str(tmp_path / "runs"), "--name", name]
        return ["--config", str(ROOT / "configs" / config), *model, *place, *SMALL, *more]

    return arguments


@pytest.fixture
def train(small_arguments: Callable[..., list[str]], tmp_path: Path) -> Callable[..., Path]:
    """Returns a function that trains as ``small_arguments`` says and returns the run's directory."""
    from train.grpo import main

    def run(config: str, *more: str, name: str = "run") -> Path:
        main(small_arguments(config, *more, name=name))
        return tmp_path / "runs" / name

    return run
