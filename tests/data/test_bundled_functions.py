"""The bundled function-call tasks: answered by their requests, disjoint between the splits, what the builder writes."""

import dataclasses
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from data.bundled.counts import table
from data.bundled.functions import build
from data.bundled.functions.function import Function, written
from data.bundled.json.draw import Draw
from data.bundled.json.families_public import MONTHS
from data.bundled.json.family import spoken
from data.bundled_tasks import BundledFunctionsReader
from data.reader import Split
from data.registry import load_tasks
from envs.json.environment import JsonEnvironment
from envs.json.task import CallsGold, JsonTask

FOLDER = Path(build.__file__).parent
FIELDS = ["id", "request", "functions", "calls", "kind", "difficulty", "domain", "new_function"]
FUNCTIONS = {function.name: function for function in build.FUNCTIONS}


def read(split: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (FOLDER / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()]


TRAIN, HELDOUT = read("train"), read("heldout")
ROWS = TRAIN + HELDOUT


def leaves(schema: dict[str, Any], value: Any) -> Iterator[tuple[dict[str, Any], Any]]:
    if isinstance(value, dict):
        for key, part in value.items():
            yield from leaves(schema["properties"][key], part)
    elif isinstance(value, list):
        for part in value:
            yield from leaves(schema["items"], part)
    else:
        yield schema, value


def given_leaves(call: dict[str, Any]) -> Iterator[tuple[dict[str, Any], Any]]:
    """The leaves of the arguments that are asked for, each with its schema."""
    asked = {name: value for name, value in call["arguments"].items() if name not in call.get("optional", ())}
    return leaves(FUNCTIONS[call["name"]].declaration["parameters"], asked)


def normal_forms(schema: dict[str, Any], value: Any) -> list[str]:
    forms = [str(value)]
    if schema.get("format") == "date":
        year, month, day = value.split("-")
        forms.append(f"{int(day)} {MONTHS[int(month) - 1]} {year}")
    elif isinstance(value, str) and re.fullmatch("[0-2][0-9]:[0-5][0-9]", value):
        hour = int(value[:2])
        forms.append(f"{hour % 12 or 12}:{value[3:]} {'pm' if hour >= 12 else 'am'}")
    return forms


def is_stated(form: str, text: str) -> bool:
    return re.search(rf"(?<![\w-])(?<!\d\.){re.escape(form)}(?![\w]|[.:][0-9])", text) is not None


def test_rows_have_the_fields_and_unique_ids() -> None:
    assert all(list(row) == FIELDS for row in ROWS)
    assert max(Counter(row["id"] for row in ROWS).values()) == 1
    for rows in (TRAIN, HELDOUT):
        assert {row["kind"] for row in rows} == {"single", "choice", "parallel"}


def test_both_splits_are_large_enough_and_new_functions_are_new() -> None:
    offered = [{function["name"] for row in rows for function in row["functions"]} for rows in (TRAIN, HELDOUT)]
    assert offered[1] - offered[0] == build.NEW_FUNCTIONS and len(offered[0]) >= 12
    assert len(TRAIN) >= 300 and len(HELDOUT) >= 120
    assert {FUNCTIONS[name].domain for name in offered[0]} == {function.domain for function in build.FUNCTIONS}
    for row in ROWS:
        assert row["new_function"] == (
            "yes" if any(call["name"] in build.NEW_FUNCTIONS for call in row["calls"]) else "no"
        )


def test_the_functions_have_optional_nested_enumerated_and_dated_arguments() -> None:
    declared = json.dumps([function.declaration for function in build.FUNCTIONS])
    assert all(word in declared for word in ('"enum"', '"date"', '"default"', '"array"', '"boolean"', '"number"'))
    nested = [
        name
        for name, function in FUNCTIONS.items()
        if any(schema.get("type") == "object" for schema in function.required.values())
    ]
    assert len(nested) >= 2


@pytest.mark.parametrize("split", ["train", "heldout"])
def test_every_right_call_obeys_its_functions_parameters_and_is_offered(split: str) -> None:
    for row in read(split):
        offered = {function["name"]: function["parameters"] for function in row["functions"]}
        for call in row["calls"]:
            validator = jsonschema_rs.Draft202012Validator(offered[call["name"]], validate_formats=True)
            validator.validate(call["arguments"])
            assert set(call.get("optional", ())) <= call["arguments"].keys() - FUNCTIONS[call["name"]].required.keys()


def test_every_argument_that_is_asked_for_is_in_the_request() -> None:
    for row in ROWS:
        for call in row["calls"]:
            for schema, value in given_leaves(call):
                if "enum" in schema or isinstance(value, bool):
                    continue
                assert any(is_stated(form, row["request"]) for form in normal_forms(schema, value)), (value, row)


@pytest.mark.parametrize("function", build.FUNCTIONS, ids=lambda function: function.name)
def test_an_optional_argument_is_asked_for_with_another_value_than_its_default(function: Function) -> None:
    for seed in range(60):
        drawn, _ = function.facts(Draw(str(seed), "train"))
        for name, schema in function.optional.items():
            assert drawn[name] != schema.get("default")
            assert f"{{{name}}}" in function.tails[name]


@pytest.mark.parametrize("function", build.FUNCTIONS, ids=lambda function: function.name)
def test_equal_wordings_mean_equal_values(function: Function) -> None:
    meanings: dict[tuple[str, str], set[str]] = defaultdict(set)
    for seed in range(60):
        drawn, wordings = function.facts(Draw(str(seed), "train"))
        phrases = {**spoken(drawn), **wordings}
        for name, phrase in phrases.items():
            value = drawn.get(name)
            if value is not None:
                meanings[name, phrase].add(json.dumps(value))
    assert meanings and all(len(values) == 1 for values in meanings.values())


@pytest.mark.parametrize("function", build.FUNCTIONS, ids=lambda function: function.name)
def test_each_of_a_functions_clauses_names_all_required_arguments(function: Function) -> None:
    assert len(set(function.clauses)) >= 4
    for clause in function.clauses:
        dataclasses.replace(function, clauses=(clause,)).call(Draw("0", "train"))
    with pytest.raises(ValueError, match="but the clause is"):
        dataclasses.replace(function, clauses=("do something",)).call(Draw("0", "train"))


def test_no_request_and_no_set_of_calls_occurs_twice() -> None:
    assert max(Counter(row["request"] for row in ROWS).values()) == 1
    sets = Counter("\n".join(sorted(map(written, row["calls"]))) for row in ROWS)
    assert max(sets.values()) == 1


def test_the_splits_share_no_open_string() -> None:
    def open_strings(rows: list[dict[str, Any]]) -> set[tuple[str, str]]:
        return {
            (call["name"], value)
            for row in rows
            for call in row["calls"]
            for schema, value in given_leaves(call)
            if isinstance(value, str) and not schema.keys() & {"enum", "pattern", "format"}
        }

    assert open_strings(TRAIN) and not open_strings(TRAIN) & open_strings(HELDOUT)


def test_building_again_writes_the_same_files(tmp_path: Path) -> None:
    build.write(tmp_path)
    for split in ("train", "heldout"):
        assert (tmp_path / f"{split}.jsonl").read_bytes() == (FOLDER / f"{split}.jsonl").read_bytes()


def test_the_readme_counts_what_is_there() -> None:
    assert table(FOLDER, "domain") in (FOLDER / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("split", "count"), [("train", len(TRAIN)), ("heldout", len(HELDOUT))])
def test_no_task_is_left_out_and_its_labels_tell_what_it_is(split: Split, count: int) -> None:
    reading = load_tasks(BundledFunctionsReader(), JsonEnvironment(), split)
    assert len(reading.tasks) == count and not reading.skipped
    for task in reading.tasks:
        assert isinstance(task, JsonTask) and isinstance(task.gold, CallsGold)
        assert task.labels.keys() == {"difficulty", "domain", "new_function"}
