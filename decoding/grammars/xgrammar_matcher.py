"""A matcher of xgrammar, as ``decoding.grammars.matcher.Matcher`` wants it."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from decoding.grammars.mask_words import allowed_count, allowed_tokens
from decoding.grammars.vocabulary import Vocabulary

# Where a grammar forces a text without end, as many tokens of it are told.
_LONGEST_WALK = 1024


class XgrammarMatcher:
    """A place in a language that xgrammar has compiled.

    xgrammar itself never reads end-of-text tokens: it would take them back only together with what came before.
    """

    def __init__(self, matcher: Any, vocabulary: Vocabulary, *, ends: int = 0, error: str | None = None) -> None:
        """
        Args:
            matcher: an ``xgrammar.GrammarMatcher`` at any place; this object owns it.
            vocabulary: what its tokens are.
            ends: how many tokens it has read since the first end-of-text token, that one included.
            error: why it can go no further.
        """
        self._matcher = matcher
        self._vocabulary = vocabulary
        self._end_ids = vocabulary.end_ids
        self._ends = ends
        self._error = error
        self._words: np.ndarray | None = None

    def consume(self, token_ids: Sequence[int]) -> None:
        """Reads tokens. One that is not allowed puts the matcher in error, for good."""
        for token in token_ids:
            if self._error is not None:
                return
            if self._ends or (token in self._end_ids and self.is_accepting):
                self._ends += 1
            elif token in self._end_ids or not self._matcher.accept_token(token):
                name = self._vocabulary.text([token])
                self._error = f"the grammar does not allow the token {token} ({name!r}) here"
            self._words = None

    def rollback(self, count: int) -> None:
        """Forgets the last ``count`` tokens."""
        if self._error is not None:
            return
        of_ends = min(count, self._ends)
        self._ends -= of_ends
        if count > of_ends:
            self._matcher.rollback(count - of_ends)
        self._words = None

    def fork(self) -> "XgrammarMatcher":
        """Another matcher at the same place."""
        return XgrammarMatcher(self._matcher.fork(), self._vocabulary, ends=self._ends, error=self._error)

    def mask(self) -> np.ndarray | None:
        """(W,) words of 32 bits; None where the matcher is in error, or no token leads on."""
        if self._error is not None:
            return None
        if self._words is None:
            words = np.full((1, (self._vocabulary.size + 31) // 32), -1, dtype=np.int32)
            self._matcher.fill_next_token_bitmask(words)
            # xgrammar leaves the bits behind the last token as they were.
            words.view(np.uint32)[0, -1] &= 2 ** (((self._vocabulary.size - 1) % 32) + 1) - 1
            if not words.any():
                self._error = self._dead_end()
                return None
            self._words = words[0]
        return self._words

    def forced(self) -> tuple[int, ...]:
        """The next tokens as far as each is the only one allowed, a forced end of the text included."""
        tokens: list[int] = []
        ahead = self
        while not ahead._ends and len(tokens) < _LONGEST_WALK and (words := ahead.mask()) is not None:
            if allowed_count(words) != 1:
                break
            ahead = ahead.fork()
            tokens.append(int(allowed_tokens(words)[0]))
            ahead.consume(tokens[-1:])
        return tuple(tokens)

    @property
    def is_accepting(self) -> bool:
        """The text so far is a whole sentence."""
        return self._error is None and bool(self._matcher.is_completed())

    @property
    def is_over(self) -> bool:
        """Nothing but end-of-text may follow, or one has been read, or the matcher is in error."""
        if self._ends or self._error is not None:
            return True
        if not self.is_accepting:
            return False
        words = self.mask()
        return words is None or allowed_count(words) == len(self._end_ids)

    @property
    def error(self) -> str | None:
        """Why it can go no further."""
        return self._error

    def _dead_end(self) -> str:
        following = self._matcher.find_jump_forward_string()
        missing = next((byte for byte in following.encode() if byte in self._vocabulary.unspelled), None)
        if missing is not None:
            return (
                f"the grammar forces the byte {missing:#04x} ({bytes([missing])!r}), "
                "which no token of the vocabulary spells"
            )
        return "no token leads on from here"
