"""Grammars for servers whose masks are not ours: what of a grammar they can be asked for. All else is checked later."""

import json
from collections.abc import Collection
from dataclasses import replace

from transformers import PreTrainedTokenizerBase

from decoding.grammars.compiler import shared_compiler
from decoding.grammars.matcher import GrammarError
from decoding.vllm_grammar import AppliedGrammar, context_free
from envs.grammar import Grammar

_ESCAPES = {'"': r"\"", "\\": r"\\", "\n": r"\n", "\r": r"\r", "\t": r"\t"}


def gbnf_grammar(
    grammar: Grammar | None, tokenizer: PreTrainedTokenizerBase, end_ids: Collection[int]
) -> AppliedGrammar:
    """A grammar for llama.cpp: a JSON Schema as it is, an EBNF grammar as it is, a choice written as one.

    Args:
        grammar: None: nothing is asked for.
        tokenizer: the model's; what the server writes is held against the grammar with it.
        end_ids: the tokens that end a text.
    """
    if grammar is None:
        return AppliedGrammar()
    if grammar.kind not in ("json_schema", "ebnf", "choice"):
        return AppliedGrammar(
            error=f"llama.cpp's server takes JSON Schema, EBNF and choices, but no grammar of kind '{grammar.kind}'"
        )
    asked = _asked_for(grammar, "llama.cpp", tokenizer, end_ids)
    if grammar.kind == "choice" and asked.error is None:
        return replace(asked, text="root ::= " + " | ".join(map(_literal, json.loads(grammar.source))))
    return asked


def response_format_grammar(
    grammar: Grammar | None, tokenizer: PreTrainedTokenizerBase, end_ids: Collection[int]
) -> AppliedGrammar:
    """A grammar for OpenAI's ``response_format``, which knows JSON Schema alone; arguments as of ``gbnf_grammar``."""
    if grammar is None:
        return AppliedGrammar()
    if grammar.kind != "json_schema":
        return AppliedGrammar(
            error=f"OpenAI's response_format takes JSON Schema alone, no grammar of kind '{grammar.kind}'"
        )
    return _asked_for(grammar, "the server", tokenizer, end_ids)


def _asked_for(
    grammar: Grammar, who: str, tokenizer: PreTrainedTokenizerBase, end_ids: Collection[int]
) -> AppliedGrammar:
    compiler = shared_compiler(tokenizer, end_ids=end_ids)
    try:
        compiler.compile(grammar)
        judge = _any_layout(grammar) if grammar.kind == "json_schema" else grammar
        masks = context_free(judge)
        compiler.compile(masks)
    except GrammarError as error:
        return AppliedGrammar(error=str(error))
    lenient = f"{who} makes masks of its own of the {grammar.kind}, which may allow more: validated afterwards"
    return AppliedGrammar(masks=masks, judge=judge, text=grammar.source, is_ours=False, lenient=lenient)


def _any_layout(grammar: Grammar) -> Grammar:
    """A JSON Schema whose values may have any white space between their parts, as such servers let them."""
    schema = json.loads(grammar.source)
    style = {"whitespace_flexible": True, "item_separator": ",", "key_separator": ":"}
    return replace(grammar, source=json.dumps({**(schema if isinstance(schema, dict) else {}), "x-guidance": style}))


def _literal(text: str) -> str:
    """A fixed string in GBNF."""
    return '"' + "".join(_ESCAPES.get(character, _plain(character)) for character in text) + '"'


def _plain(character: str) -> str:
    return character if character.isprintable() else f"\\U{ord(character):08X}"
