"""Tagged texts: free reasoning, then a constrained answer, with tags that are text and tags that are one token."""

import json

import numpy as np
import pytest
from tiny_model import build_tiny_tokenizer
from tokenizers import AddedToken

from decoding.grammars.compiler import GrammarCompiler
from decoding.grammars.lark import lark_text
from decoding.grammars.matcher import GrammarError
from decoding.grammars.vocabulary import Vocabulary
from envs.grammar import Block, Grammar, Region

PLAIN = build_tiny_tokenizer()
MARKED = build_tiny_tokenizer()
MARKED.add_tokens([AddedToken("<think>", normalized=False), AddedToken("</think>", normalized=False)])
COMPILERS = {
    (name, kind): GrammarCompiler(tokenizer, backend=name)
    for name in ("llguidance", "xgrammar")
    for kind, tokenizer in (("text", PLAIN), ("tokens", MARKED))
}
EACH = pytest.mark.parametrize("compiler", COMPILERS.values(), ids=["-".join(key) for key in COMPILERS])

SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "integer", "not": {"const": 3}}},
    "required": ["a"],
    "additionalProperties": False,
}
JSON = Grammar(kind="json_schema", source=json.dumps(SCHEMA))
THINK = Block(opening="<think>", closing="</think>", without=("<answer>",))
ANSWER = Block(opening="<answer>", closing="</answer>", content=JSON)


def tagged(*blocks: Block | Region, separator: str = r"\s{0,4}") -> Grammar:
    regions = tuple(one if isinstance(one, Region) else Region(blocks=(one,)) for one in blocks)
    return Grammar(kind="tagged", regions=regions, separator=separator)


@EACH
def test_free_reasoning_then_a_constrained_answer(compiler: GrammarCompiler) -> None:
    grammar = compiler.compile(tagged(THINK, ANSWER))
    assert "in <answer>: #/properties/a/not" in (grammar.leniency or "")
    accepted = [
        '<think></think><answer>{"a": 1}</answer>',
        '<think>1 < 2, "x" </thin\n é</think>\n\n<answer>{"a": -12}</answer>',
    ]
    refused = [
        '<think>so</think><answer>{"a": 3}</answer>',  # the validator
        '<think>so</think><answer>{"a":1}</answer>',
        '<think>an <answer> in it</think><answer>{"a": 1}</answer>',
        '<think>so</think>     <answer>{"a": 1}</answer>',
        '<think>so</think><answer>{"a": 1}</answer>\n',
        '<think>so</think></think><answer>{"a": 1}</answer>',
        '<answer>{"a": 1}</answer>',
        "<think>so</think>",
    ]
    assert [text for text in accepted if not grammar.accepts(text)] == []
    assert [text for text in refused if grammar.accepts(text)] == []


@EACH
def test_regions_are_left_out_repeated_and_chosen_between(compiler: GrammarCompiler) -> None:
    digits = Block(opening="<q>", closing="</q>", content=Grammar(kind="regex", source="[0-9]+"))
    words = Block(opening="<r>", closing="</r>", content=Grammar(kind="choice", source='["x", "y z"]'))
    grammar = compiler.compile(
        tagged(
            Region(blocks=(Block(opening="<n>", closing="</n>"),), is_optional=True),
            Region(blocks=(digits, words), may_repeat=True),
            Region(blocks=(Block(opening="END"),), is_optional=True),
            separator=" ?",
        )
    )
    accepted = [
        "<q>1</q>",
        "<n>a</n> <q>1</q>",
        "<n></n><r>y z</r> <q>12</q><r>x</r>",
        "<q>1</q>END",
        "<q>1</q> END <q>",
    ]
    refused = ["<n>a</n>", "<q></q>", "<q>1</q>  <r>x</r>", " <q>1</q>", "<q>1</q><n></n>", "<r>y</r>", "<q>1</q> ", ""]
    assert [text for text in accepted if not grammar.accepts(text)] == []
    assert [text for text in refused if grammar.accepts(text)] == []


def test_a_first_region_that_is_left_out_leaves_no_separator() -> None:
    optional = Region(blocks=(Block(opening="<n>", closing="</n>"),), is_optional=True)
    for compiler in COMPILERS.values():
        grammar = compiler.compile(tagged(optional, optional, ANSWER, separator=" "))
        assert grammar.accepts('<answer>{"a": 1}</answer>') and grammar.accepts('<n>x</n> <answer>{"a": 1}</answer>')
        assert not grammar.accepts(' <answer>{"a": 1}</answer>')


def test_a_tag_that_is_one_token_is_written_as_this_token_and_never_in_free_text() -> None:
    open_id, close_id = MARKED.convert_tokens_to_ids(["<think>", "</think>"])
    for name in ("llguidance", "xgrammar"):
        matcher = COMPILERS[name, "tokens"].compile(tagged(THINK, ANSWER)).matcher()
        assert matcher.forced() == (open_id,)
        matcher.consume([open_id, *MARKED.encode("so")])
        words = matcher.mask()
        assert words is not None
        allowed = np.unpackbits(words.view(np.uint8), bitorder="little")
        assert allowed[close_id] and not allowed[open_id]
        spelled = matcher.fork()
        spelled.consume(PLAIN.encode("</think>"))
        assert spelled.error is not None


def test_lark_sends_such_a_token_by_its_number_and_text_in_quotes() -> None:
    with_tokens = lark_text(tagged(THINK, ANSWER), Vocabulary(MARKED))
    assert f"<[{MARKED.convert_tokens_to_ids('<think>')}]>" in with_tokens and '"<answer>"' in with_tokens
    assert '"<think>"' in lark_text(tagged(THINK, ANSWER), Vocabulary(PLAIN))


def test_text_before_a_token_that_closes_belongs_to_the_closing() -> None:
    grammar = tagged(Block(opening="<think>\n", closing="\n</think>"), ANSWER)
    compiled = COMPILERS["llguidance", "tokens"].compile(grammar)
    assert compiled.accepts('<think>\na\nb\n</think><answer>{"a": 1}</answer>')
    assert not compiled.accepts('<think>\na\nb</think><answer>{"a": 1}</answer>')
    with pytest.raises(GrammarError, match="use the back end 'llguidance'"):
        COMPILERS["xgrammar", "tokens"].compile(grammar)


def test_every_kind_of_content_nests() -> None:
    contents = [
        (Grammar(kind="lark", source='start: "a" b\nb: "}" | C\nC: /c+/'), ["a}", "acc"], ["a", "b"]),
        (Grammar(kind="ebnf", source='root ::= "x" num\nnum ::= [0-9]+'), ["x12"], ["x"]),
        (Grammar(kind="regex", source="a/b\n?"), ["a/b", "a/b\n"], ["ab"]),
        (Grammar(kind="choice", source='["a\\n\\"/", "é"]'), ['a\n"/', "é"], ["a"]),
        (
            tagged(Block(opening="<i>", closing="</i>"), Block(content=JSON)),
            ['<i>x</i> {"a": 1}'],
            ['<i>x</i> {"a": 3}'],
        ),
    ]
    for content, accepted, refused in contents:
        grammar = COMPILERS["llguidance", "text"].compile(tagged(Block(opening="[", closing="]", content=content)))
        assert all(grammar.accepts(f"[{text}]") for text in accepted)
        assert not any(grammar.accepts(f"[{text}]") for text in refused)
        alone = COMPILERS["llguidance", "text"].compile(content)
        assert all(alone.accepts(text) for text in accepted) and not any(alone.accepts(text) for text in refused)


@pytest.mark.parametrize(
    ("grammar", "reason"),
    [
        (tagged(), "at least one region"),
        (tagged(Block(opening="<a>"), ANSWER), "needs a closing string"),
        (tagged(Region(blocks=(Block(opening="<a>"),), may_repeat=True)), "needs a closing string"),
        (tagged(Block(opening="<a>", closing="</a>", content=Grammar(kind="regex", source="(a"))), "unclosed group"),
        (tagged(Block(opening="<a>", closing="</a>", content=Grammar(kind="json_schema", source="{"))), "no JSON"),
        (Grammar(kind="choice", source='["a", 1]'), "list of strings"),
        (Grammar(kind="choice", source="[]"), "accepts no text"),
        (Grammar(kind="ebnf", source='root ::= "x" nowhere'), "nowhere"),
        (Grammar(kind="choice", source='["\\ud800"]'), "surrogate"),
        (Grammar(kind="regex", source="\ud800"), "surrogate"),
        (Grammar(kind="lark", source='start: "\ud800"'), "surrogate"),
        (Grammar(kind="ebnf", source='root ::= "\ud800"'), "surrogate"),
        (tagged(Block(opening="\ud800", closing="x")), "surrogate"),
        (Grammar(kind="ebnf", source="root ::= ("), "dialect of llama.cpp"),
        (Grammar(kind="lark", source='start: "a" start'), "forced and comes to no end"),
        (Grammar(kind="lark", source='start: "a" X\nX: /b/ & /c/'), "accepts no text: after 'a'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_grammar_is_an_error_of_one_line(grammar: Grammar, reason: str) -> None:
    with pytest.raises(GrammarError) as caught:
        COMPILERS["llguidance", "text"].compile(grammar)
    assert reason in str(caught.value) and "\n" not in str(caught.value)


def test_an_error_of_a_schema_names_its_block() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer", "minimum": 5, "maximum": 1}}, "required": ["a"]}
    content = Grammar(kind="json_schema", source=json.dumps(schema))
    with pytest.raises(GrammarError, match="in <a>: #.*accepts no text"):
        COMPILERS["llguidance", "text"].compile(tagged(Block(opening="<a>", closing="</a>", content=content)))


@pytest.mark.parametrize("tokenizer", [PLAIN, MARKED], ids=["text", "tokens"])
def test_a_listed_answer_may_begin_like_another_and_like_its_closing(tokenizer: object) -> None:
    choices = ["1", "1<2", "</", "", "x </answer> y", "x"]
    content = Grammar(kind="choice", source=json.dumps(choices))
    answer = Block(opening="<answer>", closing="</answer>", content=content)
    for blocks in ((answer,), (THINK, answer)):
        compiled = GrammarCompiler(tokenizer).compile(tagged(*blocks))
        begun = "<think>a</think>" if len(blocks) > 1 else ""
        assert [choice for choice in choices if not compiled.accepts(f"{begun}<answer>{choice}</answer>")] == []
        assert not compiled.accepts(f"{begun}<answer>1<</answer>")
    pattern = Block(opening="<a>", closing="</a>", content=Grammar(kind="regex", source="[0-9<>]+"))
    assert COMPILERS["llguidance", "text"].compile(tagged(pattern, THINK)).accepts("<a>1<2</a><think></think>")


@EACH
def test_choices_are_many_odd_and_alike(compiler: GrammarCompiler) -> None:
    choices = [*(f"value {number} xyz" for number in range(2500)), "\U0001f600", "a\x7fb", "\b\f", 'q"', "a/b\\", ""]
    compiled = compiler.compile(Grammar(kind="choice", source=json.dumps(choices)))
    assert all(compiled.accepts(choice) for choice in [*choices[:3], *choices[-7:]])
    assert not compiled.accepts("value 2500 xyz") and not compiled.accepts("value 1")
