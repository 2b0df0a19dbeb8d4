"""Real processes: two of them under DeepSpeed ZeRO-2 and ZeRO-3 over gloo, and one that is killed with SIGKILL."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

Arguments = Callable[..., list[str]]

PACED = [
    "--reward.parts", "{answered: {weight: 1}, finished: {weight: 2, pace: {part: answered, full_at: 0.5}}}",
    "--reward.normalization", "parts",
]  # fmt: skip


def environment() -> dict[str, str]:
    # DS_ACCELERATOR keeps DeepSpeed on the CPU where there is a GPU too; ACCELERATE_USE_CPU would switch ZeRO off.
    variables = {key: value for key, value in os.environ.items() if key != "ACCELERATE_USE_CPU"}
    return {**variables, "DS_ACCELERATOR": "cpu", "PYTHONPATH": str(ROOT)}


def steps(run: Path) -> list[int]:
    return [json.loads(line)["step"] for line in (run / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_two_processes_train_under_zero_2_and_resume_from_their_checkpoint(
    small_arguments: Arguments, tmp_path: Path
) -> None:
    run = tmp_path / "runs" / "run"

    def launch(*more: str) -> None:
        accelerate = [sys.executable, "-m", "accelerate.commands.launch"]
        config = ["--config_file", "configs/accelerate/zero2_cpu.yaml"]
        command = [*accelerate, *config, "train/grpo.py", *small_arguments("json.yaml", *PACED, *more)]
        done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr[-3000:]

    launch()
    shards = sorted(path.name for path in (run / "checkpoints/checkpoint-2").glob("global_step2/*_optim_states.pt"))
    assert len(shards) == 2, "ZeRO-2 divides the optimizer between its processes"
    assert json.loads((run / "report.json").read_text())["after"]["free"]["answers"] == 4
    # Each process answers half of the tasks of a step, and all rewards are counted.
    assert steps(run) == [1, 2]

    launch("--trainer.max_steps", "4", "--resume")
    assert steps(run) == [1, 2, 3, 4]
    # Paced by the answers of both processes: shut before the first, and open still after the resume.
    opened = [json.loads(line)["weights/finished"] for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert opened[0] == 0 and opened[1:] == pytest.approx([2 / 3] * 3)
    assert json.loads((run / "after.json").read_text())["step"] == 4


@pytest.mark.slow
def test_processes_whose_turns_differ_keep_step_under_zero_3(
    small_arguments: Arguments, tagging_model: Path, tmp_path: Path
) -> None:
    tags = "{reasoning: null, step: intermediate_sql, observation: result, answer: final_sql}"
    flags = [
        "--model.reference", str(tagging_model), "--trainer.max_steps", "1", "--trainer.save_steps", "10",
        "--environment.options", f"{{tags: {tags}, observation_tokens: 32, max_steps: 3}}",
        "--reward.parts", "{answered: {weight: 1}, tag_share: {weight: 1}}", "--heldout.metrics", "[answered]",
        "--heldout.decodings", "{free: {temperature: 1.0}}", "--heldout.max_new_tokens", "100",
        "--trainer.max_completion_length", "100", "--rollout.branching", "2", "--rollout.refill", "1",
    ]  # fmt: skip

    def launch(name: str, *more: str) -> dict[str, float]:
        accelerate = [sys.executable, "-m", "accelerate.commands.launch"]
        config = ["--config_file", "configs/accelerate/zero3_cpu.yaml"]
        command = [*accelerate, *config, "train/grpo.py", *small_arguments("sql.yaml", *flags, *more, name=name)]
        done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr[-3000:]
        return json.loads((tmp_path / "runs" / name / "metrics.jsonl").read_text())

    # Without gathering the weights first, each forward of one process needs the other.
    apart = launch("apart", "--trainer.ds3_gather_for_generation", "false")
    gathered = launch("gathered")
    assert apart["rollouts/observations"] > 0 and apart["completions/max_length"] > apart["completions/min_length"]
    for curve in ("reward", "num_tokens", "rollouts/observations", "loss", "entropy"):
        assert apart[curve] == pytest.approx(gathered[curve], rel=1e-4), curve


@pytest.mark.slow
def test_a_run_killed_at_any_moment_resumes_and_ends_as_if_it_had_not_been(
    small_arguments: Arguments, train: Callable[..., Path], tmp_path: Path
) -> None:
    # Rollouts are used twice, over two steps: every other checkpoint is in the midst of them.
    flags = ["--trainer.max_steps", "26", "--trainer.save_steps", "5", "--trainer.num_iterations", "2"]
    straight = train("json.yaml", *flags, name="straight")
    killed = tmp_path / "runs" / "killed"
    command = [sys.executable, "train/grpo.py", *small_arguments("json.yaml", *flags, name="killed")]
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    # As soon as it begins to write one: it goes on from the one before, whose rollouts are used up by half.
    while not (killed / "checkpoints" / "checkpoint-20").exists():
        assert process.poll() is None and time.monotonic() < deadline, "the run ended before it could be killed"
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (killed / "report.md").exists()

    train("json.yaml", *flags, "--resume", name="killed")
    assert steps(killed) == list(range(1, 27))
    final = [(run / "model" / "model.safetensors").read_bytes() for run in (straight, killed)]
    assert final[0] == final[1]
