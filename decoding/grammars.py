"""Compiles grammars with llguidance for one tokenizer.

Only the strict compiler is used: a schema keyword that it cannot enforce is an error, never silently dropped. Masks are
narrower than the grammar in one way: where it forces the next bytes, they allow the one token that the tokenizer itself
would write there, and not its other spellings.
"""

from collections import OrderedDict
from collections.abc import Collection
from weakref import WeakKeyDictionary

import llguidance
import llguidance.hf
from transformers import PreTrainedTokenizerBase

from envs.errors import ConfigurationError
from envs.grammar import JSON_STYLE, Grammar


class GrammarError(ValueError):
    """The grammar cannot be compiled; carries llguidance's reason."""


class GrammarCompiler:
    """Turns grammars into token matchers; compiled forms are cached by content, the least recently used leave."""

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, *, end_ids: Collection[int] = (), capacity: int = 256
    ) -> None:
        """
        Args:
            tokenizer: a fast tokenizer. Building its token trie takes about half a second for 50,000 tokens:
                ``shared_compiler`` does it once.
            end_ids: the tokens that end a text; matchers allow them exactly where the text so far is a whole sentence.
                Empty: the tokenizer's own end-of-text token.
            capacity: number of compiled grammars that are kept.

        Raises:
            ConfigurationError: llguidance cannot read the tokenizer.
        """
        try:
            self._tokenizer = llguidance.hf.from_tokenizer(tokenizer, eos_token=sorted(end_ids) or None)
        except ValueError as error:
            raise ConfigurationError(
                f"grammars need a fast tokenizer that llguidance can read, got {type(tokenizer).__name__}: {error}"
            ) from error
        self._capacity = capacity
        self._compiled: OrderedDict[Grammar, llguidance.LLMatcher] = OrderedDict()

    def matcher(self, grammar: Grammar) -> llguidance.LLMatcher:
        """A fresh matcher at the start of ``grammar``.

        Raises:
            GrammarError: llguidance cannot compile it.
        """
        if grammar not in self._compiled:
            self._compiled[grammar] = self._compile(grammar)
            if len(self._compiled) > self._capacity:
                self._compiled.popitem(last=False)
        self._compiled.move_to_end(grammar)
        compiled = self._compiled[grammar]
        if error := matcher_error(compiled):
            raise GrammarError(error)
        return compiled.deep_copy()

    def _compile(self, grammar: Grammar) -> llguidance.LLMatcher:
        """A matcher that may be in error: errors are cached too, for the n samples of a request meet them n times."""
        try:
            if grammar.kind == "json_schema":
                source = llguidance.LLMatcher.grammar_from_json_schema(grammar.source, JSON_STYLE)
            else:
                source = llguidance.grammar_from(grammar.kind, grammar.source)
        except ValueError as error:
            raise GrammarError(str(error)) from error
        return llguidance.LLMatcher(self._tokenizer, source, log_level=0)


_SHARED: WeakKeyDictionary[PreTrainedTokenizerBase, dict[tuple[int, ...], GrammarCompiler]] = WeakKeyDictionary()


def shared_compiler(tokenizer: PreTrainedTokenizerBase, *, end_ids: Collection[int]) -> GrammarCompiler:
    """The one compiler of this process for a tokenizer and its end-of-text tokens, with all that it has compiled.

    Raises:
        ConfigurationError: llguidance cannot read the tokenizer.
    """
    # The size is part of the key: a tokenizer that has gained tokens since is another one.
    key = (len(tokenizer), *sorted(end_ids))
    compilers = _SHARED.setdefault(tokenizer, {})
    if key not in compilers:
        compilers[key] = GrammarCompiler(tokenizer, end_ids=end_ids)
    return compilers[key]


def matcher_error(matcher: llguidance.LLMatcher) -> str | None:
    """Why a matcher can go no further, on one line and without its dump of the parser's state; None: it can."""
    if not matcher.is_error():
        return None
    return " ".join(matcher.get_error().partition("<state>")[0].split())
