"""Compiled grammars: what they accept, how they fail, how long they are kept."""

import gc
import json
import weakref
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from data.bundled_tasks import BundledJsonReader, BundledMathReader
from decoding.engine import Request
from decoding.grammars.compiler import GrammarCompiler, shared_compiler
from decoding.grammars.matcher import GrammarError
from decoding.transformers_engine import TransformersEngine, end_ids
from envs.environment import Environment
from envs.errors import ConfigurationError
from envs.grammar import Grammar
from envs.json.environment import JsonEnvironment
from envs.math.environment import MathEnvironment


def regex(source: str) -> Grammar:
    return Grammar(kind="regex", source=source)


def accepts(compiler: GrammarCompiler, tokenizer: Any, grammar: Grammar, text: str) -> bool:
    """The whole text is a sentence, spelled as the tokenizer spells it."""
    matcher = compiler.compile(grammar).matcher()
    matcher.consume(tokenizer.encode(text, add_special_tokens=False))
    return matcher.error is None and matcher.is_accepting


@pytest.mark.parametrize(
    ("grammar", "sentence", "other"),
    [
        (Grammar(kind="json_schema", source='{"type": "integer", "minimum": 3}'), "42", "2"),
        (Grammar(kind="lark", source='start: "SELECT " /[a-z]+/ (", " /[a-z]+/)*'), "SELECT name, age", "SELECT 1"),
        (regex("[0-9]{2}-[a-c]"), "36-b", "3-b"),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_each_kind_of_grammar_accepts_its_sentences_and_no_others(
    tokenizer: Any, grammar: Grammar, sentence: str, other: str
) -> None:
    compiler = GrammarCompiler(tokenizer)
    assert accepts(compiler, tokenizer, grammar, sentence)
    assert not accepts(compiler, tokenizer, grammar, other)


@pytest.mark.parametrize(
    ("environment", "reader"), [(JsonEnvironment(), BundledJsonReader()), (MathEnvironment(), BundledMathReader())]
)
def test_the_reference_of_every_bundled_task_is_a_sentence_of_its_grammar(
    tokenizer: Any, environment: Environment[Any], reader: Any
) -> None:
    compiler = GrammarCompiler(tokenizer)
    tasks = reader.read("heldout").tasks
    refused = []
    for task in tasks:
        grammar, reference = environment.grammar(task), environment.reference(task)
        assert grammar is not None and reference is not None
        if not accepts(compiler, tokenizer, grammar, reference):
            refused.append(task.id)
    assert len(tasks) >= 64 and refused == []


def test_json_is_written_as_json_dumps_writes_it(tokenizer: Any) -> None:
    schema = {
        "type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "array", "items": {"type": "null"}}},
        "required": ["a", "b"], "additionalProperties": False,
    }  # fmt: skip
    compiler, grammar = GrammarCompiler(tokenizer), Grammar(kind="json_schema", source=json.dumps(schema))
    value = {"a": 1, "b": [None, None]}
    assert accepts(compiler, tokenizer, grammar, json.dumps(value))
    assert not accepts(compiler, tokenizer, grammar, json.dumps(value, separators=(",", ":")))
    assert not accepts(compiler, tokenizer, grammar, json.dumps(value, indent=1))


def test_a_matcher_starts_afresh_each_time(tokenizer: Any) -> None:
    compiled = GrammarCompiler(tokenizer).compile(regex("ab"))
    first = compiled.matcher()
    before = first.mask()
    first.consume(tokenizer.encode("a"))
    second = compiled.matcher().mask()
    assert before is not None and second is not None
    assert (before == second).all() and not np.array_equal(first.mask(), second)


def test_the_cache_is_bounded_and_the_least_recently_used_leaves(tokenizer: Any) -> None:
    compiler = GrammarCompiler(tokenizer, capacity=2)
    kept = {source: compiler.compile(regex(source)) for source in ("a", "b", "a", "c")}
    assert compiler.compile(regex("a")) is kept["a"] and compiler.compile(regex("c")) is kept["c"]
    assert compiler.compile(regex("b")) is not kept["b"]


@pytest.mark.parametrize(
    ("grammar", "reason"),
    [
        (Grammar(kind="json_schema", source='{"type": "integer", "minimum": 5, "maximum": 1}'), "Unsatisfiable"),
        (Grammar(kind="json_schema", source="[" * 5000), "recursion limit"),
        (Grammar(kind="json_schema", source="7"), "object or a boolean"),
        (Grammar(kind="lark", source="start: nowhere"), "nowhere"),
        (regex("(a"), "unclosed group"),
        (regex("(?=a)b"), "look-around"),
    ],
    ids=lambda value: value.source[:40] if isinstance(value, Grammar) else "",
)
def test_a_grammar_that_cannot_be_compiled_is_an_error_of_one_line(
    tokenizer: Any, grammar: Grammar, reason: str
) -> None:
    compiler = GrammarCompiler(tokenizer)
    for _ in range(2):  # from the cache too
        with pytest.raises(GrammarError) as caught:
            compiler.compile(grammar)
        assert reason in str(caught.value) and "\n" not in str(caught.value)


def test_the_engine_writes_freely_where_a_grammar_cannot_be_compiled_and_says_why(model: Any, tokenizer: Any) -> None:
    masked = Request(prompt_ids=[5, 6], max_new_tokens=8, n=2, seed=0, grammar=regex("(a"))
    free = Request(prompt_ids=[5, 6], max_new_tokens=8, n=2, seed=0)
    generations = TransformersEngine(model, tokenizer).generate([masked, free])
    assert [one.token_ids for one in generations[:2]] == [one.token_ids for one in generations[2:]]
    assert all("unclosed group" in (one.grammar_error or "") for one in generations[:2])
    assert {one.log_z for one in generations} == {None} == {one.grammar_error for one in generations[2:]}


def test_engines_of_one_tokenizer_share_what_they_have_compiled(model: Any, tokenizer: Any) -> None:
    request = Request(prompt_ids=[5], max_new_tokens=4, grammar=regex("[ab]"))
    TransformersEngine(model, tokenizer).generate([request])
    compiler = shared_compiler(tokenizer, end_ids=end_ids(model, tokenizer))
    compiled = compiler.compile(regex("[ab]"))
    TransformersEngine(model, tokenizer).generate([request])
    assert compiler.compile(regex("[ab]")) is compiled
    assert compiler is not shared_compiler(tokenizer, end_ids=(0, 2))


def test_a_shared_compiler_lives_no_longer_than_its_tokenizer(tiny_model: Any) -> None:
    tokenizer = PreTrainedTokenizerFast.from_pretrained(tiny_model)
    compiler = weakref.ref(shared_compiler(tokenizer, end_ids=(2,)))
    assert compiler() is not None
    del tokenizer
    gc.collect()
    assert compiler() is None


def test_a_tokenizer_that_has_gained_tokens_is_compiled_anew(tiny_model: Any) -> None:
    tokenizer = PreTrainedTokenizerFast.from_pretrained(tiny_model)
    before = shared_compiler(tokenizer, end_ids=(2,))
    tokenizer.add_tokens(["SELECT DISTINCT"])
    assert shared_compiler(tokenizer, end_ids=(2,)) is not before


def test_a_tokenizer_that_llguidance_cannot_read_is_refused_by_name() -> None:
    words = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({"a": 0}, unk_token="a")))
    with pytest.raises(ConfigurationError, match="fast tokenizer that llguidance can read"):
        GrammarCompiler(words)
