"""A narrowed matcher masks what the narrowing refuses, and nothing else; in tagged texts within its block only."""

import random
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from decoding.engine import Request
from decoding.grammars.llguidance_backend import LlguidanceBackend
from decoding.grammars.matcher import Matcher
from decoding.grammars.narrowed import NarrowedMatcher, narrow
from decoding.grammars.shortest import shortest_completion
from decoding.grammars.vocabulary import Vocabulary, shared_vocabulary
from decoding.models import ModelConfig, load_model
from decoding.transformers_engine import TransformersEngine
from envs.grammar import Block, Expected, Grammar, Region
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
    connection.execute('CREATE TABLE "two words" ("we""ird" INTEGER, "home town" TEXT)')
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
    matcher.consume(vocabulary.encode("SELECT name FROM concert WHERE id"))
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


THINK = Block(opening="<think>", closing="</think>")


def _tagged(*regions: Region) -> Grammar:
    return Grammar(kind="tagged", regions=regions)


def _layouts(grammar: Grammar) -> list[tuple[Grammar, list[str]]]:
    """Bare and tagged grammars, and beginnings up to where a query begins."""
    answer = Region(blocks=(Block(opening="<answer>", content=grammar, closing="</answer>"),))
    steps = Region(blocks=(Block(opening="<draft>", content=grammar, closing="</draft>"), THINK), is_optional=True)
    optional = Region(blocks=(THINK,), is_optional=True)
    return [
        (grammar, [""]),
        (_tagged(optional, Region(blocks=(Block(content=grammar),))), ["", "<think>a</think>", "<think></think> \n"]),
        (
            _tagged(optional, steps, answer),
            ["<answer>", "<think>a</think><answer>", "<draft>", "<think>a</think><draft>"],
        ),
    ]


STARTS = [
    "",
    "wITh ",
    "SELECT ",
    "SELECT CASE ",
    'SELECT "',
    "SELECT singer.",
    "seLEct\t\nname FROM singer ",
    "SELECT name FROM singer AS T1 JOIN ",
    "SELECT name FROM singer  a , concert ",
    'SELECT 1 FROM "',
    'SELECT 1 FROM "two words" WHERE "',
    "SELECT count(*), name FROM singer GROUP BY ",
    "SELECT name FROM singer WHERE name LIKE 'x' ESCAPE ",
    "SELECT name FROM singer UNION SELECT venue FROM concert ORDER BY ",
    "WITH a(b) AS (SELECT 1 ",
    "WITH a(b, ",
]


@given(seed=st.integers(0, 10_000), layout=st.integers(0, 2), start=st.sampled_from(STARTS), in_bytes=st.booleans())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_token_of_a_mask_is_read_and_another_may_follow(
    grammar: Grammar, tokenizer: PreTrainedTokenizerBase, seed: int, layout: int, start: str, in_bytes: bool
) -> None:
    draw = random.Random(seed)
    whole, beginnings = _layouts(grammar)[layout]
    matcher, vocabulary = _matcher(whole, tokenizer)
    text = draw.choice(beginnings) + start
    matcher.consume(vocabulary.encode(text))
    assert matcher.error is None, text
    for _ in range(12):
        allowed = sorted(_allowed(matcher) - vocabulary.end_ids)
        for token in draw.sample(allowed, min(len(allowed), 50)):
            other = matcher.fork()
            other.consume([token])
            assert other.error is None and _allowed(other), (text, vocabulary.spellings[token])
        if not allowed:
            return
        of_length = [token for token in allowed if (len(vocabulary.spellings[token]) == 1) is in_bytes]
        token = draw.choice(of_length or allowed)
        matcher.consume([token])
        text += vocabulary.text([token])


@pytest.mark.parametrize(
    ("text", "is_known"),
    [
        ("<think>a</think>SELECT name FROM singer", True),
        ("<think>a</think>\n <plan>b</plan>\nSELECT name FROM singer", True),
        ("<plan>b</plan>SELECT name FROM singer", True),
        ("SELECT name FROM singer", True),
        ("<think>a</think>SELECT name FROM concert", False),
        ("<plan>b</plan>SELECT name FROM concert", False),
        ("SELECT name FROM concert", False),
    ],
)
def test_regions_that_may_be_left_out_stand_before_a_block_without_opening(
    grammar: Grammar, tokenizer: PreTrainedTokenizerBase, text: str, is_known: bool
) -> None:
    plan = Block(opening="<plan>", closing="</plan>")
    optional = [Region(blocks=(block,), is_optional=True) for block in (THINK, plan)]
    matcher, vocabulary = _matcher(_tagged(*optional, Region(blocks=(Block(content=grammar),))), tokenizer)
    firsts = {vocabulary.spellings[token][:1] for token in _allowed(matcher)}
    assert {b"<", b"S"} <= firsts
    assert _takes(matcher, vocabulary, text) is is_known


@pytest.mark.parametrize(
    ("text", "is_known"),
    [
        ("<draft>SELECT name FROM singer</draft> <draft>SELECT id FROM concert</draft>SELECT 1", True),
        ("<draft>SELECT name FROM singer</draft><think>x</think>SELECT id FROM concert WHERE id</**/", False),
        ("<draft>SELECT name FROM singer</draft><draft>SELECT name FROM concert</draft>", False),
        ("<draft>SELECT name FROM singer</draft>SELECT name FROM concert", False),
        ("<think>x</think><think>y</think>SELECT id FROM concert WHERE id <3", True),
    ],
)
@pytest.mark.parametrize("is_optional", [False, True])
def test_blocks_of_a_repeatable_region_are_each_narrowed(
    grammar: Grammar, tokenizer: PreTrainedTokenizerBase, text: str, is_known: bool, is_optional: bool
) -> None:
    draft = Block(opening="<draft>", content=grammar, closing="</draft>")
    steps = Region(blocks=(draft, THINK), is_optional=is_optional, may_repeat=True)
    matcher, vocabulary = _matcher(_tagged(steps, Region(blocks=(Block(content=grammar),))), tokenizer)
    assert _takes(matcher, vocabulary, text) is is_known


def test_tags_that_are_one_token_open_and_close_blocks(grammar: Grammar, tiny_model: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<think>", "</think>", "<answer>", "</answer>"]})
    answer = Block(opening="<answer>", content=grammar, closing="</answer>")
    for block, close in ((Block(content=grammar), ""), (answer, "</answer>")):
        tagged = _tagged(Region(blocks=(THINK,), is_optional=True), Region(blocks=(block,)))
        for table, is_known in (("singer", True), ("concert", False)):
            for before in ("", "<think>a</think>"):
                matcher, vocabulary = _matcher(tagged, tokenizer)
                assert vocabulary.marks["<think>"] in _allowed(matcher)
                text = f"{before}{block.opening}SELECT name FROM {table}{close}"
                assert _takes(matcher, vocabulary, text) is is_known, text


def test_a_text_that_is_cut_within_a_character_is_closed(grammar: Grammar, tokenizer: PreTrainedTokenizerBase) -> None:
    matcher, vocabulary = _matcher(grammar, tokenizer)
    matcher.consume(vocabulary.encode_bytes(b"SELECT name FROM singer WHERE name = '\xc3"))
    assert matcher.error is None
    end = shortest_completion(matcher, vocabulary, most=40)
    assert end is not None
    matcher.consume(end)
    assert matcher.is_accepting


class _AtMost:
    """A narrowing that allows three characters and no end."""

    def start(self) -> "_AtMost.Text":
        return self.Text()

    class Text:
        def __init__(self, length: int = 0) -> None:
            self.length = length

        def advance(self, text: bytes) -> None:
            self.length += len(text)

        def copy(self) -> "_AtMost.Text":
            return _AtMost.Text(self.length)

        def allowed(self, continuations: Sequence[bytes]) -> list[bool]:
            return [0 < len(each) <= 3 - self.length for each in continuations]

        def expected(self) -> Expected:
            return Expected()

        def ending(self) -> None:
            return None


def test_a_dead_end_is_an_error_of_its_row_alone(tokenizer: PreTrainedTokenizerBase, tiny_model: Path) -> None:
    grammar = Grammar(kind="lark", source="start: /[a-z]*/", narrowing=_AtMost())
    model = load_model(ModelConfig(reference=str(tiny_model)))
    requests = [Request(prompt_ids=[5], max_new_tokens=6, seed=1, grammar=each) for each in (grammar, None)]
    dead, free = TransformersEngine(model, tokenizer).generate(requests)
    assert dead.grammar_error is not None and "no token is allowed" in dead.grammar_error
    assert free.grammar_error is None and len(free.token_ids) > 1
