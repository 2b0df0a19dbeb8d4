"""Reading mathematics problems: MATH-500's and AIME's files, and rows with every defect."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from data.math_problems import MathProblemsReader
from envs.errors import ConfigurationError
from envs.math.task import MathTask

MATH500 = {
    "problem": "What is $1 + \\frac12$?",
    "solution": "It is $\\boxed{\\frac32}$.",
    "answer": "\\frac32",
    "subject": "Algebra",
    "level": 2,
    "unique_id": "test/algebra/1.json",
}
AIME = {"id": 60, "problem": "How many?", "solution": "204", "answer": "204", "url": "https://...", "year": "2024"}
AIME_CAPITALS = {"ID": "2024-II-4", "Problem": "How many?", "Solution": "33", "Answer": 33}


def write(path: Path, rows: list[Any]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path.parent)


def test_math_500_is_labelled_with_what_is_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path / "test.jsonl", [MATH500])
    labels = {"difficulty": "level", "subject": "subject", "year": "year"}
    (task,) = MathProblemsReader(path=path, labels=labels).read("heldout").tasks
    assert task == MathTask(
        id="test/algebra/1.json",
        labels={"difficulty": "2", "subject": "Algebra"},
        question="What is $1 + \\frac12$?",
        gold="\\frac32",
    )


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (AIME, ("60", "How many?", "204")),
        (AIME_CAPITALS, ("2024-II-4", "How many?", "33")),
        ({"question": "q", "final_answer": ["$2$"]}, ("heldout-0", "q", "2")),
        ({"question": "q", "answer": "$(1,2),$ and $3$"}, ("heldout-0", "q", "$(1,2),$ and $3$")),
        ({"question": "q", "answer": 0}, ("heldout-0", "q", "0")),
    ],
)
def test_several_spellings_of_the_columns_are_known(
    tmp_path: Path, row: dict[str, Any], expected: tuple[str, str, str]
) -> None:
    (task,) = MathProblemsReader(path=write(tmp_path / "test.jsonl", [row])).read("heldout").tasks
    assert isinstance(task, MathTask)
    assert (task.id, task.question, task.gold) == expected


def test_columns_and_files_can_be_named(tmp_path: Path) -> None:
    row = {"prompt": "q", "question": "not this", "target": 5, "answer": 6, "key": "k"}
    (tmp_path / "amc.json").write_text(json.dumps([row]))
    write(tmp_path / "more.jsonl", [row, {**row, "key": "l"}])
    options: dict[str, Any] = {"question_key": "prompt", "answer_key": "target", "id_key": "key"}
    expected = MathTask(id="k", question="q", gold="5")
    reader = MathProblemsReader(path=str(tmp_path), questions="amc.json", train_questions="more", **options)
    assert list(reader.read("heldout").tasks) == [expected]
    assert [task.id for task in reader.read("train").tasks] == ["k", "l"]
    assert list(MathProblemsReader(path=str(tmp_path / "amc.json"), **options).read("heldout").tasks) == [expected]


def test_bad_rows_are_skipped_and_counted(tmp_path: Path) -> None:
    rows = [MATH500, {**MATH500, "problem": " "}, {**MATH500, "answer": None}, {**MATH500, "answer": True}, 7]
    rows += [{**MATH500, "answer": ["1", "2"]}, {**MATH500, "answer": []}]
    reading = MathProblemsReader(path=write(tmp_path / "test.jsonl", rows)).read("heldout")
    assert len(reading.tasks) == 1
    assert reading.skipped == {"no question": 1, "no answer": 3, "no object": 1, "several answers": 1}


def test_what_is_missing_is_named_with_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="lacks 'test.jsonl'; get MATH-500 from https://huggingface.co"):
        MathProblemsReader(path=str(tmp_path)).read("heldout")
    with pytest.raises(ConfigurationError, match="'train_questions'"):
        MathProblemsReader(path=str(tmp_path)).read("train")
    with pytest.raises(ConfigurationError, match="'test' of .* has no usable row"):
        MathProblemsReader(path=write(tmp_path / "test.jsonl", [{}])).read("heldout")


def test_math_500_is_read_in_full(dataset_directory: Callable[[str, str], Path]) -> None:
    path = dataset_directory("math500", "test.jsonl")
    reader = MathProblemsReader(path=str(path), labels={"difficulty": "level"})
    reading = reader.read("heldout")
    assert not reading.skipped and len({task.id for task in reading.tasks}) == 500
    assert {task.labels["difficulty"] for task in reading.tasks} == {"1", "2", "3", "4", "5"}
