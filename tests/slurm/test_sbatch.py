"""slurm/grpo.sbatch on a real two-node Slurm: ranks of one job, its arguments, failure, requeue and resume."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SBATCH = "slurm/grpo.sbatch"
REPORT_RANK = Path(__file__).with_name("report_rank.py")
ON_CPU = {
    "STRUCTRL_VENV": sys.prefix,
    "STRUCTRL_ACCELERATE": "configs/accelerate/zero2_cpu.yaml",
    "STRUCTRL_PROCESSES_PER_NODE": "1",
}


def submit(cluster: Any, log: Path, *arguments: str, **environment: str) -> str:
    """Submits the real batch script for two nodes; returns the job's number."""
    options = ["--parsable", "--nodes=2", f"--chdir={ROOT}", f"--output={log}"]
    return cluster.run("sbatch", *options, str(ROOT / SBATCH), *arguments, **ON_CPU, **environment).strip()


def wait_for(condition: Callable[[], bool], cluster: Any, job: str, log: Path, seconds: float = 180) -> None:
    """Waits until ``condition`` holds; fails with the job's log when the job is over, or the time, and it does not."""
    deadline = time.monotonic() + seconds
    while not condition():
        state = cluster.job(job)["JobState"]
        if (state in ("COMPLETED", "FAILED", "NODE_FAIL") or time.monotonic() > deadline) and not condition():
            cluster.run("scancel", "--full", job)
            text = log.read_text(errors="replace")[-3000:] if log.exists() else "no log"
            pytest.fail(f"job {job} is {state}: {text}")
        time.sleep(0.3)


def reports(folder: Path, restart: int) -> list[dict[str, Any]]:
    """What each rank wrote down at one (re)start of the job, by rank."""
    return [json.loads(path.read_text()) for path in sorted(folder.glob(f"report-{restart}-*.json"))]


@pytest.mark.slurm
@pytest.mark.slow
def test_two_nodes_run_as_ranks_of_one_job_and_a_requeued_job_resumes(slurm_cluster: Any, tmp_path: Path) -> None:
    log = tmp_path / "job.log"
    job = submit(slurm_cluster, log, str(tmp_path), "--name", "two words", STRUCTRL_SCRIPT=str(REPORT_RANK))
    wait_for(lambda: len(reports(tmp_path, 0)) == 2, slurm_cluster, job, log)

    first, second = reports(tmp_path, 0)
    assert first["met"] == second["met"] == [0, 1]
    assert {first["node"], second["node"]} == set(slurm_cluster.nodes)
    assert first["zero"] == "2" and first["threads"] == "1"
    assert first["arguments"] == second["arguments"] == ["--name", "two words"]

    # What Slurm itself sends three minutes before the time limit.
    slurm_cluster.run("scancel", "--batch", "--signal=USR1", job)
    wait_for(lambda: len(reports(tmp_path, 1)) == 2, slurm_cluster, job, log)
    assert [report["arguments"] for report in reports(tmp_path, 1)] == [["--name", "two words", "--resume"]] * 2

    (tmp_path / "go").touch()
    wait_for(lambda: slurm_cluster.job(job)["JobState"] == "COMPLETED", slurm_cluster, job, log)
    assert "restart 0" in log.read_text() and "restart 1" in log.read_text()


@pytest.mark.slurm
@pytest.mark.slow
def test_a_rank_that_fails_ends_the_job_on_all_nodes(slurm_cluster: Any, tmp_path: Path) -> None:
    log = tmp_path / "job.log"
    job = submit(slurm_cluster, log, str(tmp_path), "--fail-rank=1", STRUCTRL_SCRIPT=str(REPORT_RANK))
    wait_for(lambda: slurm_cluster.job(job)["JobState"] == "FAILED", slurm_cluster, job, log)
    assert len(reports(tmp_path, 0)) == 2
    assert slurm_cluster.job(job)["ExitCode"] != "0:0"


@pytest.mark.slurm
@pytest.mark.slow
def test_training_on_two_nodes_divides_the_optimizer_state_between_them(
    slurm_cluster: Any, tmp_path: Path, tiny_model: Path
) -> None:
    log = tmp_path / "job.log"
    flags = {
        "config": "configs/quickstart.yaml",
        "model.reference": str(tiny_model),
        "output": str(tmp_path),
        "name": "two_nodes",
        "heldout.tasks": "2",
        "heldout.max_new_tokens": "4",
        "trainer.max_steps": "1",
        "trainer.save_steps": "1",
        "trainer.per_device_train_batch_size": "4",
        "trainer.num_generations": "4",
        "trainer.max_completion_length": "4",
        "trainer.use_cpu": "true",
        "trainer.bf16": "false",
    }
    job = submit(slurm_cluster, log, *(word for key, value in flags.items() for word in (f"--{key}", value)))
    wait_for(lambda: slurm_cluster.job(job)["JobState"] == "COMPLETED", slurm_cluster, job, log)
    shards = (tmp_path / "two_nodes" / "checkpoints" / "checkpoint-1").glob("global_step1/*_optim_states.pt")
    assert len(list(shards)) == 2


def test_without_a_virtual_environment_the_job_says_what_to_set() -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("STRUCTRL_")}
    done = subprocess.run(["bash", SBATCH], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode != 0
    assert "STRUCTRL_VENV: set it to the virtual environment" in done.stderr
