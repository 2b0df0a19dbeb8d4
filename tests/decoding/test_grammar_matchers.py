"""Matchers of both back ends keep the contract of ``decoding.grammars.matcher``: on random walks through languages."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_model import END, build_tiny_tokenizer
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from decoding.grammars.backends import backend
from decoding.grammars.compiler import GrammarCompiler
from decoding.grammars.matcher import GrammarError, Matcher
from decoding.grammars.vocabulary import Vocabulary
from envs.errors import ConfigurationError
from envs.grammar import Grammar

TOKENIZER = build_tiny_tokenizer()
COMPILERS = {name: GrammarCompiler(TOKENIZER, backend=name) for name in ("llguidance", "xgrammar")}
END_ID = TOKENIZER.convert_tokens_to_ids(END)

LEAVES = st.sampled_from(
    [
        {"type": "integer"},
        {"type": "boolean"},
        {"type": "null"},
        {"const": "name"},
        {"enum": ["active", "age", 3]},
        {"type": "string", "maxLength": 3},
        {"type": "string", "pattern": "^[ab]{1,2}$"},
    ]
)


def _object(members: list[Any]) -> dict[str, Any]:
    names = "abcd"[: len(members)]
    return {
        "type": "object",
        "properties": dict(zip(names, members, strict=True)),
        "required": list(names[::2]),
        "additionalProperties": False,
    }


SCHEMAS = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3).map(_object)
        | inner.map(lambda items: {"type": "array", "items": items, "maxItems": 2})
        | st.lists(inner, min_size=1, max_size=2).map(lambda some: {"anyOf": some})
    ),
    max_leaves=4,
)
REGEXES = st.lists(st.sampled_from(["a", "[ab]", "c?", "(ab|ac)", "d{1,3}", "x*", "é"]), min_size=1, max_size=5)
COMMON = st.one_of(
    SCHEMAS.map(lambda schema: Grammar(kind="json_schema", source=json.dumps(schema))),
    REGEXES.map(lambda parts: Grammar(kind="regex", source="".join(parts))),
    st.lists(st.sampled_from(["name", "na", "age", "SELECT", "ab c"]), min_size=1, max_size=4, unique=True).map(
        lambda words: Grammar(kind="choice", source=json.dumps(words))
    ),
)
LARKS = st.lists(
    st.sampled_from(['"SELECT "', "/[a-c]+/", '("," WORD)*', "WORD?", "list"]), min_size=1, max_size=4
).map(
    lambda parts: Grammar(
        kind="lark", source=f'start: {" ".join(parts)}\nWORD: /[xy]z?/\nlist: "(" (WORD | list)* ")"\n'
    )
)


def allowed(matcher: Matcher) -> list[int]:
    words = matcher.mask()
    assert words is not None, matcher.error
    return np.flatnonzero(np.unpackbits(words.view(np.uint8), bitorder="little")).tolist()


def run_of_single_choices(matcher: Matcher, most: int) -> tuple[int, ...]:
    """What ``forced`` promises, told by masks alone."""
    ahead, tokens = matcher.fork(), []
    while len(tokens) < most and END_ID not in tokens and len(choices := allowed(ahead)) == 1:
        tokens += choices
        ahead.consume(choices)
    return tuple(tokens)


@pytest.mark.parametrize(("name", "grammars"), [("llguidance", COMMON | LARKS), ("xgrammar", COMMON)])
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_random_walk_finds_masks_forced_tokens_ends_forks_and_rollbacks_in_agreement(
    name: str, grammars: Any, data: Any
) -> None:
    matcher = COMPILERS[name].compile(data.draw(grammars)).matcher()
    tokens: list[int] = []
    masks = [allowed(matcher)]
    for _ in range(10):
        choices = masks[-1]
        assert choices and (END_ID in choices) == matcher.is_accepting
        assert matcher.is_over == (choices == [END_ID])
        forced = matcher.forced()
        assert forced == run_of_single_choices(matcher, len(forced) + 1)
        fork = matcher.fork()
        tokens.append(data.draw(st.sampled_from(choices)))
        matcher.consume(tokens[-1:])
        assert allowed(fork) == choices
        if tokens[-1] == END_ID:
            assert matcher.is_over and matcher.error is None and matcher.forced() == ()
            break
        masks.append(allowed(matcher))
    count = data.draw(st.integers(1, len(tokens)))
    matcher.rollback(count)
    place = len(tokens) - count
    assert allowed(matcher) == masks[place]
    matcher.consume(tokens[place:])
    assert matcher.error is None and matcher.is_over == (tokens[-1] == END_ID or masks[-1] == [END_ID])
    assert tokens[-1] == END_ID or allowed(matcher) == masks[-1]


@pytest.mark.parametrize("name", COMPILERS)
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_a_token_that_the_mask_does_not_allow_puts_a_matcher_in_error(name: str, data: Any) -> None:
    matcher = COMPILERS[name].compile(data.draw(COMMON)).matcher()
    for _ in range(data.draw(st.integers(0, 4))):
        token = data.draw(st.sampled_from(allowed(matcher)))
        if token != END_ID:
            matcher.consume([token])
    choices = allowed(matcher)
    # A byte that no prefix of a sentence can go on with, however it is spelled.
    spelled = {TOKENIZER.decode([token])[:1] for token in choices}
    if "@" in spelled or any("\ufffd" in text for text in spelled):
        return
    matcher.consume(TOKENIZER.encode("@"))
    assert matcher.error is not None and matcher.mask() is None and matcher.is_over and matcher.forced() == ()
    assert "\n" not in matcher.error and matcher.fork().error is not None


@pytest.mark.parametrize("name", COMPILERS)
def test_an_end_of_text_before_the_end_is_an_error(name: str) -> None:
    matcher = COMPILERS[name].compile(Grammar(kind="regex", source="ab")).matcher()
    matcher.consume([END_ID])
    assert matcher.error is not None and not matcher.is_accepting


def test_with_several_end_tokens_none_of_them_is_forced() -> None:
    for name in COMPILERS:
        compiler = GrammarCompiler(TOKENIZER, end_ids=(0, END_ID), backend=name)
        matcher = compiler.compile(Grammar(kind="regex", source="ab")).matcher()
        forced = matcher.forced()
        matcher.consume(forced)
        assert END_ID not in forced and matcher.forced() == () and matcher.is_over
        assert allowed(matcher) == [0, END_ID]


def tokenizer_without(characters: str) -> Any:
    """Single characters of ASCII, but for a few."""
    spelled = ["<end>", "Ġ", *(chr(code) for code in range(33, 127) if chr(code) not in characters)]
    tokenizer = Tokenizer(models.BPE(vocab={text: token for token, text in enumerate(spelled)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>")


@pytest.mark.parametrize("name", COMPILERS)
def test_a_vocabulary_that_cannot_spell_a_forced_byte_is_an_error_that_names_it(name: str) -> None:
    made = backend(name, Vocabulary(tokenizer_without("{")))
    for grammar in (Grammar(kind="json_schema", source='{"type": "object"}'), Grammar(kind="choice", source='["{a"]')):
        with pytest.raises(GrammarError, match=r"0x7b \(b'{'\), which no token"):
            made.compile(grammar)
    later = made.compile(Grammar(kind="regex", source=r"(a|b)\{c")).start
    for _ in range(2):
        words = later.mask()
        if words is None:
            break
        later.consume([int(np.flatnonzero(np.unpackbits(words.view(np.uint8), bitorder="little"))[0])])
    assert later.mask() is None and later.is_over and "0x7b" in (later.error or "")
    around = made.compile(Grammar(kind="regex", source=r"(a|\{)c")).start
    assert around.mask() is not None and around.error is None


def test_an_unknown_back_end_is_refused_by_name() -> None:
    with pytest.raises(ConfigurationError, match="'outlines'; there are: llguidance, xgrammar"):
        GrammarCompiler(TOKENIZER, backend="outlines")


def test_xgrammar_takes_no_lark_and_says_who_does() -> None:
    with pytest.raises(GrammarError, match="use the back end 'llguidance'"):
        COMPILERS["xgrammar"].compile(Grammar(kind="lark", source='start: "a"'))
