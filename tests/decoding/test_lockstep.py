"""Processes that need each other in every forward make the same number of forwards, whatever their rows do."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from decoding.engine import Request
from decoding.transformers_engine import TransformersEngine

ROOT = Path(__file__).parents[2]


def test_two_processes_with_ragged_turns_make_as_many_forwards(tmp_path: Path) -> None:
    script = Path(__file__).with_name("lockstep_process.py")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(
            [sys.executable, str(script), str(rank), str(tmp_path / "store")],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for rank in range(2)
    ]  # fmt: skip
    try:
        outputs = [process.communicate(timeout=90) for process in processes]
    finally:
        for process in processes:
            process.kill()
    for process, (_, errors) in zip(processes, outputs, strict=True):
        assert process.returncode == 0, errors
    first, second = (json.loads(output.splitlines()[-1]) for output, _ in outputs)
    for kind in ("cached", "replayed"):
        assert first[kind]["forwards"] == second[kind]["forwards"] >= 15
        assert first[kind]["turns"] != second[kind]["turns"]


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
