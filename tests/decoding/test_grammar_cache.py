"""Compiled grammars are kept, bounded, and compiled once however many ask, from whatever thread."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tiny_model import build_tiny_tokenizer

from decoding.grammars.compiler import GrammarCompiler
from decoding.grammars.matcher import GrammarError
from envs.grammar import Block, Grammar, Region

TOKENIZER = build_tiny_tokenizer()


def regex(source: str) -> Grammar:
    return Grammar(kind="regex", source=source)


class CountingBackend:
    """Counts what it compiles; may wait until it is told to go on."""

    def __init__(self, inner: Any, gate: threading.Event | None = None) -> None:
        self.inner, self.gate = inner, gate
        self.compiled: list[Grammar] = []

    def compile(self, grammar: Grammar) -> Any:
        self.compiled.append(grammar)
        if self.gate is not None:
            assert self.gate.wait(10)
        return self.inner.compile(grammar)


def counting_compiler(gate: threading.Event | None = None, **options: Any) -> tuple[GrammarCompiler, CountingBackend]:
    compiler = GrammarCompiler(TOKENIZER, **options)
    counting = CountingBackend(compiler._backend, gate)
    compiler._backend = counting
    return compiler, counting


def test_threads_that_ask_for_one_grammar_at_once_get_one_compilation() -> None:
    gate = threading.Event()
    compiler, counting = counting_compiler(gate)
    with ThreadPoolExecutor(4) as threads:
        asked = [threads.submit(compiler.compile, regex("ab")) for _ in range(4)]
        gate.set()
        results = {id(one.result(10)) for one in asked}
    assert len(results) == 1 and counting.compiled == [regex("ab")]


def test_errors_are_kept_too_and_raised_afresh() -> None:
    compiler, counting = counting_compiler()
    errors = []
    for _ in range(2):
        with pytest.raises(GrammarError, match="unclosed group") as caught:
            compiler.compile(regex("(a"))
        errors.append(caught.value)
    assert errors[0] is not errors[1] and len(counting.compiled) == 1


def test_equal_grammars_are_one_whatever_object_they_are() -> None:
    compiler, counting = counting_compiler()
    first = Grammar(kind="tagged", regions=(Region(blocks=(Block(opening="a", content=regex("b")),)),))
    second = Grammar(kind="tagged", regions=(Region(blocks=(Block(opening="a", content=regex("b")),)),))
    assert compiler.compile(first) is compiler.compile(second) and len(counting.compiled) == 1


def test_large_sources_leave_no_room_for_many() -> None:
    compiler, counting = counting_compiler(characters=3000)
    large = [Grammar(kind="choice", source=json.dumps([letter * 1000])) for letter in "abcd"]
    for grammar in [*large, large[3], large[2], large[0]]:
        compiler.compile(grammar)
    assert counting.compiled == [*large, large[0]]


def test_one_that_is_larger_than_all_room_is_compiled_all_the_same() -> None:
    compiler, _ = counting_compiler(characters=10)
    assert compiler.compile(Grammar(kind="choice", source=json.dumps(["a" * 100]))).accepts("a" * 100)


def test_what_is_being_compiled_does_not_leave() -> None:
    gate = threading.Event()
    compiler, counting = counting_compiler(gate, capacity=1)
    with ThreadPoolExecutor(4) as threads:
        futures = [threads.submit(compiler.compile, regex(source)) for source in ("a", "b") * 2]
        gate.set()
        found = [one.result(10) for one in futures]
    assert found[:2] == found[2:] and len(counting.compiled) == 2


class FailingBackend:
    """Fails as libraries do on hostile sources, with whatever they raise."""

    def compile(self, grammar: Grammar) -> Any:
        raise KeyError(f"deep\n{grammar.source}")


def test_whatever_a_back_end_raises_is_an_error_of_the_grammar() -> None:
    compiler = GrammarCompiler(TOKENIZER)
    compiler._backend = FailingBackend()  # type: ignore[assignment]
    for _ in range(2):
        with pytest.raises(GrammarError, match="cannot be compiled: KeyError: 'deep") as caught:
            compiler.compile(regex("ab"))
        assert "\n" not in str(caught.value)


def test_a_kept_error_gathers_no_traces() -> None:
    compiler = GrammarCompiler(TOKENIZER)
    for _ in range(5):
        with pytest.raises(GrammarError):
            compiler.compile(regex("(a"))
    kept = compiler._compiled[regex("(a")].exception()
    assert kept is not None and kept.__traceback__ is None and kept.__cause__ is None and kept.__context__ is None
