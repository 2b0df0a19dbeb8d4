"""Matchers of a grammar that is narrowed further by what it says of its own text (``envs.grammar.Narrowing``)."""

import re
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from weakref import WeakKeyDictionary

import numpy as np
from transformers import PreTrainedTokenizerBase

from decoding.grammars.mask_words import allowed_tokens
from decoding.grammars.matcher import Matcher
from decoding.grammars.narrowed_tags import narrowed_text
from decoding.grammars.vocabulary import Vocabulary, shared_vocabulary
from envs.grammar import Grammar, NarrowedText, Words

# A set of tokens takes an eighth of a byte for each token of the vocabulary.
_KEPT_SETS = 2048
_WORD = re.compile(rb"[A-Za-z_][A-Za-z0-9_]*")


class Spellings:
    """What the tokens of a vocabulary spell: which of them a pattern matches, and which begin one of some words."""

    def __init__(self, vocabulary: Vocabulary, width: int) -> None:
        """
        Args:
            vocabulary: of the tokenizer.
            width: how many words of 32 bits the masks have.
        """
        marks = {token: name.encode() for name, token in vocabulary.marks.items()}
        self.texts = [text or marks.get(token, b"") for token, text in enumerate(vocabulary.spellings)]
        self.end_ids = vocabulary.end_ids
        self._width = width
        self._sets: OrderedDict[Hashable, np.ndarray] = OrderedDict()
        self._tokens: tuple[dict[bytes, list[int]], dict[bytes, list[int]]] = ({}, {})
        for token, text in enumerate(self.texts):
            is_spaced = text[:1] == b" "
            if _WORD.fullmatch(text, is_spaced):
                self._tokens[is_spaced].setdefault(text[is_spaced:].lower(), []).append(token)
        self.words = [self._packed(token for tokens in each.values() for token in tokens) for each in self._tokens]
        """(W,) the tokens that spell a word, and those that spell a space and a word."""

    def _packed(self, tokens: Iterable[int]) -> np.ndarray:
        bits = np.zeros(self._width * 32, dtype=bool)
        bits[np.fromiter(tokens, dtype=np.int64)] = True
        return np.packbits(bits, bitorder="little").view(np.int32)

    def matched(self, pattern: re.Pattern[bytes]) -> np.ndarray:
        """(W,) the tokens that spell something which ``pattern`` matches in full."""
        match = pattern.fullmatch
        return self._kept(
            pattern,
            lambda: (
                token
                for token, text in enumerate(self.texts)
                if text and token not in self.end_ids and match(text) is not None
            ),
        )

    def among(self, words: Words, is_spaced: bool) -> np.ndarray:
        """(W,) the tokens that spell one of ``words``, or the beginning of a listed one, perhaps after a space."""
        tokens = self._tokens[is_spaced]
        listed = self._kept((words.listed, is_spaced), lambda: self._beginning(words.listed, tokens))
        pattern = words.pattern
        if pattern is None:
            return listed
        free = self._kept(
            (pattern, is_spaced), lambda: (each for word in tokens if pattern.fullmatch(word) for each in tokens[word])
        )
        if words.refused:
            key = (words.refused, is_spaced)
            free = free & ~self._kept(key, lambda: (each for word in words.refused for each in tokens.get(word, ())))
        for barred in words.barred:
            free = free & ~self._kept((barred, is_spaced), partial(_beginning_with, barred, tokens))
        return listed | free

    def _beginning(self, listed: Sequence[bytes], tokens: Mapping[bytes, Sequence[int]]) -> Iterator[int]:
        for beginning in {word[:length] for word in listed for length in range(1, len(word) + 1)}:
            yield from tokens.get(beginning, ())

    def _kept(self, key: Hashable, tokens: Callable[[], Iterable[int]]) -> np.ndarray:
        found = self._sets.get(key)
        if found is None:
            found = self._sets[key] = self._packed(tokens())
            if len(self._sets) > _KEPT_SETS:
                self._sets.popitem(last=False)
        return found


def _beginning_with(beginning: bytes, tokens: Mapping[bytes, Sequence[int]]) -> Iterator[int]:
    return (each for word in tokens if word.startswith(beginning) for each in tokens[word])


class NarrowedMatcher:
    """A place in a narrowed language: the matcher of its grammar, and the text that the tokens have spelled."""

    def __init__(
        self, inner: Matcher, texts: list[NarrowedText], spellings: Spellings, refused: str | None = None
    ) -> None:
        """
        Args:
            inner: at any place; this object owns it.
            texts: the text after each of the tokens that can be taken back, the last one last.
            spellings: of the vocabulary.
            refused: why it is in error, where the narrowing has put it there.
        """
        self._inner = inner
        self._texts = texts
        self._spellings = spellings
        self._refused = refused

    def consume(self, token_ids: Sequence[int]) -> None:
        """Reads tokens. One that is not allowed puts the matcher in error."""
        self._inner.consume(token_ids)
        for token in token_ids:
            text = self._texts[-1]
            spelled = b"" if token in self._spellings.end_ids else self._spellings.texts[token]
            if not spelled:
                if self._refused is None and not text.allowed([b""])[0]:
                    self._refused = "the text may not end here"
            elif self._refused is None and self._inner.error is None:
                text = text.copy()
                try:
                    text.advance(spelled)
                except ValueError as error:
                    self._refused = str(error)
            self._texts.append(text)

    def rollback(self, count: int) -> None:
        """Forgets the last ``count`` tokens."""
        if count:
            self._inner.rollback(count)
            del self._texts[-count:]

    def fork(self) -> "NarrowedMatcher":
        """Another matcher at the same place."""
        return NarrowedMatcher(self._inner.fork(), list(self._texts), self._spellings, self._refused)

    def mask(self) -> np.ndarray | None:
        """(W,) words of 32 bits; None where the matcher is in error."""
        if self.error is not None:
            return None
        words = self._inner.mask()
        if words is None:
            return None
        permitted = words & self._permitted(words)
        if not permitted.any():
            self._refused = "no token is allowed by both the grammar and what narrows it"
            return None
        return permitted

    def _permitted(self, words: np.ndarray) -> np.ndarray:
        """The tokens of a mask that the narrowing lets pass."""
        text = self._texts[-1]
        spellings = self._spellings
        expected = text.expected()
        passed = np.zeros_like(words)
        open_words = words
        if expected.pattern is not None:
            passed = words & spellings.matched(expected.pattern)
            open_words = words & ~passed
        for is_spaced, listed in enumerate((expected.words, expected.spaced_words)):
            if listed is not None:
                passed = passed | (open_words & spellings.among(listed, bool(is_spaced)))
                open_words = open_words & ~spellings.words[is_spaced]
        tokens = allowed_tokens(open_words).tolist()
        if tokens:
            spelled = self._spellings.texts
            ends = spellings.end_ids
            permitted = text.allowed([b"" if token in ends else spelled[token] for token in tokens])
            bits = np.zeros(len(words) * 32, dtype=bool)
            bits[[token for token, is_permitted in zip(tokens, permitted, strict=True) if is_permitted]] = True
            passed = passed | np.packbits(bits, bitorder="little").view(np.int32)
        return passed

    def forced(self) -> tuple[int, ...]:
        """The next tokens as far as the grammar alone forces them; what only the narrowing forces is not looked for."""
        return () if self.error is not None else self._inner.forced()

    def ending(self) -> bytes | None:
        """A short text that makes the text whole, or ends its block, as the narrowing knows it; None: it knows none."""
        return None if self.error is not None else self._texts[-1].ending()

    @property
    def is_accepting(self) -> bool:
        """The text so far is a whole sentence."""
        return self.error is None and self._inner.is_accepting and self._texts[-1].allowed([b""])[0]

    @property
    def is_over(self) -> bool:
        """Nothing but an end-of-text token may follow, or one has been read, or the matcher is in error."""
        return self._refused is not None or self._inner.is_over

    @property
    def error(self) -> str | None:
        """Why it can go no further."""
        return self._inner.error if self._refused is None else self._refused


_SPELLINGS: WeakKeyDictionary[Vocabulary, dict[int, Spellings]] = WeakKeyDictionary()


def narrow(start: Matcher, grammar: Grammar, tokenizer: PreTrainedTokenizerBase, end_ids: frozenset[int]) -> Matcher:
    """A matcher at the start of ``grammar``, narrowed; ``start`` itself where nothing of it has a narrowing.

    Args:
        start: a matcher at the start of the grammar without its narrowing.
        grammar: whose narrowing is applied, those within its blocks too.
        tokenizer: whose tokens the matcher reads.
        end_ids: its end-of-text tokens.
    """
    text = narrowed_text(grammar)
    if text is None:
        return start
    vocabulary = shared_vocabulary(tokenizer, end_ids=end_ids)
    first = start.mask()
    if first is None:
        return start
    spellings = _SPELLINGS.setdefault(vocabulary, {})
    if len(first) not in spellings:
        spellings[len(first)] = Spellings(vocabulary, len(first))
    return NarrowedMatcher(start, [text], spellings[len(first)])
