"""A narrowed matcher masks what the narrowing refuses, and nothing else; in tagged texts within its block only."""

import random
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from decoding.grammars.llguidance_backend import LlguidanceBackend
from decoding.grammars.matcher import Matcher
from decoding.grammars.narrowed import NarrowedMatcher, narrow
from decoding.grammars.vocabulary import Vocabulary, shared_vocabulary
from envs.grammar import Block, Grammar, Region
from envs.sql.databases.database import Database
from envs.sql.grammar import make_grammar


@pytest.fixture(scope="module")
def tokenizer(tiny_model: Path) -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(tiny_model)


@pytest.fixture(scope="module")
def grammar(tmp_path_factory: pytest.TempPathFactory) -> Grammar:
    path = tmp_path_factory.mktemp("narrowed") / "music.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE singer (id INTEGER, name TEXT)")
    connection.execute("CREATE TABLE concert (id INTEGER, venue TEXT)")
    connection.commit()
    connection.close()
    return make_grammar(Database.at(path))


def _matcher(grammar: Grammar, tokenizer: PreTrainedTokenizerBase) -> tuple[Matcher, Vocabulary]:
    end_ids = frozenset({tokenizer.eos_token_id})
    vocabulary = shared_vocabulary(tokenizer, end_ids=end_ids)
    return narrow(LlguidanceBackend(vocabulary).compile(grammar).start.fork(), grammar, tokenizer, end_ids), vocabulary


def _allowed(matcher: Matcher) -> set[int]:
    words = matcher.mask()
    assert words is not None
    return set(np.flatnonzero(np.unpackbits(words.view(np.uint8), bitorder="little")).tolist())


def _takes(matcher: Matcher, vocabulary: Vocabulary, text: str) -> bool:
    for token in vocabulary.encode(text):
        if token not in _allowed(matcher):
            return False
        matcher.consume([token])
    return matcher.is_accepting


@pytest.mark.parametrize(
    ("query", "is_known"),
    [
        ("SELECT name FROM singer", True),
        ("SELECT T1.venue FROM concert AS T1 WHERE venue = 'a b' OR id > 12", True),
        ("SELECT name FROM concert", False),
        ("SELECT T1.venue FROM singer AS T1", False),
    ],
)
def test_names_out_of_scope_are_masked(
    grammar: Grammar, tokenizer: PreTrainedTokenizerBase, query: str, is_known: bool
) -> None:
    matcher, vocabulary = _matcher(grammar, tokenizer)
    assert _takes(matcher, vocabulary, query) is is_known


def test_the_mask_is_what_the_text_allows_token_by_token(grammar: Grammar, tokenizer: PreTrainedTokenizerBase) -> None:
    matcher, vocabulary = _matcher(grammar, tokenizer)
    assert isinstance(matcher, NarrowedMatcher) and grammar.narrowing is not None
    inner = LlguidanceBackend(vocabulary).compile(grammar).start.fork()
    rng = random.Random(3)
    text = grammar.narrowing.start()
    for _ in range(60):
        wide = sorted(_allowed(inner))
        spelled = [b"" if token in vocabulary.end_ids else vocabulary.spellings[token] for token in wide]
        permitted = text.allowed(spelled)
        narrow_tokens = {token for token, is_permitted in zip(wide, permitted, strict=True) if is_permitted}
        assert _allowed(matcher) == narrow_tokens and narrow_tokens
        choices = sorted(narrow_tokens - vocabulary.end_ids)
        if not choices:
            break
        token = rng.choice(choices)
        inner.consume([token])
        matcher.consume([token])
        text.advance(vocabulary.spellings[token])


def test_rollback_and_forks_return_to_the_same_mask(grammar: Grammar, tokenizer: PreTrainedTokenizerBase) -> None:
    matcher, vocabulary = _matcher(grammar, tokenizer)
    matcher.consume(vocabulary.encode("SELECT name"))
    before = _allowed(matcher)
    other = matcher.fork()
    tail = vocabulary.encode(" FROM singer")
    matcher.consume(tail)
    assert matcher.is_accepting and not other.is_accepting and _allowed(other) == before
    matcher.rollback(len(tail))
    assert _allowed(matcher) == before and not matcher.is_accepting


def test_a_refused_token_puts_it_in_error(grammar: Grammar, tokenizer: PreTrainedTokenizerBase) -> None:
    matcher, vocabulary = _matcher(grammar, tokenizer)
    matcher.consume(vocabulary.encode("SELECT name FROM concert WHERE"))
    assert matcher.error is not None and matcher.mask() is None and matcher.is_over


@pytest.mark.parametrize(
    ("text", "is_known"),
    [
        ("<think>SELECT shoe FROM <sql></think><sql>SELECT name FROM singer</sql>", True),
        ("<think>x</think><sql>SELECT name FROM singer WHERE id < 3</sql>", True),
        ("<think>x</think><sql>SELECT name FROM concert</sql>", False),
        ("<think>x</think><sql>SELECT name</sql>", False),
    ],
)
def test_a_block_is_narrowed_from_its_opening_to_its_closing(
    grammar: Grammar, tokenizer: PreTrainedTokenizerBase, text: str, is_known: bool
) -> None:
    free = Block(opening="<think>", closing="</think>")
    tagged = Grammar(
        kind="tagged",
        regions=(Region(blocks=(free,)), Region(blocks=(Block(opening="<sql>", content=grammar, closing="</sql>"),))),
    )
    matcher, vocabulary = _matcher(tagged, tokenizer)
    assert isinstance(matcher, NarrowedMatcher)
    assert _takes(matcher, vocabulary, text) is is_known
