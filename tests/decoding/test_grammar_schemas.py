"""JSON Schemas as grammars: strict where the back end can, lenient with reasons where not, and what is no schema."""

import json
import time
from concurrent.futures import Future
from typing import Any

import pytest
from tiny_model import build_tiny_tokenizer

from decoding.grammars.compiler import CompiledGrammar, GrammarCompiler
from decoding.grammars.emptiness import endless_schema
from decoding.grammars.leniency import leniency_line
from decoding.grammars.matcher import GrammarError
from decoding.grammars.shortest import shortest_sentence
from decoding.turn_grammar import TurnGrammar
from envs.grammar import Grammar

TOKENIZER = build_tiny_tokenizer()
COMPILER = GrammarCompiler(TOKENIZER)


def compiled(schema: Any, compiler: GrammarCompiler = COMPILER) -> CompiledGrammar:
    return compiler.compile(Grammar(kind="json_schema", source=json.dumps(schema)))


def masks_allow(grammar: CompiledGrammar, text: str) -> bool:
    matcher = grammar.matcher()
    matcher.consume(grammar.vocabulary.encode(text))
    return matcher.error is None and matcher.is_accepting


@pytest.mark.parametrize(
    ("schema", "place", "valid", "invalid"),
    [
        ({"type": "array", "uniqueItems": True}, "#/uniqueItems: not enforced by the mask", [1, 2], [1, 1]),
        ({"type": "integer", "not": {"const": 3}}, "#/not: not enforced by the mask", 4, 3),
        ({"type": "string", "format": "iri"}, "#/format: 'iri' is not enforced by the mask", "http://a.b/", "a b"),
        ({"oneOf": [{"type": "integer"}, {"type": "number"}]}, "#/oneOf: taken as anyOf by the mask", 0.5, 1),
        (
            {"type": "object", "properties": {"a/b": {"contains": {"const": 1}, "type": "array"}}},
            "#/properties/a~1b/contains: not enforced by the mask",
            {"a/b": [1]},
            {"a/b": [2]},
        ),
        (
            {"$ref": "#/$defs/x", "$defs": {"x": {"type": "object", "propertyNames": {"maxLength": 1}}}},
            "#/$defs/x/propertyNames: not enforced by the mask",
            {"a": 1},
            {"ab": 1},
        ),
        ({"type": "string", "pattern": "^(?!a).b$"}, "#/pattern: not enforced by the mask", "cb", "ab"),
        (
            {"type": "object", "patternProperties": {"a": {"type": "null"}, "b": {"type": "null"}}},
            "#/patternProperties: not enforced by the mask",
            {"a": None},
            {"b": 1},
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_masks_cannot_express_is_named_by_its_pointer_and_validated_afterwards(
    schema: Any, place: str, valid: Any, invalid: Any
) -> None:
    grammar = compiled(schema)
    assert place in (grammar.leniency or "") and "the answer is validated afterwards" in (grammar.leniency or "")
    assert grammar.accepts(json.dumps(valid)) and not grammar.accepts(json.dumps(invalid))
    assert masks_allow(grammar, json.dumps(invalid))


def test_strict_masks_have_no_leniency_and_nothing_to_validate() -> None:
    grammar = compiled({"type": "integer"})
    assert grammar.leniency is None and grammar.validator is None
    assert grammar.accepts("12") and not grammar.accepts('"12"') and not grammar.accepts("12 ")


def test_definitions_that_nothing_refers_to_are_not_named() -> None:
    grammar = compiled({"type": "integer", "not": {"const": 3}, "$defs": {"x": {"not": {}}}})
    assert "$defs" not in (grammar.leniency or "")


def test_the_line_of_many_places_names_the_first_and_counts_the_others() -> None:
    line = leniency_line(f"#/{number}: x" for number in range(40))
    assert line.count(": x") == 16 and line.endswith("; and 24 more") and "\n" not in line


def test_a_key_that_occurs_twice_is_not_valid_where_the_validator_reads() -> None:
    grammar = compiled(
        {"type": "object", "additionalProperties": {"type": "integer"}, "propertyNames": {"maxLength": 2}}
    )
    assert grammar.accepts('{"a": 1, "b": 2}') and not grammar.accepts('{"a": 1, "a": 2}')


@pytest.mark.parametrize("backend", ["llguidance", "xgrammar"])
def test_both_back_ends_accept_the_same_answers_after_validation(backend: str) -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"type": "integer", "not": {"const": 3}}, "b": {"type": "array", "uniqueItems": True}},
        "required": ["a"],
        "additionalProperties": False,
    }
    grammar = compiled(schema, GrammarCompiler(TOKENIZER, backend=backend))
    texts = [
        '{"a": 1}',
        '{"a": 3}',
        '{"a": 1, "b": [1, 1]}',
        '{"a": 1, "b": [1, 2]}',
        '{"a":1}',
        '{"b": []}',
        '{"a": 1} ',
    ]
    assert [grammar.accepts(text) for text in texts] == [True, False, False, True, False, False, False]
    assert "#/properties/a/not" in (grammar.leniency or "")


@pytest.mark.parametrize("schema", [True, {}], ids=str)
def test_a_schema_that_says_nothing_takes_any_json(schema: Any) -> None:
    grammar = compiled(schema)
    assert all(grammar.accepts(json.dumps(value)) for value in (1, "a", [1, {"b": None}], {"c": [True]}))
    assert not grammar.accepts("{")


RECURSIVE = {
    "type": "object",
    "properties": {"v": {"type": "integer"}, "next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}},
    "required": ["v", "next"],
    "additionalProperties": False,
}
MUTUAL = {
    "$defs": {
        "a": {"type": "array", "items": {"$ref": "#/$defs/b"}},
        "b": {"type": "object", "properties": {"a": {"$ref": "#/$defs/a"}}, "additionalProperties": False},
    },
    "$ref": "#/$defs/a",
}


def test_recursive_schemas_nest_as_deep_as_the_text_does() -> None:
    grammar = compiled(RECURSIVE)
    assert grammar.accepts('{"v": 1, "next": {"v": 2, "next": {"v": 3, "next": null}}}')
    assert not grammar.accepts('{"v": 1, "next": {"v": 2}}')
    mutual = compiled(MUTUAL)
    assert mutual.accepts('[{"a": [{}, {"a": []}]}]') and not mutual.accepts('[{"b": []}]')


OPTIONAL_THEN_ITSELF = {
    "type": "object",
    "properties": {"x": {"type": "integer"}, "self": {"$ref": "#"}},
    "required": ["self"],
}


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        (False, "accepts no text"),
        ({"type": "integer", "minimum": 5, "maximum": 1}, "accepts no text"),
        ({"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]}, "accepts no text"),
        (OPTIONAL_THEN_ITSELF, "a value of # must contain another"),
        ({"type": "array", "minItems": 1, "items": {"anyOf": [{"$ref": "#"}]}}, "accepts no text"),
        ({"enum": []}, "accepts no text"),
        ({"properties": {"a": {"type": "strin"}}}, "#/properties/a: "),
        ({"$ref": "https://example.com/x"}, ""),
        ({"$ref": "#/nowhere"}, "nowhere"),
        (7, "a schema is an object or a boolean"),
    ],
    ids=str,
)
def test_a_schema_that_nothing_obeys_or_that_is_none_is_an_error_of_one_line(schema: Any, reason: str) -> None:
    with pytest.raises(GrammarError) as caught:
        compiled(schema)
    assert reason in str(caught.value) and "\n" not in str(caught.value) and len(str(caught.value)) < 700


def nested(depth: int, schema: Any) -> Any:
    for _ in range(depth):
        schema = {"type": "object", "properties": {"a": schema}, "required": ["a"]}
    return schema


@pytest.mark.parametrize(
    "source",
    [
        "[" * 5000,
        '{"a":' * 5000,
        "{",
        '{"type": "array", "items": ' * 300 + "{}" + "}" * 300,
        json.dumps({"type": "string", "pattern": "(a{1,1000}){1,1000}{1,1000}"}),
        json.dumps({"type": "string", "minLength": 10**9}),
        json.dumps({"allOf": [{"$ref": "#"}]}),
        json.dumps({"type": "string", "pattern": "\ud800"}),
        json.dumps({"anyOf": [nested(40, {"const": number}) for number in range(20)]}),
        json.dumps({"properties": [], "required": 7, "items": "x"}),
        json.dumps({"type": [{}]}),
        json.dumps({"type": "string", "format": ["a"], "not": {}}),
        json.dumps({"enum": ["\ud800"]}),
    ],
    ids=lambda source: source[:40],
)
def test_hostile_schemas_compile_or_fail_in_one_line_and_soon(source: str) -> None:
    began = time.perf_counter()
    try:
        COMPILER.compile(Grammar(kind="json_schema", source=source)).start.mask()
    except GrammarError as error:
        assert "\n" not in str(error)
    assert time.perf_counter() - began < 5


def test_closing_a_recursive_schema_ends() -> None:
    grammar = compiled(RECURSIVE)
    sentence = shortest_sentence(grammar)
    assert sentence is not None and grammar.accepts(grammar.vocabulary.text(sentence))
    assert shortest_sentence(grammar) is sentence


OPEN = {"type": "object", "properties": {"a": {"type": "integer"}}, "additionalProperties": {"type": "string"}}


@pytest.mark.parametrize("backend", ["llguidance", "xgrammar"])
@pytest.mark.parametrize(
    ("schema", "valid", "invalid"),
    [
        (OPEN, ['{"a": 1, "b": "x"}', '{"b\\n\\"": "\\t\\\\é"}'], ['{"\\u0061": "x"}', '{"a": 1, "\\u0061": "x"}']),
        (
            {"type": "object", "patternProperties": {"^a": {"type": "integer"}}},
            ['{"ab": 1, "b": "x"}'],
            ['{"ab": "x"}', '{"\\u0061b": "x"}'],
        ),
        (
            {"type": "object", "minProperties": 2, "additionalProperties": {"type": "integer"}},
            ['{"a": 1, "b": 2}'],
            ['{"a": 1, "a": 2}', '{"a": 1}'],
        ),
        ({"type": "array", "items": True}, ['[{"a": 1}]'], ['[{"a": 1, "a": 2}]']),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, dict) else "",
)
def test_no_spelling_of_a_key_gets_round_its_schema(
    backend: str, schema: Any, valid: list[str], invalid: list[str]
) -> None:
    grammar = compiled(schema, GrammarCompiler(TOKENIZER, backend=backend))
    assert not any(map(grammar.accepts, invalid))
    # The masks of xgrammar have no other keys beside those of patterns.
    assert backend == "xgrammar" or all(map(grammar.accepts, valid))


def test_masks_themselves_refuse_a_key_that_is_spelled_with_escapes() -> None:
    assert not masks_allow(compiled(OPEN), '{"\\u0061": "x"}')
    assert masks_allow(compiled({"type": "string"}), '"\\u0001"')
    control = {**OPEN, "required": ["\x01"], "properties": {"\x01": {"const": "\x02"}}}
    assert compiled(control).accepts('{"\\u0001": "\\u0002"}')


@pytest.mark.parametrize("options", [{"lenient": True}, {"coerce_one_of": True}], ids=str)
def test_a_schema_cannot_loosen_the_masks_that_hold_it(options: dict[str, bool]) -> None:
    schema = {"oneOf": [{"type": "integer"}, {"type": "integer", "minimum": 3}], "x-guidance": options}
    assert "oneOf" in (compiled(schema).leniency or "")
    assert not compiled(schema).accepts("4") and compiled(schema).accepts("1")
    unique = {"type": "array", "items": {"type": "integer"}, "uniqueItems": True, "x-guidance": options}
    assert not compiled(unique).accepts("[1, 1]")


def test_a_string_that_spells_a_mark_is_a_string() -> None:
    schema = {"type": "array", "items": {"type": "string"}, "uniqueItems": True}
    grammar = compiled(schema)
    text = f'["{TOKENIZER.eos_token}", "a"]'
    ids = [token for letter in text for token in TOKENIZER.encode(letter)]
    assert TOKENIZER.decode(ids) == text and grammar.is_sentence(ids) and grammar.accepts(text)
    twice = [token for letter in '["<|im_end|>", "<|im_end|>"]' for token in TOKENIZER.encode(letter)]
    assert not grammar.is_sentence(twice)
    compiling: Future[CompiledGrammar] = Future()
    compiling.set_result(grammar)
    for tokens, verdict in ((ids, True), (twice, False)):
        assert TurnGrammar(grammar.grammar, start=0, compiling=compiling).is_sentence(tokens) is verdict


def test_long_chains_of_definitions_are_looked_through_soon() -> None:
    count = 3000
    definitions: dict[str, Any] = {
        f"d{number}": {"type": "object", "required": ["a"], "properties": {"a": {"$ref": f"#/$defs/d{number + 1}"}}}
        for number in range(count)
    }
    began = time.perf_counter()
    assert endless_schema({"$ref": "#/$defs/d0", "$defs": {**definitions, f"d{count}": {}}}) is None
    circle = {**definitions, f"d{count}": {"$ref": "#/$defs/d0"}}
    assert endless_schema({"$ref": "#/$defs/d0", "$defs": circle}) == "#/$defs/d0"
    assert time.perf_counter() - began < 3
