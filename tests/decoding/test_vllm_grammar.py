"""What is sent to vLLM's guidance back end allows the tokens that our own masks allow: compiled as vLLM compiles it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import llguidance
import llguidance.hf
import numpy as np
import pytest

from decoding.grammars.compiler import shared_compiler
from decoding.models import load_tokenizer
from decoding.vllm_grammar import context_free, guidance_grammar
from envs.grammar import Block, Grammar, Region

SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "string", "maxLength": 4}, "b": {"enum": ["x}{", "y"]}},
    "required": ["a"],
    "additionalProperties": False,
}
JSON = Grammar(kind="json_schema", source=json.dumps(SCHEMA))
TAGGED = Grammar(
    kind="tagged",
    regions=(
        Region(blocks=(Block(opening="<t>", closing="</t>"),), is_optional=True),
        Region(blocks=(Block(opening="<a>", content=JSON, closing="</a>"),)),
    ),
)
SENTENCES = [
    (JSON, '{"a": "hé\\n", "b": "x}{"}'),
    (Grammar(kind="regex", source="[a-z]+(foo|/x)?"), "abcfoo"),
    (Grammar(kind="choice", source='["a b", "a", "x\\"}"]'), 'x"}'),
    (Grammar(kind="lark", source='start: sentence\nsentence: "(" sentence ")" | NAME\nNAME: /[a-z{}]+/'), "((a}))"),
    (Grammar(kind="ebnf", source='root ::= "a" root | "b"'), "aaab"),
    (TAGGED, '<t>hm, {"a"}</t>\n<a>{"a": ""}</a>'),
]


@pytest.fixture(scope="module")
def tokenizer(tiny_model: Path) -> Any:
    return load_tokenizer(str(tiny_model))


def allowed(words: Any) -> np.ndarray:
    return np.unpackbits(np.frombuffer(words, dtype=np.uint8), bitorder="little")


@pytest.mark.parametrize("grammar, sentence", SENTENCES, ids=[grammar.kind for grammar, _ in SENTENCES])
@pytest.mark.parametrize("more_ends", [0, 2])
def test_masks_are_ours_token_by_token(tokenizer: Any, grammar: Grammar, sentence: str, more_ends: int) -> None:
    end_ids = [tokenizer.eos_token_id, *range(more_ends)]
    applied = guidance_grammar(grammar, tokenizer, end_ids, most=200)
    assert applied.error is None and applied.lenient is None and applied.masks == grammar
    # vLLM's own trie ends texts with the tokenizer's own token alone, and reads the text so.
    trie = llguidance.hf.from_tokenizer(tokenizer)
    theirs = llguidance.LLMatcher(trie, llguidance.grammar_from("grammar", applied.text), log_level=0)
    ours = shared_compiler(tokenizer, end_ids=end_ids).compile(grammar).matcher()
    for token in [*tokenizer.encode(sentence), tokenizer.eos_token_id]:
        mask = ours.mask()
        assert mask is not None
        assert np.array_equal(allowed(theirs.compute_bitmask()), allowed(mask.tobytes()))
        assert allowed(mask.tobytes())[token]
        assert theirs.consume_token(token)
        ours.consume([token])


def test_a_schema_that_is_held_leniently_is_sent_leniently(tokenizer: Any) -> None:
    schema = {**SCHEMA, "not": {"required": ["b"]}}
    grammar = Grammar(kind="json_schema", source=json.dumps(schema))
    applied = guidance_grammar(grammar, tokenizer, [tokenizer.eos_token_id], most=200)
    assert applied.error is None and applied.masks == grammar and applied.judge == grammar
    assert applied.lenient is not None and "#/not" in applied.lenient
    assert not llguidance.LLMatcher.validate_grammar(llguidance.grammar_from("grammar", applied.text))


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "pattern": "^(?=a)a+$"},
        {"type": "object", "patternProperties": {"^a": {"type": "integer"}, "^ab": {"type": "string"}}},
    ],
    ids=str,
)
def test_a_schema_that_had_to_be_widened_is_sent_as_it_is_masked(tokenizer: Any, schema: Any) -> None:
    grammar = Grammar(kind="json_schema", source=json.dumps(schema))
    applied = guidance_grammar(grammar, tokenizer, [tokenizer.eos_token_id], most=200)
    assert applied.error is None and applied.lenient and applied.masks == grammar and applied.judge == grammar
    assert not llguidance.LLMatcher.validate_grammar(llguidance.grammar_from("grammar", applied.text))


@pytest.mark.parametrize(
    "grammar, most",
    [
        (Grammar(kind="lark", source="start: /a"), 200),
        (Grammar(kind="json_schema", source='{"enum": []}'), 200),
        (Grammar(kind="choice", source='["abcdefghijklmnop"]'), 2),
    ],
)
def test_what_cannot_be_applied_is_not_sent(tokenizer: Any, grammar: Grammar, most: int) -> None:
    applied = guidance_grammar(grammar, tokenizer, [tokenizer.eos_token_id], most=most)
    assert applied.error and applied.masks is None and applied.text == ""


class AnyText:
    """A narrowing that says nothing, in a text that ``start`` begins."""

    def start(self) -> Any:
        raise NotImplementedError


def test_narrowings_are_left_out_wherever_they_stand() -> None:
    narrowed = replace(JSON, narrowing=AnyText())
    assert context_free(JSON) == JSON and context_free(TAGGED) == TAGGED
    assert context_free(narrowed) == JSON
    first, second = TAGGED.regions
    block = replace(second.blocks[0], content=narrowed)
    tagged = replace(TAGGED, regions=(first, replace(second, blocks=(block,))))
    assert tagged != TAGGED and context_free(tagged) == TAGGED
