"""YAML answers: every value comes back, and no text raises."""

import json
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.json.yaml_answers import parse_yaml, write_yaml

WORDS = st.sampled_from(
    ["", " ", "no", "Yes", "on", "~", "null", "Null", "true", "TRUE", "3", "010", "0o17", "0x1F", "1_000", "12:30",
     "1e5", ".5", "1.", "+1", ".inf", ".NaN", "2024-01-01", "=", "<<", "-", "- a", "a: b", "a:", ": a", "? a", "# a",
     "a#b", "&a", "*a", "!a", "|", ">", "%a", "@a", "`a", "[a", "{a", "a,b", "'", '"', "\\", "---", "...", "a\n", "\na",
     "a\nb", "a\n\n", " a", "a ", "\t", "\r\n", "\x85", "\u2028", "\ufeff", "\ufffe", "\x00", "\x7f", "😀", "a" * 200,
     "a " * 600, "é: ü", "it's", "a'b", "y", "https://example.com"]
)  # fmt: skip
ORDINARY = st.text(st.characters(max_codepoint=0x7E) | st.sampled_from("é😀"), max_size=12)
STRINGS = WORDS | st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
NUMBERS = (
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats(allow_nan=False, allow_infinity=False)
)  # fmt: skip
VALUES = st.recursive(
    NUMBERS | STRINGS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(STRINGS, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(VALUES)
def test_every_value_comes_back(value: Any) -> None:
    text = write_yaml(value)
    parsed = parse_yaml(text)
    assert (parsed.error, json.dumps(parsed.value)) == (None, json.dumps(value))
    assert json.dumps(yaml.safe_load(text)) == json.dumps(value)


@settings(max_examples=150, deadline=None)
@given(st.recursive(NUMBERS | ORDINARY, lambda inner: st.lists(inner) | st.dictionaries(ORDINARY, inner), max_leaves=8))
def test_json_is_yaml(value: Any) -> None:
    for indent in (None, 1, "\t"):
        parsed = parse_yaml(json.dumps(value, ensure_ascii=False, indent=indent))
        assert (parsed.error, json.dumps(parsed.value)) == (None, json.dumps(value))


@settings(max_examples=150, deadline=None)
@given(VALUES, st.data())
def test_a_document_with_a_change_anywhere_never_raises(value: Any, data: st.DataObject) -> None:
    text = write_yaml(value)
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 8)))
    piece = data.draw(st.text(st.characters(), max_size=4) | st.text("-?:,[]{}#&*!|>'\"%@` \n\t", max_size=6))
    parsed = parse_yaml(text[:start] + piece + text[end:])
    assert parsed.is_found == (parsed.error in (None, "extra text"))
    json.dumps(parsed.value, allow_nan=False, ensure_ascii=False).encode()


PIECES = st.sampled_from(
    ["```yaml\n", "```\n", "---\n", "...\n", "%YAML 1.2\n", "%TAG ! x\n", "a: ", "- ", "? ", ": ", "[", "]", "{", "}",
     ",", "&a ", "*a", "!x ", "!!str ", "|\n", ">-\n", "'", '"', "# ", "\n", "  ", "\t", "\ufeff", "\x85", "\ud800",
     "null", "1", ".inf", "\\u", "x"]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(), max_size=60) | st.lists(PIECES, max_size=14).map("".join))
def test_no_text_raises(text: str) -> None:
    parsed = parse_yaml(text)
    assert parsed.is_found == (parsed.error in (None, "extra text"))
    (parsed.text or "").encode()
