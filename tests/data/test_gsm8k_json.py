"""GSM8K with answers as JSON: the two shapes, and that every official solution is judged right."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from data.gsm8k import Gsm8kReader
from data.gsm8k_json import Gsm8kJsonReader
from data.registry import load_tasks
from envs.errors import ConfigurationError
from envs.json.environment import JsonEnvironment
from envs.json.task import JsonTask, MathGold
from envs.transcript import Transcript

SOLUTION = "In May she sold 48/2 = <<48/2=24>>24 clips.\nThat is all.\n#### 1,272"


@pytest.fixture
def directory(tmp_path: Path) -> str:
    rows = [{"question": " How many? ", "answer": SOLUTION}, {"question": "Half?", "answer": "#### 0.5"}, {}]
    for name in ("train.jsonl", "test.jsonl"):
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(tmp_path)


def tasks(path: str, **options: Any) -> list[JsonTask]:
    return [task for task in Gsm8kJsonReader(path=path, **options).read("train").tasks if isinstance(task, JsonTask)]


def reference(task: JsonTask) -> Any:
    assert isinstance(task.gold, MathGold) and task.gold.reference is not None
    return json.loads(task.gold.reference)


def test_the_steps_of_the_reference_are_those_of_the_official_solution(directory: str) -> None:
    first, second = tasks(directory)
    assert first.text == "How many?" and first.labels == {"steps": "1"} and first.functions is None
    assert reference(first) == {
        "reasoning": [
            {"step": 1, "text": "In May she sold 48/2 = 24 clips.", "expr": "48/2=24"},
            {"step": 2, "text": "That is all."},
        ],
        "answer": 1272,
    }
    assert reference(second) == {"reasoning": [{"step": 1, "text": "0.5"}], "answer": 0.5}


def test_the_other_shape_has_two_strings(directory: str) -> None:
    first, _ = tasks(directory, shape="text")
    assert reference(first) == {"reasoning": "In May she sold 48/2 = 24 clips.\nThat is all.", "answer": "1272"}


def test_the_same_rows_are_left_out_as_of_gsm8k_and_no_id_is_shared(directory: str) -> None:
    plain, wrapped = Gsm8kReader(path=directory).read("heldout"), Gsm8kJsonReader(path=directory).read("heldout")
    assert plain.skipped == wrapped.skipped == {"no question": 1}
    assert not {task.id for task in plain.tasks} & {task.id for task in wrapped.tasks}


def test_an_unknown_shape_names_the_known_ones(directory: str) -> None:
    with pytest.raises(ConfigurationError, match="unknown shape 'step'; did you mean 'steps'.*text"):
        Gsm8kJsonReader(path=directory, shape="step")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("answer", "is_valid", "is_correct"),
    [
        ('{"reasoning": [{"step": 1, "text": "x"}], "answer": 1272.0}', True, True),
        ('{"reasoning": [{"step": 1, "text": "x", "expr": "1"}], "answer": "1,272"}', True, True),
        ('{"reasoning": [{"step": 1, "text": "1272"}], "answer": 1271}', True, False),
        ('{"reasoning": [], "answer": 1272}', False, False),
        ('{"reasoning": "x", "answer": 1272}', False, False),
        ('{"reasoning": [{"step": 1, "text": "x"}], "answer": true}', False, False),
        ('{"answer": 1272}', False, False),
        ("1272", False, False),
    ],
)
def test_only_the_answer_is_verified_and_all_of_it_must_obey_the_schema(
    directory: str, answer: str, is_valid: bool, is_correct: bool
) -> None:
    first, _ = tasks(directory)
    (verdict,) = JsonEnvironment().judge([(first, Transcript.of(answer))])
    assert (verdict.is_valid, verdict.is_correct) == (is_valid, is_correct)  # type: ignore[attr-defined]


@pytest.mark.parametrize("shape", ["steps", "text"])
def test_every_official_solution_is_judged_right(dataset_directory: Callable[[str, str], Path], shape: Any) -> None:
    reader = Gsm8kJsonReader(path=str(dataset_directory("gsm8k", "test.jsonl")), shape=shape)
    reading = load_tasks(reader, JsonEnvironment(), "heldout")
    assert len(reading.tasks) == 1_319 and not reading.skipped
