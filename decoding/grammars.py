"""Compiles grammars with llguidance for one tokenizer.

Only the strict compiler is used: a schema keyword that it cannot enforce is an error, never silently dropped.
"""

import json
from collections import OrderedDict
from typing import Any

import llguidance
import llguidance.hf
from transformers import PreTrainedTokenizerBase

from envs.grammar import Grammar

# Objects are written as json.dumps writes them; free white space would let a model spend its budget on blanks.
JSON_STYLE = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}


class GrammarError(ValueError):
    """The grammar cannot be compiled; carries llguidance's reason."""


class GrammarCompiler:
    """Turns grammars into token matchers; compiled forms are cached by content, the least recently used leave."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, *, vocabulary_size: int, capacity: int = 256) -> None:
        """
        Args:
            tokenizer: a fast tokenizer.
            vocabulary_size: width of the model's logits, which may exceed the tokenizer's own vocabulary.
            capacity: number of compiled grammars that are kept.
        """
        # eos_token is the tokenizer's own: matchers allow it exactly where the text so far is a whole sentence.
        self._tokenizer = llguidance.hf.from_tokenizer(tokenizer, n_vocab=vocabulary_size)
        self._capacity = capacity
        self._matchers: OrderedDict[Grammar, Any] = OrderedDict()
        self.vocabulary_size = vocabulary_size

    def matcher(self, grammar: Grammar) -> llguidance.LLMatcher:
        """A fresh matcher at the start of ``grammar``.

        Raises:
            GrammarError: llguidance cannot compile it.
        """
        if grammar not in self._matchers:
            self._matchers[grammar] = self._compile(grammar)
            if len(self._matchers) > self._capacity:
                self._matchers.popitem(last=False)
        self._matchers.move_to_end(grammar)
        return self._matchers[grammar].deep_copy()

    def _compile(self, grammar: Grammar) -> llguidance.LLMatcher:
        try:
            if grammar.kind == "json_schema":
                source = llguidance.LLMatcher.grammar_from_json_schema(json.loads(grammar.source), JSON_STYLE)
            else:
                source = llguidance.grammar_from(grammar.kind, grammar.source)
        except ValueError as error:
            raise GrammarError(str(error)) from error
        matcher = llguidance.LLMatcher(self._tokenizer, source)
        if matcher.is_error():
            raise GrammarError(matcher.get_error())
        return matcher
