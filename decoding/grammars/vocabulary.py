"""The vocabulary of a tokenizer as grammars see it: what its tokens spell, and which of them are marks, not text."""

import re
from collections.abc import Collection, Sequence
from functools import cached_property
from weakref import WeakKeyDictionary

import llguidance
import llguidance.hf
from transformers import PreTrainedTokenizerBase

from envs.errors import ConfigurationError

# The others occur in no text.
_IN_UTF8 = frozenset(range(0xF5)) - {0xC0, 0xC1}


class Vocabulary:
    """Tokens as bytes. Holds no reference to the tokenizer that it was read from."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, end_ids: Collection[int] = ()) -> None:
        """
        Args:
            tokenizer: a fast tokenizer. Building its token trie takes about half a second for 50,000 tokens.
            end_ids: the tokens that end a text; empty: the tokenizer's own end-of-text token.

        Raises:
            ConfigurationError: llguidance cannot read the tokenizer.
        """
        try:
            self.trie: llguidance.LLTokenizer = llguidance.hf.from_tokenizer(
                tokenizer, eos_token=sorted(end_ids) or None
            )
        except ValueError as error:
            raise ConfigurationError(
                f"grammars need a fast tokenizer that llguidance can read, got {type(tokenizer).__name__}: {error}"
            ) from error
        self.end_ids = frozenset(end_ids) or frozenset(self.trie.eos_tokens)
        """The tokens that end a text."""
        self.size: int = self.trie.vocab_size
        """One more than the largest token id."""
        # Longest first, so that a mark that begins another does not hide it.
        added = sorted(tokenizer.get_added_vocab().items(), key=lambda item: -len(item[0]))
        self.marks = {text: token for text, token in added if self.trie.is_special_token(token)}
        """Tokens that no text spells, by their names: Qwen3's ``<think>``, end-of-text tokens. In a grammar's quoted
        text they match nothing."""

        self._mark = re.compile("|".join(map(re.escape, self.marks)) or "(?!)")

    @cached_property
    def spellings(self) -> tuple[bytes, ...]:
        """(V,) what each token spells; marks spell nothing."""
        marks = frozenset(self.marks.values()) | self.end_ids
        return tuple(
            b"" if token in marks or self.trie.is_special_token(token) else bytes(self.trie.decode_bytes([token]))
            for token in range(self.size)
        )

    @cached_property
    def unspelled(self) -> frozenset[int]:
        """The bytes that occur in no token: no text that holds one can be written."""
        spelled: set[int] = set()
        for spelling in self.spellings:
            spelled.update(spelling)
        return _IN_UTF8 - spelled

    def encode(self, text: str) -> list[int]:
        """Tokens that spell ``text``, marks as the one token that they are; not always the tokenizer's own choice."""
        return list(self.trie.tokenize_str(text, parse_special=True))

    def encode_bytes(self, text: bytes) -> list[int]:
        """As ``encode``, of text that may begin within a character."""
        return list(self.trie.tokenize_bytes(text, parse_special=True))

    def spell(self, text: str) -> list[int]:
        """Tokens that spell all of ``text``, what looks like a mark too; the longest first, as no tokenizer would."""
        return list(self.trie.greedy_tokenize(text))

    def parts(self, text: str) -> list[str | int]:
        """A fixed string cut into the marks in it, each as its token, and the text between them."""
        parts: list[str | int] = []
        place = 0
        for found in self._mark.finditer(text):
            parts += [text[place : found.start()], self.marks[found[0]]]
            place = found.end()
        return [part for part in [*parts, text[place:]] if part != ""]

    def text(self, token_ids: Sequence[int]) -> str:
        """What tokens spell, marks by their names; bytes that are no UTF-8 become U+FFFD."""
        return str(self.trie.decode_str(list(token_ids)))


def is_unicode(text: str) -> bool:
    """The text can be written: no half of a pair of surrogates stands alone in it."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


_SHARED: WeakKeyDictionary[PreTrainedTokenizerBase, dict[tuple[int, ...], Vocabulary]] = WeakKeyDictionary()


def shared_vocabulary(tokenizer: PreTrainedTokenizerBase, *, end_ids: Collection[int] = ()) -> Vocabulary:
    """The one vocabulary of this process for a tokenizer and its end-of-text tokens.

    Raises:
        ConfigurationError: llguidance cannot read the tokenizer.
    """
    # The size is part of the key: a tokenizer that has gained tokens since is another one.
    key = (len(tokenizer), *sorted(end_ids))
    vocabularies = _SHARED.setdefault(tokenizer, {})
    if key not in vocabularies:
        vocabularies[key] = Vocabulary(tokenizer, end_ids)
    return vocabularies[key]
