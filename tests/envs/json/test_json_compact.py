"""The terse notation, by example."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from envs.json.compact import compact, minified


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        (True, "any"),
        ({"type": "string"}, "string"),
        ({"type": ["string", "null"]}, "string | null"),
        ({"type": "string", "format": "email"}, "string(email)"),
        ({"pattern": "^a+$", "minLength": 1, "maxLength": 9}, "string(/^a+$/, 1..9 chars)"),
        ({"type": "integer", "minimum": 0, "maximum": 120}, "integer(0..120)"),
        ({"type": "number", "exclusiveMinimum": 0, "multipleOf": 0.5}, "number(>0, multiple of 0.5)"),
        ({"type": "number", "minimum": 3, "exclusiveMinimum": True}, "number(>3)"),
        ({"enum": ["a", 1, None]}, '"a" | 1 | null'),
        ({"const": False}, "false"),
        ({"type": "array", "items": {"type": "integer"}}, "integer[]"),
        ({"type": "array", "items": {"enum": ["a", "b"]}, "maxItems": 3}, '("a" | "b")[](max 3 items)'),
        ({"type": "array", "minItems": 2, "maxItems": 2, "uniqueItems": True}, "any[](2 items, unique)"),
        ({"prefixItems": [{"type": "string"}], "items": False}, "[string]"),
        ({"type": "array", "items": [{"type": "string"}], "additionalItems": {"type": "null"}}, "[string, ...null[]]"),
        ({"type": "object"}, "{...: any}"),
        (
            {"type": "object", "properties": {"a": {"type": "null"}, "b-c": {}, "d e": {}}, "required": ["a", "x"]},
            '{a: null, b-c?: any, "d e"?: any, x: any}',
        ),
        ({"properties": {"a": {}}, "additionalProperties": {"type": "integer"}}, "{a?: any, ...: integer}"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "string | null"),
        ({"oneOf": [{"type": "string"}, {"type": "null"}]}, "one of(string, null)"),
        ({"type": "object", "properties": {"a": {}}, "allOf": [{"required": ["a"]}]}, "{a?: any} & {a: any}"),
        ({"$ref": "#/$defs/io.x.Pod", "$defs": {"io.x.Pod": {"type": "null"}}}, "Pod = null\nPod"),
        ({"type": "string", "title": "T", "default": "x", "x-vendor": 1, "javaType": "q"}, "string"),
        (
            {"properties": {"a": {"type": "string", "description": "the\n name"}, "b": {"type": "integer"}}},
            "{\n a?: string, // the name\n b?: integer\n}",
        ),
        # Beyond the notation: JSON for the part, or for all of it when the part holds a reference.
        ({"properties": {"a": {"not": {"type": "null"}}}}, '{a?: schema {"not":{"type":"null"}}}'),
        ({"properties": {"a": {"not": {"$ref": "#"}}}}, '{"properties":{"a":{"not":{"$ref":"#"}}}}'),
    ],
)
def test_a_schema_is_rendered(schema: object, text: str) -> None:
    assert compact(json.dumps(schema)) == text


def test_a_recursive_definition_is_written_once() -> None:
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}}
    assert compact(json.dumps({"$ref": "#/$defs/Node", "$defs": {"Node": node}})) == "Node = {next?: Node}\nNode"


def test_two_definitions_of_one_name_stay_apart() -> None:
    schema = {"a": {"T": {"type": "null"}}, "b": {"T": {"type": "string"}}}
    schema["anyOf"] = [{"$ref": "#/a/T"}, {"$ref": "#/b/T"}]  # type: ignore[assignment]
    assert compact(json.dumps(schema)) == "T = null\nT_ = string\nT | T_"


def test_minified_drops_only_white_space_and_the_dialect() -> None:
    assert minified('{"$schema": "x", "type": "string", "title": "é"}') == '{"type":"string","title":"é"}'


def test_real_schemas_take_fewer_characters(dataset_directory: Callable[[str, str], Path]) -> None:
    lines = (dataset_directory("jsonschemabench-sample", "schemas.jsonl") / "schemas.jsonl").read_text().splitlines()
    schemas = [json.dumps(json.loads(line)["schema"]) for line in lines[::4]]
    assert sum(len(compact(schema)) for schema in schemas) < 0.75 * sum(len(minified(schema)) for schema in schemas)
