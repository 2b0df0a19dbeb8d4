"""The reference answer is written in schema order and is the same value."""

import json

from envs.json.order import in_schema_order, ordered_text

SCHEMA = {
    "$defs": {"inner": {"properties": {"y": {}, "x": {}}}},
    "properties": {
        "b": {"$ref": "#/$defs/inner"},
        "list": {"items": {"$ref": "#/$defs/inner"}},
        "pair": {"prefixItems": [{"properties": {"q": {}, "p": {}}}], "items": {"properties": {"p": {}, "q": {}}}},
        "a": {"anyOf": [{"type": "null"}, {"properties": {"n": {}, "m": {}}, "required": ["n"]}]},
    },
    "additionalProperties": {"properties": {"2": {}, "1": {}}},
}


def test_keys_follow_the_schema_through_references_items_and_alternatives() -> None:
    value = {
        "z": {"1": 0, "2": 0},
        "a": {"m": 1, "n": 2},
        "pair": [{"p": 1, "q": 2}, {"q": 1, "p": 2}],
        "list": [{"x": 1, "y": 2}],
        "b": {"x": 1, "other": 3, "y": 2},
    }
    ordered = in_schema_order(value, SCHEMA)
    assert ordered == value
    assert json.dumps(ordered) == json.dumps(
        {
            "b": {"y": 2, "x": 1, "other": 3},
            "list": [{"y": 2, "x": 1}],
            "pair": [{"q": 2, "p": 1}, {"p": 2, "q": 1}],
            "a": {"n": 2, "m": 1},
            "z": {"2": 0, "1": 0},
        }
    )


def test_of_alternatives_the_one_that_the_value_may_satisfy_gives_the_order() -> None:
    cat = {"properties": {"kind": {"const": "cat"}, "name": {}, "lives": {}}}
    dog = {"properties": {"kind": {"const": "dog"}, "lives": {}, "name": {}}}
    value = '{"name": "Rex", "lives": 1, "kind": "dog"}'
    assert ordered_text(value, json.dumps({"oneOf": [cat, dog]})) == '{"kind": "dog", "lives": 1, "name": "Rex"}'


def test_a_schema_that_refers_to_itself_ends() -> None:
    schema = {"allOf": [{"$ref": "#"}], "properties": {"next": {"$ref": "#"}, "value": {}}}
    value = {"value": 1, "next": {"value": 2, "next": {}}}
    assert json.dumps(in_schema_order(value, schema)) == '{"next": {"next": {}, "value": 2}, "value": 1}'


def test_text_is_one_line_and_keeps_letters() -> None:
    assert ordered_text('{"b": "é", "a": [1,2.50]}', "{}") == '{"b": "é", "a": [1, 2.5]}'
