"""Training with rollouts from vLLM itself, in a process of an interpreter that has it."""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from vllm_model import build_vllm_model

ROOT = Path(__file__).resolve().parents[2]
VLLM_PYTHON = os.environ.get("STRUCTRL_VLLM_PYTHON") or (sys.executable if importlib.util.find_spec("vllm") else None)


@pytest.mark.slow
@pytest.mark.vllm
@pytest.mark.skipif(VLLM_PYTHON is None, reason="needs vLLM (docs/engines.md), or STRUCTRL_VLLM_PYTHON")
@pytest.mark.parametrize(("grammar", "lora"), [("masked", False), ("mixed", True)])
def test_vllm_follows_the_weights_and_its_log_probabilities_are_those_of_the_masked_policy(
    small_arguments: Callable[..., list[str]], tmp_path: Path, grammar: str, lora: bool
) -> None:
    (tmp_path / "model").mkdir()
    model = build_vllm_model(tmp_path / "model")
    arguments = small_arguments(
        "json.yaml", "--model.reference", str(model), "--trainer.max_completion_length", "80",
        "--trainer.learning_rate", "1e-2", "--trainer.max_steps", "3", "--trainer.logging_steps", "1",
        "--rollout.engine", "vllm", "--rollout.grammar", grammar,
        "--rollout.vllm", json.dumps({"dtype": "float32", "max_model_len": 1024}),
    )  # fmt: skip
    if lora:
        arguments += ["--lora", json.dumps({"rank": 4})]
    assert VLLM_PYTHON is not None
    command = [VLLM_PYTHON, str(ROOT / "train" / "grpo.py"), *arguments]
    environment = {**os.environ, "VLLM_CPU_KVCACHE_SPACE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    lines = (tmp_path / "runs" / "run" / "metrics.jsonl").read_text().splitlines()
    steps = [row for row in map(json.loads, lines) if "importance/difference" in row]
    assert len(steps) == 3 and steps[0]["grad_norm"] > 0
    # After a step of this size, weights that were not taken over would differ by far more than rounding.
    assert all(row["importance/difference"] < 1e-4 for row in steps)
    assert all(row["grammar/structure_gap"] > 0 for row in steps)
