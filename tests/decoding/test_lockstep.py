"""Processes that need each other in every forward make the same number of forwards, whatever their rows do."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from accelerate import PartialState

from decoding.engine import Request
from decoding.lockstep import LONGEST_WAIT, join_process_group
from decoding.transformers_engine import TransformersEngine

ROOT = Path(__file__).parents[2]


def test_two_processes_with_ragged_turns_make_as_many_forwards(tmp_path: Path) -> None:
    script = Path(__file__).with_name("lockstep_process.py")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path)], env=environment, capture_output=True, text=True, timeout=90
    )
    assert done.returncode == 0, done.stderr
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2))
    for kind in ("cached", "replayed"):
        assert first[kind]["forwards"] == second[kind]["forwards"] >= 15
        assert first[kind]["turns"] != second[kind]["turns"]


def test_a_process_that_is_done_early_waits_for_the_others_longer_than_by_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(PartialState, "_shared_state", {})
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    launched = {"LOCAL_RANK": "0", "RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}
    for name, value in {**launched, "OMP_NUM_THREADS": "1"}.items():
        monkeypatch.setenv(name, value)
    join_process_group()
    try:
        assert dist.get_backend() == "gloo"
        assert (
            dist.distributed_c10d._get_default_group()._get_backend(torch.device("cpu")).options._timeout
            == LONGEST_WAIT
        )
    finally:
        dist.destroy_process_group()


class RecordedLockstep:
    """What an engine says to other processes, one of which makes two forwards more."""

    def __init__(self) -> None:
        self.announced = 0
        self.ran_out = 0

    def before_forward(self) -> None:
        self.announced += 1

    def run_out(self, forward: Callable[[], object]) -> None:
        self.ran_out += 1
        forward()
        forward()


def test_every_forward_is_announced_and_none_after_the_last(model: Any, tokenizer: Any) -> None:
    forwards: list[bool] = []
    model.register_forward_pre_hook(lambda module, inputs: forwards.append(module.training))
    model.train()
    lockstep = RecordedLockstep()
    engine = TransformersEngine(model, tokenizer, lockstep=lockstep)
    engine.generate([Request(prompt_ids=[5, 6, 7], max_new_tokens=4, seed=0)])
    assert (lockstep.announced, lockstep.ran_out, len(forwards)) == (1 + 4, 1, 1 + 4 + 2)
    assert engine.generate([]) == []
    assert (lockstep.announced, lockstep.ran_out, len(forwards)) == (1 + 4, 2, 1 + 4 + 2 + 2)
    assert not any(forwards) and model.training


def test_an_error_is_not_held_up_by_waiting_for_others(model: Any, tokenizer: Any) -> None:
    lockstep = RecordedLockstep()
    engine = TransformersEngine(model, tokenizer, lockstep=lockstep)
    with pytest.raises(IndexError):
        engine.generate([Request(prompt_ids=[10_000], max_new_tokens=4, seed=0)])
    assert lockstep.ran_out == 0
