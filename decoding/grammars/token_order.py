"""Which tokens a search for the end of a text tries first.

Not covered: what the tokens mean in a language. The order knows characters alone: brackets and quotes close, digits are
the shortest values, what opens comes last.
"""

from collections.abc import Iterable
from weakref import WeakKeyDictionary

import numpy as np

from decoding.grammars.vocabulary import Vocabulary

BRACKET, DIGIT, CONSTANT, BLANK, WORD, PUNCTUATION, LETTER, QUOTE, OPENING = range(9)
STRING_END = -1
"""Classes of tokens, best first; a quote in a string is a class of its own, a mark counts as a bracket."""

_CLOSERS = frozenset(b"}])")
_QUOTES = frozenset(b"\"'")
_OPENERS = frozenset(b"{[(\\`")
_PAIRS = frozenset((b'""', b"''"))
_CONSTANTS = frozenset((b"null", b"true", b"false"))
_MOST_CLOSING = 4
# Masks wider than this share of the vocabulary are the inside of a string or free text.
_WIDE = 0.3


class TokenOrder:
    """The tokens of one vocabulary, by class and length."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        marks = frozenset(vocabulary.marks.values()) - vocabulary.end_ids
        spellings = vocabulary.spellings
        self.size = len(spellings)
        self._spellings = spellings
        self._words: tuple[frozenset[str], np.ndarray] | None = None
        classes = [BRACKET if token in marks else _class(spelling) for token, spelling in enumerate(spellings)]
        self._class = np.array(classes, dtype=np.int64)
        self._length = np.array([len(spelling) for spelling in spellings])
        # Marks are letters of their own here.
        self._first = np.array([spelling[0] if spelling else 256 for spelling in spellings])
        marked = np.isin(np.arange(self.size), list(marks))
        self._usable = (self._length > 0) | marked
        constants = np.array([text in _CONSTANTS for text in spellings])
        brackets = np.flatnonzero(self._usable & ((self._class == BRACKET) | constants))
        # A token that closes several things at once saves tokens.
        self._brackets = brackets[np.lexsort((-self._length[brackets], self._class[brackets]))]
        quotes = np.flatnonzero(self._class == QUOTE)
        self._closing_quotes = quotes[np.lexsort((-self._length[quotes], self._first[quotes]))]
        is_pair = np.array([spelling in _PAIRS for spelling in spellings])[quotes]
        self._opening_quotes = quotes[np.lexsort((self._length[quotes], ~is_pair))]
        single = np.flatnonzero(self._length == 1)
        # A space before the other blanks.
        self._single = single[np.argsort(self._first[single] != ord(" "), kind="stable")]

    def is_wide(self, allowed: np.ndarray) -> bool:
        """The place is in a string or in free text, to judge by its (V,) allowed tokens."""
        return int(np.count_nonzero(allowed)) > _WIDE * self.size

    def words(self, words: Iterable[str]) -> np.ndarray:
        """The tokens that spell one of ``words``, in lower case, with or without white space and in whatever case."""
        key = frozenset(words)
        kept = self._words
        if kept is None or kept[0] != key:
            spelled = {word.encode() for word in key}
            found = [token for token, text in enumerate(self._spellings) if text.strip().lower() in spelled]
            # In one step, for several threads ask.
            kept = self._words = (key, np.array(found, dtype=np.int64))
        return kept[1]

    def candidates(self, allowed: np.ndarray, words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(C,) tokens to try, best first, and their (C,) classes: those that close, the shortest of each first byte.

        Args:
            allowed: (V,) booleans.
            words: tokens that are tried as words of the language, outside of strings.
        """
        is_wide = self.is_wide(allowed)
        words = words[:0] if is_wide else words[allowed[words]]
        tokens = np.concatenate([words, self._closers(allowed), self._shortest(allowed)])
        tokens = tokens[np.sort(np.unique(tokens, return_index=True)[1])]
        kinds = self._class[tokens]
        kinds[np.isin(tokens, words)] = WORD
        if is_wide:
            kinds[kinds == QUOTE] = STRING_END
        order = np.argsort(kinds, kind="stable")
        return tokens[order], kinds[order]

    def longest(self, allowed: np.ndarray) -> int | None:
        """The longest word, which may get over several places that look like each other."""
        token = int(np.argmax(np.where(allowed & (self._class == LETTER), self._length, 0)))
        return token if allowed[token] else None

    def _closers(self, allowed: np.ndarray) -> np.ndarray:
        # Where little is allowed, no string is open that a quote could close.
        quotes = self._closing_quotes if self.is_wide(allowed) else self._opening_quotes
        brackets, quotes = self._brackets[allowed[self._brackets]], quotes[allowed[quotes]]
        return np.concatenate([brackets[:_MOST_CLOSING], quotes[:_MOST_CLOSING]])

    def _shortest(self, allowed: np.ndarray) -> np.ndarray:
        """The shortest allowed token of each first byte."""
        single = self._single[allowed[self._single]]
        is_covered = np.zeros(257, dtype=bool)
        is_covered[self._first[single]] = True
        others = np.flatnonzero(allowed & self._usable & ~is_covered[self._first])
        if not len(others):
            return single
        others = others[np.lexsort((self._length[others], self._first[others]))]
        _, places = np.unique(self._first[others], return_index=True)
        return np.concatenate([single, others[places]])


def _class(spelling: bytes) -> int:
    if spelling in _CONSTANTS:
        return CONSTANT
    if spelling.isdigit():
        return DIGIT
    if spelling and _CLOSERS.issuperset(spelling):
        return BRACKET
    if spelling and spelling[0] in _QUOTES and (_CLOSERS | _QUOTES).issuperset(spelling):
        return QUOTE
    if not spelling or not _OPENERS.isdisjoint(spelling):
        return OPENING
    if spelling.isspace():
        return BLANK
    return LETTER if any(byte >= 128 or chr(byte).isalnum() for byte in spelling) else PUNCTUATION


_SHARED: WeakKeyDictionary[Vocabulary, TokenOrder] = WeakKeyDictionary()


def shared_token_order(vocabulary: Vocabulary) -> TokenOrder:
    """The one order of this process for a vocabulary."""
    if vocabulary not in _SHARED:
        _SHARED[vocabulary] = TokenOrder(vocabulary)
    return _SHARED[vocabulary]
