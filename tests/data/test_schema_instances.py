"""The reader of schemas with instances."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from data.schema_instances import SchemaInstancesReader
from envs.errors import ConfigurationError
from envs.json.task import JsonTask

SCHEMA = {"properties": {"b": {"type": "integer"}, "a": {}}, "required": ["b"]}


def write(path: Path, rows: list[Any]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path.parent)


def test_a_row_with_a_text_has_its_instance_as_the_gold(tmp_path: Path) -> None:
    row = {"id": "x", "schema": SCHEMA, "instance": {"b": 1, "a": "é"}, "text": "b is 1"}
    write(tmp_path / "train.jsonl", [row, {**row, "id": "y", "schema": json.dumps(SCHEMA)}])
    path = write(tmp_path / "heldout.jsonl", [{**row, "id": None}])
    reader = SchemaInstancesReader(path=path)
    first, second = reader.read("train").tasks
    assert first == JsonTask(id="x", schema=json.dumps(SCHEMA), text="b is 1", gold='{"b": 1, "a": "é"}')
    assert isinstance(second, JsonTask) and second.schema == json.dumps(SCHEMA)
    assert [task.id for task in reader.read("heldout").tasks] == ["heldout-0"]


def test_a_row_without_a_text_has_no_gold(tmp_path: Path) -> None:
    tests = [{"valid": False, "data": {}}, {"valid": True, "data": {"b": 2}}]
    rows = [
        {"id": "mask", "split": "Github_easy", "schema": SCHEMA, "tests": tests},
        {"schema": SCHEMA, "instance": {"b": 1}},
        {"schema": SCHEMA},
    ]
    tasks = SchemaInstancesReader(path=write(tmp_path / "train.jsonl", rows)).read("train").tasks
    assert [task.id for task in tasks] == ["mask", "train-1", "train-2"]
    assert all(isinstance(task, JsonTask) and task.gold is None and task.text is None for task in tasks)
    assert tasks[0].labels == {"source": "Github_easy"}


def test_unusable_rows_are_skipped_and_counted_by_reason(tmp_path: Path) -> None:
    rows: list[Any] = [
        {"schema": {"type": "text"}},
        {"schema": {"$ref": "http://a.example/b"}},
        {"schema": SCHEMA, "instance": {"b": "1"}},
        {"schema": {}, "instance": float("nan")},
        {"schema": SCHEMA, "tests": [{"valid": False, "data": {}}]},
        {"text": "no schema"},
        {"schema": SCHEMA, "text": 5},
        7,
        {"id": "good", "schema": SCHEMA},
        {"id": "good", "schema": SCHEMA},
    ]
    reading = SchemaInstancesReader(path=write(tmp_path / "train.jsonl", rows)).read("train")
    assert [task.id for task in reading.tasks] == ["good"]
    assert reading.skipped == {
        "schema does not compile": 2,
        "instance breaks the schema": 1,
        "instance is not JSON": 1,
        "no valid instance": 1,
        "no schema": 2,
        "text is not a string": 1,
        "repeated id": 1,
    }


def test_a_single_file_is_split_by_id_whatever_its_order(tmp_path: Path) -> None:
    rows = [{"id": f"row {number}", "schema": {}} for number in range(400)]
    write(tmp_path / "all.jsonl", rows)
    write(tmp_path / "turned.jsonl", rows[::-1])
    heldout = []
    for name in ("all.jsonl", "turned.jsonl"):
        reader = SchemaInstancesReader(path=str(tmp_path / name), heldout_share=0.25)
        ids = {split: {task.id for task in reader.read(split).tasks} for split in ("train", "heldout")}  # type: ignore[arg-type]
        assert ids["train"].isdisjoint(ids["heldout"]) and len(ids["train"] | ids["heldout"]) == 400
        assert 60 < len(ids["heldout"]) < 140
        heldout.append(ids["heldout"])
    assert heldout[0] == heldout[1]


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    write(tmp_path / "train.jsonl", [{"schema": 5}])
    reader = SchemaInstancesReader(path=str(tmp_path))
    with pytest.raises(ConfigurationError, match="heldout.jsonl"):
        reader.read("heldout")
    with pytest.raises(ConfigurationError, match="1 schema does not compile"):
        reader.read("train")
    with pytest.raises(ConfigurationError, match="heldout_share"):
        SchemaInstancesReader(path="x", heldout_share=1.0)


def test_other_column_names_can_be_given(tmp_path: Path) -> None:
    path = write(tmp_path / "train.jsonl", [{"unique_id": "u", "json_schema": "{}"}])
    reader = SchemaInstancesReader(path=path, schema_key="json_schema", id_key="unique_id")
    assert reader.read("train").tasks == [JsonTask(id="u", schema="{}")]


def test_real_rows_become_tasks(dataset_directory: Callable[[str, str], Path]) -> None:
    path = dataset_directory("jsonschemabench-sample", "schemas.jsonl") / "schemas.jsonl"
    reader = SchemaInstancesReader(path=str(path))
    readings = [reader.read("train"), reader.read("heldout")]
    assert len(readings[0].tasks) + len(readings[1].tasks) + sum(readings[0].skipped.values()) == 852
    assert readings[0].skipped.keys() <= {"no valid instance"}
    assert len(readings[0].tasks) > 500 and len(readings[1].tasks) > 20


def test_schemas_that_are_too_long_are_skipped_and_counted(tmp_path: Path) -> None:
    rows = [{"schema": {"enum": list(range(count))}, "id": str(count)} for count in (1, 2, 40)]
    path = write(tmp_path / "train.jsonl", rows)
    length = len('{"enum":[0,1]}')
    reading = SchemaInstancesReader(path=path, max_schema_characters=length).read("train")
    assert [task.id for task in reading.tasks] == ["1", "2"] and reading.skipped == {"schema too long": 1}
    assert len(SchemaInstancesReader(path=path).read("train").tasks) == 3
    with pytest.raises(ConfigurationError, match="max_schema_characters is 1"):
        SchemaInstancesReader(path=path, max_schema_characters=1)
