"""Function calls of one's own, and the Berkeley leaderboard's, in a made-up copy of its layout."""

import json
from pathlib import Path
from typing import Any

import pytest

from data.bfcl import BfclReader
from data.function_calls import FunctionCallsReader
from data.reader import Reading, Split
from data.registry import load_tasks
from envs.errors import ConfigurationError
from envs.json.environment import JsonEnvironment
from envs.json.task import Call, CallsGold, JsonTask
from envs.transcript import Transcript

WEATHER = {
    "name": "weather",
    "description": "Weather in a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "unit": {"enum": ["celsius", "kelvin"]}},
        "required": ["city"],
    },
}
ROW: dict[str, Any] = {
    "request": " Is it warm in Oslo? ",
    "functions": [WEATHER],
    "calls": [
        {
            "name": "weather",
            "arguments": {"city": "Oslo", "unit": "celsius"},
            "also": {"city": ["Oslo, Norway"]},
            "optional": ["unit"],
        }
    ],
}


def write(path: Path, rows: list[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def own(tmp_path: Path, *rows: Any) -> Reading:
    write(tmp_path / "train.jsonl", list(rows))
    return FunctionCallsReader(path=str(tmp_path)).read("train")


def first(reading: Reading) -> JsonTask:
    task = reading.tasks[0]
    assert isinstance(task, JsonTask)
    return task


def is_correct(task: JsonTask, *calls: dict[str, Any]) -> bool:
    (verdict,) = JsonEnvironment().judge([(task, Transcript.of(json.dumps(calls)))])
    assert verdict.unjudged is None
    return verdict.is_correct


def call(function: str, **arguments: Any) -> dict[str, Any]:
    return {"name": function, "arguments": arguments}


def test_a_row_says_which_values_are_right_and_what_may_be_left_out(tmp_path: Path) -> None:
    task = first(own(tmp_path, {**ROW, "difficulty": "easy"}))
    assert task.id == "train-0" and task.text == "Is it warm in Oslo?" and task.labels == {"difficulty": "easy"}
    assert task.gold == CallsGold(
        calls=(
            Call(
                function="weather",
                arguments={"city": ('"Oslo"', '"Oslo, Norway"'), "unit": ('"celsius"',)},
                optional=frozenset({"unit"}),
            ),
        )
    )
    assert json.loads(task.functions or "") == [WEATHER]
    assert is_correct(task, call("weather", city="Oslo, Norway"))
    assert is_correct(task, call("weather", city="Oslo", unit="celsius"))
    assert not is_correct(task, call("weather", city="Oslo", unit="kelvin"))
    assert not is_correct(task, call("weather", city="Oslo", day=1))
    assert not is_correct(task)


def test_functions_may_be_wrapped_and_have_no_parameters(tmp_path: Path) -> None:
    functions = [{"type": "function", "function": WEATHER}, {"name": "now"}]
    task = first(own(tmp_path, {**ROW, "functions": functions, "calls": [{"name": "now"}]}))
    assert json.loads(task.functions or "") == [WEATHER, {"name": "now"}]
    assert is_correct(task, call("now")) and not is_correct(task, call("now", zone="UTC"))


def test_where_no_function_fits_no_call_is_right(tmp_path: Path) -> None:
    task = first(own(tmp_path, {**ROW, "calls": []}))
    assert is_correct(task) and not is_correct(task, call("weather", city="Oslo"))


def test_the_order_of_calls_counts_where_the_row_says_so(tmp_path: Path) -> None:
    calls = [call("weather", city=city) for city in ("Oslo", "Rome")]
    for is_ordered in (False, True):
        task = first(own(tmp_path, {**ROW, "calls": calls, "is_ordered": is_ordered}))
        assert is_correct(task, *calls) and is_correct(task, *calls[::-1]) != is_ordered


def test_rows_with_a_defect_are_skipped_and_counted(tmp_path: Path) -> None:
    deep: Any = {}
    for _ in range(400):
        deep = {"properties": {"a": deep}}
    rows = [
        7,
        {**ROW, "request": " "},
        {**ROW, "functions": []},
        {**ROW, "functions": [{"description": "nameless"}]},
        {**ROW, "functions": [WEATHER, WEATHER]},
        {**ROW, "functions": [{"name": "weather", "parameters": {"type": "text"}}]},
        {**ROW, "functions": [{"name": "weather", "parameters": 5}]},
        {**ROW, "functions": [{"name": "weather", "parameters": deep}]},
        {**ROW, "calls": None},
        {**ROW, "calls": ["weather"]},
        {**ROW, "calls": [{"name": "weather", "arguments": ["Oslo"]}]},
        {**ROW, "calls": [{"name": "weather", "arguments": {"city": float("nan")}}]},
        {**ROW, "calls": [{"name": "weather", "arguments": {}, "optional": ["city"]}]},
        {**ROW, "calls": [{"name": "weather", "arguments": {"city": "Oslo"}, "also": {"city": "Bergen"}}]},
        {**ROW, "calls": [{"name": "rain", "arguments": {}}]},
        {**ROW, "id": "good"},
    ]
    reading = own(tmp_path, *rows)
    assert [task.id for task in reading.tasks] == ["good"]
    assert reading.skipped == {
        "no calls": 2,
        "no request": 1,
        "no functions": 1,
        "a function without a name": 1,
        "two functions of one name": 1,
        "parameters are no JSON Schema": 3,
        "a call without a name": 1,
        "a call whose arguments are no object": 1,
        "a call that is not JSON": 1,
        "a call that names other values or optional ones of arguments that it lacks": 2,
        "a call of a function that is not offered": 1,
    }
    with pytest.raises(ConfigurationError, match="no usable row .1 no calls"):
        own(tmp_path, 7)


def test_a_gold_that_breaks_its_functions_schema_is_left_out_at_load(tmp_path: Path) -> None:
    wrong = {**ROW, "calls": [call("weather", city="Oslo", unit="rankine")]}
    write(tmp_path / "train.jsonl", [ROW, wrong])
    reading = load_tasks(FunctionCallsReader(path=str(tmp_path)), JsonEnvironment(), "train")
    assert len(reading.tasks) == 1 and sum(reading.skipped.values()) == 1


TRIANGLE = {
    "name": "math.triangle",
    "description": "Area of a triangle.",
    "parameters": {
        "type": "dict",
        "properties": {
            "base": {"type": "float"},
            "point": {"type": "tuple", "items": {"type": "integer"}, "optional": True},
            "style": {
                "type": "dict",
                "properties": {"colour": {"type": "string"}, "width": {"type": "integer"}},
            },
            "marks": {"type": "array", "items": {"type": "dict", "properties": {"at": {"type": "any"}}}},
            "unit": {"type": "string"},
        },
        "required": ["base"],
    },
}


def bfcl(directory: Path, category: str, rows: list[tuple[Any, Any]], version: str = "v4") -> None:
    """Rows of (question and functions, right answer) in the official layout."""
    name = f"BFCL_{version}_{category}.json"
    write(directory / name, [{"id": f"{category}_{number}", **row} for number, (row, _) in enumerate(rows)])
    right = [{"id": f"{category}_{number}", "ground_truth": answer} for number, (_, answer) in enumerate(rows)]
    if "irrelevance" not in category:
        write(directory / "possible_answer" / name, right)


def question(text: str, *functions: Any) -> dict[str, Any]:
    return {"question": [[{"role": "user", "content": text}]], "function": list(functions or [TRIANGLE])}


def read_bfcl(directory: Path, *categories: str, split: Split = "heldout") -> Reading:
    return BfclReader(path=str(directory), categories=categories).read(split)


def test_types_of_the_leaderboard_become_those_of_json_schema(tmp_path: Path) -> None:
    bfcl(tmp_path, "simple_python", [(question("Area?"), [{"math.triangle": {"base": [10]}}])])
    (parameters,) = [
        function["parameters"] for function in json.loads(first(read_bfcl(tmp_path, "simple")).functions or "")
    ]
    assert parameters["type"] == "object"
    properties = parameters["properties"]
    assert properties["base"] == {"type": "number"}
    assert properties["point"] == {"type": "array", "items": {"type": "integer"}}
    assert properties["style"]["type"] == "object"
    assert properties["marks"]["items"] == {"type": "object", "properties": {"at": {}}}


@pytest.mark.parametrize(
    ("right", "arguments", "expected"),
    [
        ({"base": [10, 10.5]}, {"base": 10.5}, True),
        ({"base": [10]}, {"base": 10.0}, True),
        ({"base": [10]}, {"base": 11}, False),
        ({"base": [10], "unit": ["cm", ""]}, {"base": 10}, True),
        ({"base": [10], "unit": ["cm", ""]}, {"base": 10, "unit": "C.M"}, True),
        ({"base": [10], "unit": ["cm", ""]}, {"base": 10, "unit": "mm"}, False),
        ({"base": [10], "unit": ["cm"]}, {"base": 10}, False),
        ({"base": [10, ""]}, {}, False),
        ({"base": [10]}, {"base": 10, "unit": "cm"}, False),
        ({"base": [10], "point": [[1, 2], [2, 1]]}, {"base": 10, "point": [2, 1]}, True),
        ({"base": [10], "point": [[1, 2]]}, {"base": 10, "point": [2, 1]}, False),
        (
            {"base": [1], "style": [{"colour": ["red", "blue"], "width": [2, ""]}]},
            {"base": 1, "style": {"colour": "Blue"}},
            True,
        ),
        (
            {"base": [1], "style": [{"colour": ["red"], "width": [2, ""]}, ""]},
            {"base": 1, "style": {"colour": "red", "width": 2}},
            True,
        ),
        ({"base": [1], "style": [{"colour": ["red"], "width": [2]}]}, {"base": 1, "style": {"colour": "red"}}, False),
        ({"base": [1], "marks": [[{"at": [1, 2]}, {"at": [3]}]]}, {"base": 1, "marks": [{"at": 2}, {"at": 3}]}, True),
        ({"base": [1], "marks": [[{"at": [1, 2]}, {"at": [3]}]]}, {"base": 1, "marks": [{"at": 3}, {"at": 2}]}, False),
    ],
)
def test_possible_answers_list_what_is_right(tmp_path: Path, right: Any, arguments: Any, expected: bool) -> None:
    bfcl(tmp_path, "simple_python", [(question("Area?"), [{"math.triangle": right}])])
    reading = load_tasks(BfclReader(path=str(tmp_path), categories=["simple"]), JsonEnvironment(), "heldout")
    assert is_correct(first(reading), call("math.triangle", **arguments)) == expected


def test_parallel_calls_come_in_any_order_and_none_where_none_fits(tmp_path: Path) -> None:
    right = [{"math.triangle": {"base": [base]}} for base in (1, 2)]
    bfcl(tmp_path, "parallel", [(question("Two areas?"), right)])
    bfcl(tmp_path, "irrelevance", [(question("Who won?"), None)])
    parallel, irrelevant = read_bfcl(tmp_path, "parallel", "irrelevance").tasks
    assert isinstance(parallel, JsonTask) and isinstance(irrelevant, JsonTask)
    assert is_correct(parallel, call("math.triangle", base=2), call("math.triangle", base=1))
    assert is_correct(irrelevant) and not is_correct(irrelevant, call("math.triangle", base=2))
    assert [task.labels for task in (parallel, irrelevant)] == [{"category": "parallel"}, {"category": "irrelevance"}]


def test_the_newest_version_is_read_and_one_category_is_not_taken_for_another(tmp_path: Path) -> None:
    right = [{"math.triangle": {"base": [1]}}]
    bfcl(tmp_path, "multiple", [(question("old"), right)], version="v3")
    bfcl(tmp_path, "multiple", [(question("new"), right)], version="v4")
    bfcl(tmp_path, "parallel_multiple", [(question("other"), right)], version="v4")
    bfcl(tmp_path, "simple", [(question("former name"), right)], version="v3")
    reading = read_bfcl(tmp_path, "multiple", "simple")
    assert [task.text for task in reading.tasks if isinstance(task, JsonTask)] == ["new", "former name"]


def test_a_dialogue_says_who_speaks(tmp_path: Path) -> None:
    turns = [
        ([("system", "Be brief."), ("user", "Area?")], "Be brief.\n\nArea?"),
        ([("user", "Hi"), ("assistant", "Yes?"), ("user", "Area?")], "user: Hi\n\nassistant: Yes?\n\nuser: Area?"),
    ]
    for messages, text in turns:
        row = {"question": [[{"role": role, "content": said} for role, said in messages]], "function": [TRIANGLE]}
        bfcl(tmp_path, "live_simple", [(row, [{"math.triangle": {"base": [1]}}])])
        assert first(read_bfcl(tmp_path, "live_simple")).text == text


def test_rows_that_cannot_be_judged_are_skipped_and_counted(tmp_path: Path) -> None:
    right = [{"math.triangle": {"base": [1]}}]
    java = {"name": "f", "parameters": {"type": "dict", "properties": {"a": {"type": "HashMap"}}, "required": []}}
    many = [{key: list(range(10)) for key in "abcd"}]
    rows: list[tuple[Any, Any]] = [
        (question("fine"), right),
        (question("no answer"), None),
        (question("two keys"), [{"a": {}, "b": {}}]),
        (question("required without a value"), [{"math.triangle": {"base": []}}]),
        (question("types"), [{"math.triangle": {"base": 1}}]),
        (question("java", java), [{"f": {}}]),
        (question("many"), [{"math.triangle": {"base": [1], "style": many}}]),
        ({"question": [], "function": [TRIANGLE]}, right),
        ({"question": [["x"]], "function": 5}, right),
    ]
    bfcl(tmp_path, "simple_python", rows)
    reading = read_bfcl(tmp_path, "simple")
    assert [task.text for task in reading.tasks if isinstance(task, JsonTask)] == ["fine"]
    assert reading.skipped == {
        "no possible answer": 4,
        "parameters are no JSON Schema": 1,
        "too many right values": 1,
        "not one turn": 1,
        "no functions": 1,
    }


def test_what_is_wrong_with_a_configuration_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="unknown category of bfcl 'simpel'; did you mean 'simple'"):
        read_bfcl(tmp_path, "simpel")
    with pytest.raises(ConfigurationError, match="categories is empty; known: irrelevance"):
        read_bfcl(tmp_path)
    with pytest.raises(ConfigurationError, match="no train split"):
        read_bfcl(tmp_path, "simple", split="train")
    with pytest.raises(ConfigurationError, match="lacks 'BFCL_v.*_simple_python.json'"):
        read_bfcl(tmp_path, "simple")
