"""XML answers: every value comes back under every schema, and no text raises."""

import json
from typing import Any
from xml.etree import ElementTree

from hypothesis import given, settings
from hypothesis import strategies as st

from envs.json.xml_answers import parse_xml, write_xml

ANY = "{}"
KEYS = st.sampled_from(["a", "b", "item", "entry", "value", "xml:id", "a b", "1", "", "größe", "\0", 'q"\\', "<&>"])
TEXTS = st.sampled_from(
    ["", " ", "3", "-0", "1e5", "1e999", "NaN", "null", "true", " 3\n", "[]", "&lt;", "]]>", "\r\n", "\t", "\\u0041", 
     "\x1f", "\ufffe", "😀", "\x85\u2028"]
)  # fmt: skip
SCALARS = (
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)
TYPE_NAMES = ["null", "boolean", "integer", "number", "string", "array", "object"]
TYPES = st.sampled_from(TYPE_NAMES)
REFERENCES = st.sampled_from(["#", "#/$defs/first", "#/$defs/second", "#/nowhere", "other.json"])


def combined(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    several = st.lists(inner, min_size=1, max_size=3)
    members = st.dictionaries(KEYS, inner, max_size=3)
    return st.fixed_dictionaries(
        {},
        optional={
            "type": TYPES | st.lists(TYPES, max_size=3),
            "properties": members,
            "patternProperties": st.fixed_dictionaries({"^[ab]": inner}),
            "additionalProperties": inner,
            "required": st.lists(KEYS, max_size=2),
            "items": inner | several,
            "prefixItems": several,
            "anyOf": several,
            "oneOf": several,
            "allOf": several,
            "if": inner,
            "then": inner,
            "else": inner,
            "$ref": REFERENCES,
        },
    )


LEAVES = (
    st.booleans()
    | st.fixed_dictionaries({"type": TYPES | st.lists(TYPES, max_size=3)})
    | st.fixed_dictionaries({"enum": st.lists(SCALARS | st.just([]) | st.just({}), max_size=3)})
    | st.fixed_dictionaries({"const": SCALARS})
    | st.fixed_dictionaries({"$ref": REFERENCES})
)
SUBSCHEMAS = st.recursive(LEAVES, combined, max_leaves=8)
SCHEMAS = st.builds(
    lambda schema, first, second: {**schema, "$defs": {"first": first, "second": second}},
    combined(SUBSCHEMAS),
    SUBSCHEMAS,
    SUBSCHEMAS,
)


@settings(max_examples=120, deadline=None)
@given(VALUES, SCHEMAS)
def test_every_value_comes_back_whatever_the_schema_says(value: Any, schema: Any) -> None:
    text = write_xml(value, json.dumps(schema))
    parsed = parse_xml(text, json.dumps(schema))
    assert parsed.error is None
    assert json.dumps(parsed.value) == json.dumps(value)
    assert ElementTree.fromstring(text).tag == "value"


@settings(max_examples=150, deadline=None)
@given(VALUES, st.data())
def test_a_document_with_a_change_anywhere_never_raises(value: Any, data: st.DataObject) -> None:
    text = write_xml(value, ANY)
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 8)))
    piece = data.draw(st.text(st.characters(), max_size=4) | st.text("<>/&;\"'= \\![]-?:", max_size=6))
    parsed = parse_xml(text[:start] + piece + text[end:], ANY)
    assert parsed.is_found == (parsed.error in (None, "extra text"))
    json.dumps(parsed.value, allow_nan=False, ensure_ascii=False).encode()


PIECES = st.sampled_from(
    ["<value>", "</value>", "<value/>", "<value", "<a>", "</a>", "<item>", "</item>", '<entry key="', '">', ' type="',
     "&#1;", "&lt;", "&x;", "<![CDATA[", "]]>", "<!--", "-->", "<?xml", "?>", "<!DOCTYPE", "null", "1", "\ud800", "é",
     "\n", "\ufeff"]
)  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(st.text(st.characters(), max_size=60) | st.lists(PIECES, max_size=14).map("".join), SCHEMAS)
def test_no_text_raises(text: str, schema: Any) -> None:
    parsed = parse_xml(text, json.dumps(schema))
    assert parsed.is_found == (parsed.error in (None, "extra text"))
    (parsed.text or "").encode()
