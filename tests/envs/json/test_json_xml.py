"""XML answers: the schema decides what an element is, and a hostile text has its category."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from envs.json.parsing import Limits
from envs.json.xml_answers import parse_xml, write_xml

ANY = "{}"


def read(text: str, schema: Any) -> Any:
    parsed = parse_xml(f"<value>{text}</value>", json.dumps(schema))
    assert parsed.error is None
    return json.dumps(parsed.value)


@pytest.mark.parametrize(
    ("schema", "text", "value"),
    [
        ({"type": "integer"}, "3", 3),
        ({"type": "string"}, "3", "3"),
        ({"type": ["string", "integer"]}, "3", 3),
        ({"type": ["string", "integer"]}, "3.5", "3.5"),
        ({"type": ["string", "integer"]}, "3.0", 3.0),
        ({"type": ["string", "integer"]}, "03", "03"),
        ({"type": "number"}, "\n 1e5 ", 1e5),
        ({"enum": ["1", 2]}, "1", "1"),
        ({"enum": ["1", 2]}, "2", 2),
        ({"const": "true"}, "true", "true"),
        ({"const": 1}, "true", True),
        ({"enum": [True, "1"]}, "1", "1"),
        ({"type": "string"}, "null", "null"),
        ({"type": ["string", "null"]}, "null", None),
        ({"anyOf": [{"type": "string"}, {"type": "number"}]}, "3", 3),
        ({"allOf": [{"type": ["string", "number"]}, {"type": "string"}]}, "3", "3"),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"type": "string"}}}, "3", "3"),
        ({"$ref": "#"}, "3", 3),
        ({}, "", ""),
        ({"type": "array"}, "", []),
        ({"type": "object"}, " \n", {}),
        ({"type": ["integer", "null"]}, "", None),
        ({"type": "string"}, " \n", " \n"),
        ({"type": "integer"}, "three", "three"),
        (False, "3", 3),
    ],
)
def test_a_text_is_the_first_kind_of_value_that_the_schema_allows(schema: Any, text: str, value: Any) -> None:
    assert read(text, schema) == json.dumps(value)


@pytest.mark.parametrize(
    ("schema", "text", "value"),
    [
        ({}, "<a>1</a><b>x</b>", {"a": 1, "b": "x"}),
        ({}, "<item>1</item><item>x</item>", [1, "x"]),
        ({"type": "object"}, "<item>1</item>", {"item": 1}),
        ({"type": "array"}, "<item>1</item><other>2</other>", {"item": 1, "other": 2}),
        ({"type": "array"}, "<item><item/></item><item/>", [[""], ""]),
        ({"items": {"type": "string"}}, "<item>1</item>", ["1"]),
        ({"prefixItems": [{"type": "string"}], "items": {}}, "<item>1</item><item>1</item>", ["1", 1]),
        ({"items": [{"type": "string"}], "additionalItems": {"type": "array"}}, "<item>1</item><item/>", ["1", []]),
        ({"properties": {"a": {"type": "string"}}}, "<a>1</a><b>1</b>", {"a": "1", "b": 1}),
        ({"additionalProperties": {"type": "string"}}, "<a>1</a>", {"a": "1"}),
        ({"unevaluatedProperties": {"type": "string"}}, "<a>1</a>", {"a": "1"}),
        ({"patternProperties": {"^a": {"type": "string"}}}, "<ab>1</ab><ba>1</ba>", {"ab": "1", "ba": 1}),
        ({"allOf": [{"properties": {"a": {"type": "string"}}}]}, "<a>1</a>", {"a": "1"}),
        ({}, '<entry key="a b">1</entry><entry>2</entry>', {"a b": 1, "entry": 2}),
        ({}, r'<entry key="\u0000&quot;\\">1</entry>', {'\0"\\': 1}),
        ({}, "<größe>1</größe>", {"größe": 1}),
        ({"type": "string"}, "a <![CDATA[<b>&]]> &lt;&#x63;", "a <b>& <c"),
        ({}, "<!-- one --> <a>1<!-- two -->2</a>", {"a": 12}),
    ],
)
def test_an_element_with_children_is_an_array_or_an_object(schema: Any, text: str, value: Any) -> None:
    assert read(text, schema) == json.dumps(value)


CIRCLE = {
    "type": "object",
    "properties": {"kind": {"const": "circle"}, "size": {"type": "number"}},
    "required": ["kind"],
}
LABEL = {
    "type": "object",
    "properties": {"kind": {"enum": ["label"]}, "size": {"type": "string"}},
    "required": ["kind"],
}
CLOSED = {"type": "object", "properties": {"name": {}, "size": {"type": "string"}}, "additionalProperties": False}
LIST = {"type": "array", "items": {"type": "object", "properties": {"size": {"type": "string"}}}}
NUMBERS = {"type": "array", "items": {"type": "number"}}


@pytest.mark.parametrize("keyword", ["anyOf", "oneOf"])
@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("<kind>label</kind><size>1</size>", {"kind": "label", "size": "1"}),
        ("<kind>circle</kind><size>1</size>", {"kind": "circle", "size": 1}),
        ("<name>x</name><size>1</size>", {"name": "x", "size": "1"}),
        ("<item><size>1</size></item>", [{"size": "1"}]),
        ("<item>1</item>", [1]),
    ],
)
def test_of_alternatives_the_one_that_fits_says_how_to_read(keyword: str, text: str, value: Any) -> None:
    branches = [CIRCLE, LABEL, CLOSED, NUMBERS, LIST]
    assert read(text, {keyword: branches}) == json.dumps(value)
    nested = {"allOf": [{"$ref": "#/$defs/shape"}], "$defs": {"shape": {keyword: [{keyword: branches}]}}}
    assert read(text, nested) == json.dumps(value)


def test_where_no_alternative_fits_the_one_with_the_most_keys_says_how_to_read() -> None:
    schema = {"anyOf": [{"type": "null"}, {"required": ["id"], "properties": {"size": {"type": "string"}}}]}
    assert read("<size>1</size>", schema) == '{"size": "1"}'


def test_a_condition_says_how_to_read() -> None:
    texts = {"properties": {"size": {"type": "string"}}}
    schema = {"if": {"properties": {"kind": {"const": "label"}}}, "then": texts}
    assert read("<kind>label</kind><size>1</size>", schema) == '{"kind": "label", "size": "1"}'
    assert read("<kind>circle</kind><size>1</size>", schema) == '{"kind": "circle", "size": 1}'
    assert read("<kind>circle</kind><size>1</size>", {**schema, "else": texts}) == '{"kind": "circle", "size": "1"}'


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('<value type="string">3</value>', "3"),
        ('<value type="string"/>', ""),
        (r'<value type="escaped">\u0000\\"\ud83d\ude00</value>', '\0\\"😀'),
        ('<value type="number">3</value>', 3),
        ('<value type="boolean"> true</value>', True),
        ('<value type="null"/>', None),
        ('<value type="array"/>', []),
        ('<value type="object"/>', {}),
        ('<value type="object"><item>1</item></value>', {"item": 1}),
        ('<value type="array"><item>1</item></value>', [1]),
    ],
)
@pytest.mark.parametrize("schema", [{}, {"type": "integer"}, {"type": ["string", "array", "object"]}])
def test_a_stated_type_wins_over_the_schema(text: str, value: Any, schema: Any) -> None:
    parsed = parse_xml(text, json.dumps(schema))
    assert (parsed.error, json.dumps(parsed.value)) == (None, json.dumps(value))


BOMB = "".join(f'<!ENTITY e{n + 1} "{f"&e{n};" * 10}">' for n in range(10))


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "no answer"),
        (" \n\t", "no answer"),
        ("I can not say", "not xml"),
        ('{"a": 1}', "not xml"),
        ("<answer><a>1</a></answer>", "not xml"),
        ("<value>", "not xml"),
        ("<value><a>1</a>", "not xml"),
        ("<value><a>1</b></value>", "not xml"),
        ("<value>a & b</value>", "not xml"),
        ("<value>\x01</value>", "not xml"),
        ("<value>&#1;</value>", "not xml"),
        ("<value>some <b>bold</b> text</value>", "not xml"),
        ('<value id="1">x</value>', "not xml"),
        ('<value key="1">x</value>', "not xml"),
        ('<value xmlns="urn:x">x</value>', "not xml"),
        ("<value><x:a>1</x:a></value>", "not xml"),
        ("<value><?php x?></value>", "not xml"),
        ('<value type="date">x</value>', "not xml"),
        ('<value type="number">x</value>', "not xml"),
        ('<value type="boolean">1</value>', "not xml"),
        ('<value type="null">0</value>', "not xml"),
        ('<value type="string"><a/></value>', "not xml"),
        ('<value type="array"><a/></value>', "not xml"),
        ('<value type="array">x</value>', "not xml"),
        ('<value type="object">x</value>', "not xml"),
        (r'<value type="escaped">\x</value>', "not xml"),
        (r'<value><entry key="\">1</entry></value>', "not xml"),
        ('<value type="1" type="2"/>', "not xml"),
        (f'<!DOCTYPE value [<!ENTITY e0 "lol">{BOMB}]><value>&e10;</value>', "entity"),
        ('<!DOCTYPE value SYSTEM "file:///etc/passwd"><value>1</value>', "entity"),
        ('<?xml version="1.0"?><!DOCTYPE value [<!ENTITY e SYSTEM "file:///etc/passwd">]><value>&e;</value>', "entity"),
        ("<value>&nbsp;</value>", "entity"),
        ('<value><entry key="&e;">1</entry></value>', "entity"),
        ("<value>" * 9_000, "too deep"),
        ("<value>" + "<a>" * 9_000 + "</a>" * 9_000 + "</value>", "too deep"),
        ("<value>" + "<item>" * 65 + "</item>" * 65 + "</value>", "too deep"),
        ("<value>" + "a" * 2_000_000 + "</value>", "too long"),
        ("<value>" + "1" * 5_000 + "</value>", "number too long"),
        ("<value>0." + "1" * 5_000 + "</value>", "number too long"),
        ("<value>1e999</value>", "not finite"),
        ('<value type="number">NaN</value>', "not finite"),
        ("<value><a>1</a><a>1</a></value>", "duplicate key"),
        ('<value><a>1</a><entry key="a">1</entry></value>', "duplicate key"),
        ("<value>\ud800</value>", "lone surrogate"),
        (r'<value type="escaped">\ud800</value>', "lone surrogate"),
        (r'<value><entry key="\udc00"/></value>', "lone surrogate"),
    ],
)
def test_a_hostile_text_has_its_category(text: str, error: str) -> None:
    started = time.perf_counter()
    parsed = parse_xml(text, ANY)
    assert (parsed.error, parsed.is_found, parsed.value) == (error, False, None)
    assert time.perf_counter() - started < 1
    (parsed.text or "").encode()


def test_a_word_for_what_is_not_finite_is_refused_where_only_a_number_is_allowed() -> None:
    for word in ("NaN", "Infinity", "-Infinity", "INF"):
        assert parse_xml(f"<value>{word}</value>", '{"type": "number"}').error == "not finite"
        assert read(word, {"type": ["string", "number"]}) == json.dumps(word)


def test_depth_counts_arrays_and_objects() -> None:
    assert parse_xml("<value><a><item>1</item></a></value>", ANY, Limits(depth=2)).value == {"a": [1]}
    assert parse_xml("<value><a><item>1</item></a></value>", ANY, Limits(depth=1)).error == "too deep"
    assert parse_xml('<value><item type="array"/></value>', ANY, Limits(depth=1)).error == "too deep"
    assert parse_xml("<value><item/></value>", ANY, Limits(depth=1)).value == [""]
    deepest = json.loads("[" * 64 + "]" * 64)
    assert parse_xml(write_xml(deepest, ANY), ANY).value == deepest


@pytest.mark.parametrize(
    ("text", "value", "own_text"),
    [
        ("Sure: <value>1</value>", 1, "<value>1</value>"),
        ("```xml\n<value>1</value>\n```", 1, "<value>1</value>"),
        ("<value><a>1</a></value > done", {"a": 1}, "<value><a>1</a></value >"),
        ("<value><value>1</value></value><value>2</value>", {"value": 1}, "<value><value>1</value></value>"),
        ('<value type="array" /></value>', [], '<value type="array" />'),
        ("<value>é</value>é", "é", "<value>é</value>"),
        ("<value>&</value> or <value>2</value>", 2, "<value>2</value>"),
        ("</value><value/>", "", "<value/>"),
        ("<value>1</value><!DOCTYPE x>", 1, "<value>1</value>"),
        ("x <?xml version='1.0'?><value>1</value>", 1, "<value>1</value>"),
        ("<valuex/><value>1</value>", 1, "<value>1</value>"),
        ("\ud800 <value>1</value>", 1, "<value>1</value>"),
    ],
)
def test_text_around_the_root_is_an_error_and_the_value_is_still_found(text: str, value: Any, own_text: str) -> None:
    parsed = parse_xml(text, ANY)
    assert (parsed.error, parsed.is_found, parsed.has_extra_text) == ("extra text", True, True)
    assert (parsed.value, parsed.text) == (value, own_text)


@pytest.mark.parametrize(
    "text", ["<value>tags: <value>1</value>", "<value><a><value>1</value></b>", "<value <value>1</value>"]
)
def test_no_value_is_taken_from_inside_a_broken_one(text: str) -> None:
    assert not parse_xml(text, ANY).is_found


@pytest.mark.parametrize("head", ["<?xml version='1.0'?>", '<?xml version="1.0" encoding="UTF-16"?>\n'])
def test_a_declaration_belongs_to_the_document(head: str) -> None:
    parsed = parse_xml(f"{head}<value>é</value>\n", ANY)
    assert (parsed.error, parsed.value, parsed.text) == (None, "é", f"{head}<value>é</value>")


@pytest.mark.parametrize(
    "text",
    [
     "<value>&</value>" * 4_000, "<value><![CDATA[</value>" * 2_600, "<value " * 9_000, "<value/" * 9_000, "<" * 65_000,
     "<value>" + "<item/>" * 9_000, "<value>" + "<a> </a> " * 7_000 + "</value>", "<?xml " + "a" * 65_000,
     "<value>" + "".join(f"<k{n}/>" for n in range(8_000)),
     "<value " + " ".join(f"a{n}=''" for n in range(7_000)) + "/>"],
)  # fmt: skip
def test_no_text_makes_the_search_slow(text: str) -> None:
    branch = {"properties": {"a": {"$ref": "#"}}, "required": ["b"]}
    started = time.perf_counter()
    assert not parse_xml(text, json.dumps({"anyOf": [branch] * 30})).is_found
    assert time.perf_counter() - started < 2


def test_only_what_would_be_read_otherwise_has_its_type_stated() -> None:
    value = {"name": "3", "count": 3, "tags": ["null"], "note": None, "none": [], "first name": "x", "other": "3"}
    schema = {
        "properties": {
            "name": {"type": "string"},
            "count": {"type": "integer"},
            "tags": {"type": "array", "items": {"type": "string"}},
            "note": {"type": ["string", "null"]},
            "none": {"type": ["array", "null"]},
        }
    }
    assert write_xml(value, json.dumps(schema)) == (
        "<value><name>3</name><count>3</count><tags><item>null</item></tags><note>null</note><none/>"
        '<entry key="first name">x</entry><other type="string">3</other></value>'
    )


def test_what_is_no_json_value_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_xml({"a": [float("nan")]}, ANY)


def test_every_real_instance_comes_back_under_its_schema(dataset_directory: Callable[[str, str], Path]) -> None:
    lines = (dataset_directory("jsonschemabench-sample", "schemas.jsonl") / "schemas.jsonl").read_text().splitlines()
    count = stated = 0
    for row in map(json.loads, lines):
        schema = json.dumps(row["schema"])
        for value in (test["data"] for test in row["tests"] if test["valid"]):
            text = write_xml(value, schema)
            parsed = parse_xml(text, schema)
            assert (row["id"], parsed.error, json.dumps(parsed.value)) == (row["id"], None, json.dumps(value))
            count += 1
            stated += " type=" in text
    assert count > 900
    assert stated < 0.06 * count
