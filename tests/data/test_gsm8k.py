"""The GSM8K reader."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from data.gsm8k import Gsm8kReader
from envs.errors import ConfigurationError
from envs.math.environment import MathEnvironment
from envs.math.task import MathTask
from envs.transcript import Transcript


def write(directory: Path, name: str, rows: list[object]) -> None:
    (directory / name).write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_the_gold_is_what_follows_the_marks(tmp_path: Path) -> None:
    rows = [
        {"question": " How many? ", "answer": "2*3=<<2*3=6>>6\n6*200=<<6*200=1200>>1200\n#### 1,200"},
        {"question": "Lost?", "answer": "#### -3.5"},
    ]
    write(tmp_path, "train.jsonl", rows)
    first, second = Gsm8kReader(path=str(tmp_path)).read("train").tasks
    assert first == MathTask(id="gsm8k-train-0", labels={"steps": "2"}, question="How many?", gold="1200")
    assert isinstance(second, MathTask) and second.gold == "-3.5"


def test_rows_without_a_gold_are_skipped_and_counted(tmp_path: Path) -> None:
    good = {"question": "q", "answer": "#### 1"}
    bad = [{"question": "q", "answer": "no marks 5"}, {"question": "q", "answer": "#### five"}, {"answer": "#### 1"}, 7]
    write(tmp_path, "test.jsonl", [*bad, good])
    reading = Gsm8kReader(path=str(tmp_path)).read("heldout")
    assert [task.id for task in reading.tasks] == ["gsm8k-test-4"]
    assert reading.skipped == {"no gold number": 2, "no question": 2}


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="test.jsonl"):
        Gsm8kReader(path=str(tmp_path)).read("heldout")
    write(tmp_path, "test.jsonl", [])
    with pytest.raises(ConfigurationError, match="no usable row"):
        Gsm8kReader(path=str(tmp_path)).read("heldout")


def test_every_official_row_becomes_a_task_whose_reference_is_correct(
    dataset_directory: Callable[[str, str], Path],
) -> None:
    reader, environment = Gsm8kReader(path=str(dataset_directory("gsm8k", "train.jsonl"))), MathEnvironment()
    assert reader.environment == environment.name
    for split, count in (("train", 7_473), ("heldout", 1_319)):
        reading = reader.read(split)  # type: ignore[arg-type]
        assert len(reading.tasks) == len({task.id for task in reading.tasks}) == count
        assert not reading.skipped
        tasks = [task for task in reading.tasks if isinstance(task, MathTask)]
        verdicts = environment.judge([(task, Transcript.of(environment.reference(task))) for task in tasks])
        assert all(verdict.is_correct for verdict in verdicts)
