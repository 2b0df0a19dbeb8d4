"""Schemas: compiled once, never leaving the document, errors listed within bounds."""

import json
import socket
import time
from pathlib import Path

import jsonschema_rs
import pytest

from envs.json.references import expansion, is_recursive, resolve
from envs.json.schema import LISTED_ERRORS, compile_schema


def check(schema: object, value: object) -> bool:
    return compile_schema(json.dumps(schema)).validate(value).is_valid


@pytest.mark.parametrize(
    "schema",
    [
        '{"$ref": "http://127.0.0.1:9/schema"}',
        '{"$ref": "file:///etc/hostname"}',
        '{"$id": "http://a.example/b", "$ref": "c"}',
        '{"$ref": "#/definitions/absent"}',
        '{"$schema": "http://a.example/dialect"}',
        '{"type": "text"}',
        '{"pattern": "["}',
        "5",
        "[]",
        "{",
        "[" * 100_000,
        '{"const": "\\ud800"}',
    ],
)
def test_a_schema_that_can_not_be_used_has_a_defect(schema: str) -> None:
    assert compile_schema(schema).defect


def test_a_reference_to_a_file_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text('{"type": "integer"}')
    defect = compile_schema(json.dumps({"$ref": (tmp_path / "other.json").as_uri()})).defect
    assert defect and "retrieving it failed" in defect


def test_no_reference_reaches_the_network() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        for schema in (
            {"$ref": f"{address}/a"},
            {"$schema": f"{address}/dialect"},
            {"$id": f"{address}/a", "items": {"$ref": "b#/c"}},
            {"$dynamicRef": f"{address}/a#b"},
            {"$schema": "http://json-schema.org/draft-04/schema#", "id": f"{address}/a", "not": {"$ref": "b"}},
        ):
            compiled = compile_schema(json.dumps(schema))
            assert compiled.defect
        with pytest.raises(BlockingIOError):
            server.accept()


def test_documents_in_memory_can_be_referred_to_where_they_are_given() -> None:
    schema = json.dumps({"$ref": "http://example.org/positive"})
    documents = jsonschema_rs.Registry([("http://example.org/positive", {"minimum": 1})])
    compiled = compile_schema(schema, documents=documents)
    assert compiled.validate(1).is_valid and not compiled.validate(0).is_valid
    assert compile_schema(schema).defect
    assert compile_schema('{"$ref": "http://example.org/other"}', documents=documents).defect


def test_definitions_that_double_are_a_defect() -> None:
    doubled = {f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(40)}
    started = time.perf_counter()
    assert compile_schema(json.dumps({"$defs": {**doubled, "a40": {}}, "$ref": "#/$defs/a0"})).defect
    assert time.perf_counter() - started < 2


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (True, 1),
        ({"properties": {"a": {"allOf": [{}, {}]}}}, 3),
        ({"anyOf": [{"$ref": "#/$defs/a"}] * 2, "$defs": {"a": {"oneOf": [{}, {}, {}]}}}, 11),
        ({"$ref": "#"}, 2),
        ({"dependencies": {"a": ["b"], "c": {}}, "not": {}, "if": {}}, 4),
    ],
)
def test_schemas_that_apply_to_one_value_are_counted(schema: object, expected: int) -> None:
    assert expansion(schema) == expected


BACKTRACKING = r"^(?:(a+)\1?)+b$"


def test_a_pattern_that_gives_up_is_told_from_other_errors() -> None:
    string = {"pattern": BACKTRACKING, "type": "string"}
    schema = {"properties": {"a": string, "b": {"type": "null"}, "c": {"anyOf": [string, {"type": "null"}]}}}
    compiled = compile_schema(json.dumps(schema))
    for value, has_given_up in (
        ({"a": "a" * 60}, True),
        ({"c": "a" * 60}, True),
        ({"a": "a" * 60, "b": 1}, False),
        ({"a": "c"}, False),
    ):
        validation = compiled.validate(value)
        assert not validation.is_valid and validation.has_given_up is has_given_up
    assert check(schema, {"a": "aab", "c": None})


@pytest.mark.parametrize(
    "schema",
    [
        {"pattern": BACKTRACKING},
        {"not": {"pattern": BACKTRACKING}},
        {"not": {"not": {"pattern": BACKTRACKING}}},
        {"if": {"pattern": BACKTRACKING}, "then": False},
        {"if": {"pattern": BACKTRACKING}, "else": False},
        {"oneOf": [{"pattern": BACKTRACKING}, {"type": "string"}]},
        {"anyOf": [{"pattern": BACKTRACKING}, {"type": "null"}]},
        {"allOf": [{"pattern": f"{BACKTRACKING}|b{{{n}}}"} for n in range(1, 30)]},
    ],
)
def test_a_pattern_that_gives_up_makes_no_string_valid_not_even_where_it_is_denied(schema: object) -> None:
    assert not check(schema, "a" * 60)


def test_patterns_that_cannot_backtrack_take_nothing_from_the_limit_of_those_that_can() -> None:
    plain = {f"k{n}": {"pattern": f"^(?:a|b){{{n}}}$"} for n in range(1, 50)}
    string = "a" * 12 + "b"
    for patterns in ([BACKTRACKING], [BACKTRACKING, *(f"^(?!x{n})" for n in range(5))]):
        schema = {"properties": plain, "allOf": [{"pattern": pattern} for pattern in patterns]}
        assert check(schema, string)


def test_many_patterns_share_their_limit() -> None:
    # Each alone would take half a millisecond of each of 1,500 strings.
    names = [f"^(a|a)*(?=b)c$|x{{{n}}}" for n in range(1, 40)]
    value = {"a" * 40 + str(n): 1 for n in range(1_500)}
    started = time.process_time()
    for schema in ({"patternProperties": dict.fromkeys(names, True), "additionalProperties": False},
                   {"patternProperties": dict.fromkeys(names, True)},
                   {"propertyNames": {"allOf": [{"pattern": name} for name in names]}}):  # fmt: skip
        compile_schema(json.dumps(schema)).validate(value)
    assert time.process_time() - started < 20


def test_equal_texts_are_compiled_once() -> None:
    assert compile_schema('{"type": "null"}') is compile_schema('{"type": "null"}')


def test_errors_name_keyword_and_pointer() -> None:
    schema = {"properties": {"a/b": {"items": {"type": "integer"}}}, "required": ["c"], "additionalProperties": False}
    value = {"a/b": [1, "x"], "z": 0}
    errors = compile_schema(json.dumps(schema)).validate(value).errors
    assert {(error.keyword, error.pointer) for error in errors} == {
        ("type", "/a~1b/1"),
        ("required", ""),
        ("additionalProperties", ""),
    }
    assert all(error.message for error in errors)


def test_errors_are_bounded_in_number_and_length() -> None:
    value = ["x" * 4_000] * 3 + ["x"] * 500
    errors = compile_schema('{"items": {"type": "integer"}}').validate(value).errors
    assert len(errors) == LISTED_ERRORS
    assert max(len(error.message) for error in errors) <= 200


def nested(depth: int) -> object:
    value: object = "leaf"
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        # Listing the errors of these takes minutes or gigabytes if nothing bounds it.
        ({"anyOf": [{"items": {"$ref": "#"}, "type": "array"}] * 2 + [{"type": "integer"}]}, nested(60)),
        ({"items": {"anyOf": [{"required": [f"k{i}{j}" for j in range(20)]} for i in range(100)]}}, [{}] * 5_000),
        ({"additionalProperties": {"items": {"type": "string"}}}, {"k" * 30_000: [1] * 15_000}),
        (
            {"propertyNames": {"allOf": [{"pattern": f"^b{{{n}}}$"} for n in range(1, 80)]}},
            {f"k{n}": 1 for n in range(600)},
        ),
    ],
)
def test_listing_errors_never_explodes(schema: object, value: object) -> None:
    started = time.perf_counter()
    validation = compile_schema(json.dumps(schema)).validate(value)
    assert not validation.is_valid
    assert time.perf_counter() - started < 2


def test_formats_are_asserted_in_every_draft_unless_told_otherwise() -> None:
    for dialect in ("http://json-schema.org/draft-04/schema#", "https://json-schema.org/draft/2020-12/schema"):
        for name, right in (("uuid", "123e4567-e89b-12d3-a456-426655440000"), ("date", "2024-02-29")):
            schema = {"$schema": dialect, "format": name}
            assert check(schema, right) and not check(schema, right[:-1] + "x")
            relaxed = compile_schema(json.dumps(schema), should_check_formats=False)
            assert relaxed.validate("x").is_valid


def test_a_catastrophic_pattern_returns_at_once() -> None:
    started = time.perf_counter()
    assert not check({"pattern": "^(a+)+$"}, "a" * 5_000 + "!")
    compile_schema(json.dumps({"pattern": "^(?=(a+)+$)(b|a+)*\\1$"})).validate("a" * 40 + "!")
    assert time.perf_counter() - started < 1


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"$ref": "#"}, True),
        ({"properties": {"next": {"$ref": "#"}}}, True),
        (
            {
                "$defs": {"a": {"items": {"$ref": "#/$defs/b"}}, "b": {"not": {"$ref": "#/$defs/a"}}},
                "$ref": "#/$defs/a",
            },
            True,
        ),
        ({"$defs": {"a": {"items": {"$ref": "#/$defs/b"}}, "b": {}}, "$ref": "#/$defs/a"}, False),
        ({"$ref": "#anchor"}, True),
        ({"properties": {"$ref": {"type": "string"}}}, False),
        (True, False),
    ],
)
def test_recursion_is_seen(schema: object, expected: bool) -> None:
    assert is_recursive(schema) is expected


def test_pointers_are_unescaped() -> None:
    assert resolve({"a/b": {"c d": [1, 2]}}, "#/a~1b/c%20d/1") == 2
    assert resolve({"a": []}, "#/a/0") is None
