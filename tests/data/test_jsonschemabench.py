"""Reading JSONSchemaBench and MaskBench as their repository is laid out."""

import json
from pathlib import Path
from typing import Any

import pytest

from data.jsonschemabench import SCHEMA_SPLITS, JsonSchemaBenchReader
from envs.errors import ConfigurationError
from envs.json.environment import JsonEnvironment
from envs.json.task import JsonTask
from envs.transcript import Transcript

SCHEMA = {"type": "object", "properties": {"b": {"type": "integer"}, "a": {}}, "required": ["b"]}
TESTS = [{"description": "x", "valid": False, "data": {}}, {"description": "y", "valid": True, "data": {"b": 1}}]


def write(file: Path, content: Any) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content if isinstance(content, str) else json.dumps(content, indent=4))


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with two schemas a split, and MaskBench's tests of some."""
    for split in SCHEMA_SPLITS:
        write(tmp_path / "data" / split / "o2.json", SCHEMA)
    write(tmp_path / "data" / "Github_easy" / "o1.json", {"enum": list(range(40))})
    masks = tmp_path / "maskbench" / "data"
    write(masks / "Github_easy---o1.json", {"description": "", "meta": {}, "schema": SCHEMA, "tests": TESTS})
    write(masks / "BFCL_simple_210.json", {"schema": {}, "tests": TESTS[1:]})
    write(masks / "Github_easy---o2.json", {"schema": SCHEMA, "tests": TESTS[:1]})
    write(masks / "Github_hard---o3.json", {"schema": SCHEMA, "tests": []})
    write(masks / "Github_hard---o4.json", [SCHEMA])
    return tmp_path


def test_every_schema_becomes_a_task_without_a_gold(checkout: Path) -> None:
    reading = JsonSchemaBenchReader(path=str(checkout)).read("heldout")
    assert not reading.skipped and len(reading.tasks) == len(SCHEMA_SPLITS) + 1
    first, second = reading.tasks[:2]
    assert (first.id, first.labels) == ("Github_easy---o1", {"source": "Github_easy"})
    assert second == JsonTask(id="Github_easy---o2", labels={"source": "Github_easy"}, schema=json.dumps(SCHEMA))


def test_an_answer_is_right_when_it_obeys_the_schema(checkout: Path) -> None:
    (task,) = JsonSchemaBenchReader(path=str(checkout), splits=["Snowplow"]).read("heldout").tasks
    answers = ['{"b": 2}', '{"b": "2"}']
    verdicts = JsonEnvironment().judge([(task, Transcript.of(answer)) for answer in answers])  # type: ignore[list-item]
    assert [verdict.is_correct for verdict in verdicts] == [True, False]


def test_maskbench_takes_schemas_that_are_known_to_have_an_instance(checkout: Path) -> None:
    reading = JsonSchemaBenchReader(path=str(checkout), part="maskbench").read("heldout")
    assert [(task.id, task.labels["source"]) for task in reading.tasks] == [
        ("BFCL_simple_210", "BFCL"),
        ("Github_easy---o1", "Github_easy"),
    ]
    assert reading.skipped == {"no valid instance": 2, "no schema": 1}
    only = JsonSchemaBenchReader(path=str(checkout), part="maskbench", splits=["BFCL"]).read("heldout")
    assert [task.id for task in only.tasks] == ["BFCL_simple_210"]


def test_unusable_schemas_are_skipped_and_counted(checkout: Path) -> None:
    folder = checkout / "data" / "Kubernetes"
    for name, content in {"a": "{", "b": "\ufeff[", "c": '{"type": 5}', "d": "null", "e": "[1]"}.items():
        write(folder / f"{name}.json", content)
    reading = JsonSchemaBenchReader(path=str(checkout), splits=["Kubernetes"]).read("heldout")
    assert [task.id for task in reading.tasks] == ["Kubernetes---o2"]
    assert reading.skipped == {"not JSON": 3, "schema does not compile": 2}
    length = len(json.dumps(SCHEMA, separators=(",", ":")))
    limited = JsonSchemaBenchReader(path=str(checkout), splits=["Github_easy"], max_schema_characters=length)
    assert limited.read("heldout").skipped == {"schema too long": 1}


def test_all_that_is_missing_is_named_with_where_to_get_it(checkout: Path, tmp_path: Path) -> None:
    for split in ("Github_easy", "Snowplow"):
        for file in (checkout / "data" / split).iterdir():
            file.unlink()
        (checkout / "data" / split).rmdir()
    with pytest.raises(ConfigurationError) as caught:
        JsonSchemaBenchReader(path=str(checkout)).read("heldout")
    assert "lacks 'data/Github_easy', 'data/Snowplow'; get it from https://github.com/guidance-ai" in str(caught.value)
    with pytest.raises(ConfigurationError, match="is for measuring"):
        JsonSchemaBenchReader(path=str(checkout)).read("train")
    with pytest.raises(ConfigurationError, match="no usable row"):
        JsonSchemaBenchReader(path=str(checkout), part="maskbench", splits=["JME"]).read("heldout")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"part": "maskbnch"}, "unknown part 'maskbnch'; did you mean 'maskbench'"),
        ({"splits": ["Github_esy"]}, "unknown split 'Github_esy'; did you mean 'Github_easy'"),
        ({"max_schema_characters": 1}, "max_schema_characters is 1"),
        ({"path": "hub://epfl-dlab/JSONSchemaBench", "part": "maskbench"}, "holds schemas only"),
    ],
)
def test_options_without_a_meaning_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        JsonSchemaBenchReader(**{"path": ".", **options})
