"""Short ends: what the search finds is a sentence, is short, and leaves alone what it was asked about."""

import json
import random
from typing import Any

import pytest
from tiny_model import build_tiny_tokenizer
from tokenizers import AddedToken

from data.bundled_tasks import BundledJsonReader, BundledSqlReader
from decoding.grammars.compiler import CompiledGrammar, GrammarCompiler
from decoding.grammars.shortest import (
    has_no_sentence_within,
    sentence_within,
    shortest_completion,
    shortest_sentence,
)
from envs.grammar import Block, Grammar, Region
from envs.json.environment import JsonEnvironment
from envs.sql.environment import SqlEnvironment

PLAIN = build_tiny_tokenizer()
MARKED = build_tiny_tokenizer()
MARKED.add_tokens([AddedToken("<think>", normalized=False), AddedToken("</think>", normalized=False)])
COMPILER = GrammarCompiler(PLAIN)


def schema(value: Any) -> Grammar:
    return Grammar(kind="json_schema", source=json.dumps(value))


def members(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def end_of(compiled: CompiledGrammar, begun: str, most: int = 200) -> str | None:
    """What the search writes after ``begun``; checked to be an end."""
    matcher = compiled.matcher()
    matcher.consume(compiled.vocabulary.encode(begun))
    assert matcher.error is None
    before = matcher.mask()
    found = shortest_completion(matcher, compiled.vocabulary, most=most, endings=compiled.endings)
    after = matcher.mask()
    assert before is not None and after is not None and (before == after).all()
    if found is None:
        return None
    assert len(found) <= most
    matcher.consume(found)
    assert matcher.error is None and matcher.is_accepting
    return compiled.vocabulary.text(found)


NESTED = members(
    name={"type": "string"},
    place=members(x={"type": "integer"}, tags={"type": "array", "minItems": 2, "items": {"type": "string"}}),
    mail={"type": "string", "pattern": "^[a-z]+@[a-z]+\\.com$"},
    kind={"enum": ["alpha", "beta"]},
    price={"type": "number", "minimum": 100},
    note={"type": "string", "minLength": 20},
)
NODE = members(v={"type": "integer"}, k={"type": "array", "items": {"$ref": "#"}})
RECURSIVE = {**NODE, "required": ["v"]}


@pytest.mark.parametrize(
    "begun", ["", '{"name": "x', '{"name": "x", "place": {"x": 1', '{"name": "", "place": {"x": 1, "tags": ["']
)
def test_nested_json_is_closed(begun: str) -> None:
    assert end_of(COMPILER.compile(schema(NESTED)), begun) is not None


@pytest.mark.parametrize(
    ("grammar", "begun", "longest"),
    [
        (schema(RECURSIVE), '{"v": 1, "k": [{"v": 2, "k": [{"v": 3, "k": [', 9),
        (schema({}), "", 1),
        (schema({}), '{"a": [1, {"b": "', 4),
        (Grammar(kind="regex", source=r"[0-9]+\.[0-9]{3}(ab|cd)?x"), "12", 12),
        (Grammar(kind="choice", source='["a long one", "a"]'), "", 1),
        (Grammar(kind="lark", source='start: "(" start ")" | "x"'), "(((", 4),
        (Grammar(kind="lark", source='start: "if " /[a-z]+/ " then " /[a-z]+/ " end"'), "if ab", 20),
    ],
    ids=lambda value: getattr(value, "kind", str(value)),
)
def test_ends_are_short(grammar: Grammar, begun: str, longest: int) -> None:
    end = end_of(COMPILER.compile(grammar), begun)
    assert end is not None and len(PLAIN.encode(end)) <= longest


def test_a_sentence_needs_no_more_and_too_few_tokens_are_not_enough() -> None:
    compiled = COMPILER.compile(Grammar(kind="regex", source="ab?c?"))
    assert end_of(compiled, "a") == "" == end_of(compiled, "abc", most=0)
    assert end_of(COMPILER.compile(schema(NESTED)), "", most=20) is None


@pytest.mark.parametrize("tokenizer", [PLAIN, MARKED], ids=["text", "tokens"])
@pytest.mark.parametrize("begun", ["", "<think>so it ", '<think>"a</think>', '<think></think> <answer>{"a'])
def test_reasoning_is_ended_by_its_closing_tag(tokenizer: Any, begun: str) -> None:
    answer = Block(opening="<answer>", closing="</answer>", content=schema(members(a={"type": "integer"})))
    blocks = (Block(opening="<think>", closing="</think>"), answer)
    grammar = Grammar(kind="tagged", regions=tuple(Region(blocks=(block,)) for block in blocks))
    end = end_of(GrammarCompiler(tokenizer).compile(grammar), begun)
    assert end is not None and len(end) < 60


@pytest.mark.parametrize(
    ("environment", "reader", "rate"),
    [(JsonEnvironment(), BundledJsonReader(), 1.0), (SqlEnvironment(), BundledSqlReader(), 0.7)],
)
def test_answers_of_bundled_tasks_are_closed_wherever_they_are_cut(environment: Any, reader: Any, rate: float) -> None:
    choose = random.Random(0)
    closed = []
    for task in choose.sample(list(reader.read("heldout").tasks), 8):
        compiled = COMPILER.compile(environment.grammar(task))
        tokens = compiled.vocabulary.encode(environment.reference(task))
        matcher = compiled.matcher()
        matcher.consume(tokens[: choose.randrange(len(tokens))])
        closed.append(shortest_completion(matcher, compiled.vocabulary, most=100) is not None)
    assert sum(closed) >= rate * len(closed)


def test_the_shortest_sentence_of_a_grammar_is_searched_once() -> None:
    compiled = COMPILER.compile(schema(NESTED))
    sentence = shortest_sentence(compiled)
    assert sentence is not None and compiled.accepts(compiled.vocabulary.text(sentence))
    assert shortest_sentence(compiled) is sentence


def array(items: Any, count: int) -> Any:
    return {"type": "array", "items": items, "minItems": count, "maxItems": count}


@pytest.mark.parametrize(
    ("grammar", "longest"),
    [
        *(
            (schema(members(a={"type": "string", "format": name})), 70)
            for name in ("date-time", "uuid", "email", "ipv6")
        ),
        (schema(array({"type": "integer"}, 20)), 62),
        (schema(array({"type": "string"}, 12)), 60),
        (schema(array(array({"type": "integer"}, 3), 3)), 40),
        (Grammar(kind="regex", source="([a-z]+ ){30}[0-9]+"), 70),
        (
            Grammar(
                kind="tagged",
                regions=(
                    Region(
                        blocks=(
                            Block(
                                opening="<answer>", closing="</answer>", content=Grammar(kind="regex", source="[^<]*")
                            ),
                        )
                    ),
                ),
            ),
            20,
        ),
    ],
    ids=lambda value: getattr(value, "source", "")[:90] or None,
)
def test_counted_and_formatted_texts_have_a_short_sentence(grammar: Grammar, longest: int) -> None:
    compiled = COMPILER.compile(grammar)
    sentence = shortest_sentence(compiled)
    assert sentence is not None and len(sentence) <= longest
    assert compiled.accepts(compiled.vocabulary.text(sentence))


LONG = members(**{f"field{number}": {"type": "boolean"} for number in range(12)})


@pytest.mark.parametrize(
    ("grammar", "shortest"),
    [
        (Grammar(kind="regex", source="(ab|c)x?"), "c"),
        (Grammar(kind="choice", source='["The answer is forty-two, I am quite sure of that.", "no"]'), "no"),
        (schema({"anyOf": [LONG, {"type": "string", "maxLength": 4}]}), '""'),
        (schema({"anyOf": [LONG, members(error={"type": "string"})]}), '{"error": ""}'),
    ],
    ids=lambda value: getattr(value, "kind", value),
)
def test_the_short_sentence_beside_a_long_one_is_found_within_its_length(grammar: Grammar, shortest: str) -> None:
    compiled = COMPILER.compile(grammar)
    most = len(PLAIN.encode(shortest)) + 2
    found = sentence_within(compiled, most)
    assert found is not None and len(found) <= most and compiled.accepts(compiled.vocabulary.text(found))
    assert not has_no_sentence_within(compiled, most) and len(shortest_sentence(compiled) or ()) <= most


def fewest_tokens(text: bytes) -> int:
    spellings = set(COMPILER.compile(schema({})).vocabulary.spellings) - {b""}
    fewest = [0]
    for end in range(1, len(text) + 1):
        fewest.append(1 + min(fewest[start] for start in range(end) if text[start:end] in spellings))
    return fewest[-1]


def test_that_there_is_no_sentence_is_said_only_where_every_way_was_gone() -> None:
    listed = ["certainly", "naturally"]
    words = COMPILER.compile(Grammar(kind="choice", source=json.dumps(listed)))
    least = min(fewest_tokens(word.encode()) for word in listed)
    assert [has_no_sentence_within(words, most) for most in range(least + 2)] == [True] * least + [False] * 2
    strings = COMPILER.compile(schema({"type": "string", "minLength": 60}))
    assert sentence_within(strings, 5) is None and not has_no_sentence_within(strings, 5)
