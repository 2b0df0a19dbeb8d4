"""A matcher of llguidance, as ``decoding.grammars.matcher.Matcher`` wants it."""

from collections.abc import Sequence

import llguidance
import numpy as np

from decoding.grammars.mask_words import allowed_tokens
from decoding.grammars.matcher import GrammarError
from decoding.grammars.vocabulary import Vocabulary

# Where a grammar forces a text without end, as many tokens of it are told.
_LONGEST_WALK = 1024
_LIMIT = "Too many items"


class LlguidanceMatcher:
    """A place in a language that llguidance has compiled."""

    def __init__(self, matcher: llguidance.LLMatcher, vocabulary: Vocabulary, *, ends: int = 0) -> None:
        """
        Args:
            matcher: at any place; this object owns it.
            vocabulary: what its tokens are.
            ends: how many tokens it has read since the first end-of-text token, that one included.
        """
        self._matcher = matcher
        self._vocabulary = vocabulary
        self._end_ids = vocabulary.end_ids
        self._ends = ends
        self._cannot_spell: str | None = None

    def consume(self, token_ids: Sequence[int]) -> None:
        """Reads tokens. One that is not allowed puts the matcher in error, for good."""
        token_ids = list(token_ids)
        if self._ends:
            self._ends += len(token_ids)
            return
        first_end = next((place for place, token in enumerate(token_ids) if token in self._end_ids), len(token_ids))
        if first_end:
            self._matcher.consume_tokens(token_ids[:first_end])
        if first_end == len(token_ids):
            return
        # llguidance refuses an end-of-text token where nothing else could follow.
        if self._matcher.is_accepting():
            self._ends = len(token_ids) - first_end
        else:
            self._matcher.consume_tokens(token_ids[first_end : first_end + 1])

    def rollback(self, count: int) -> None:
        """Forgets the last ``count`` tokens."""
        of_ends = min(count, self._ends)
        self._ends -= of_ends
        if count > of_ends:
            self._matcher.rollback(count - of_ends)

    def fork(self) -> "LlguidanceMatcher":
        """Another matcher at the same place."""
        return LlguidanceMatcher(self._matcher.deep_copy(), self._vocabulary, ends=self._ends)

    def mask(self) -> np.ndarray | None:
        """(W,) words of 32 bits; None where the matcher is in error, or came into it by computing them."""
        if self.error is not None:
            return None
        if self._vocabulary.unspelled and not self._ends:
            # llguidance would look behind the byte for what comes next.
            self._cannot_spell = self._unspelled_byte()
            if self._cannot_spell is not None:
                return None
        words = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.int32)
        # Computing the mask is what runs into llguidance's limits, and it then allows end-of-text alone.
        return None if self._matcher.is_error() else words

    def forced(self) -> tuple[int, ...]:
        """The next tokens as far as each is the only one allowed, a forced end of the text included."""
        if self._ends or self.error is not None:
            return ()
        # On a copy: a text that is forced without end puts the matcher in error.
        ahead = self._matcher.deep_copy()
        tokens = list(ahead.compute_ff_tokens())
        if ahead.is_error():
            return self._walked()
        if tokens:
            ahead.consume_tokens(tokens)
        if len(self._end_ids) == 1 and ahead.is_stopped() and not ahead.is_error():
            tokens += self._end_ids
        return tuple(tokens)

    def _walked(self) -> tuple[int, ...]:
        ahead = LlguidanceMatcher(self._matcher.deep_copy(), self._vocabulary)
        tokens: list[int] = []
        while len(tokens) < _LONGEST_WALK and (words := ahead.mask()) is not None:
            allowed = allowed_tokens(words)
            if len(allowed) != 1:
                break
            tokens.append(int(allowed[0]))
            ahead.consume(tokens[-1:])
            if tokens[-1] in self._end_ids:
                break
        return tuple(tokens)

    @property
    def is_accepting(self) -> bool:
        """The text so far is a whole sentence."""
        return bool(self._matcher.is_accepting())

    @property
    def is_over(self) -> bool:
        """Nothing but end-of-text may follow, or one has been read, or the matcher is in error."""
        return self._ends > 0 or self._cannot_spell is not None or bool(self._matcher.is_stopped())

    @property
    def error(self) -> str | None:
        """Why it can go no further, without llguidance's dump of the parser's state."""
        if self._cannot_spell is not None or not self._matcher.is_error():
            return self._cannot_spell
        return " ".join(self._matcher.get_error().partition("<state>")[0].split())

    def _unspelled_byte(self) -> str | None:
        """What no token can spell of the bytes that are forced here."""
        forced = self._matcher.deep_copy().compute_ff_bytes()
        found = next((byte for byte in forced if byte in self._vocabulary.unspelled), None)
        if found is None:
            return None
        return f"the grammar forces the byte {found:#04x} ({bytes([found])!r}), which no token of the vocabulary spells"

    def captures(self) -> list[tuple[str, bytes]]:
        """What was written for the rules that the Lark text captures."""
        return list(self._matcher.get_captures())

    def require_beginning(self) -> None:
        """Looks as far as there is no choice.

        Raises:
            GrammarError: no text begins here, or what is forced leads nowhere or comes to no end.
        """
        ahead = self.fork()
        if ahead.mask() is None:
            raise GrammarError(f"accepts no text: {ahead.error}")
        forced = self._matcher.deep_copy().compute_ff_tokens()
        ahead.consume(forced)
        if ahead.mask() is not None:
            return
        beginning, error = self._vocabulary.text(forced[:32]), ahead.error or ""
        if _LIMIT in error:
            raise GrammarError(
                f"accepts no text within llguidance's limits: what begins with {beginning!r} is forced and comes to no "
                f"end ({error})"
            )
        raise GrammarError(f"accepts no text: after {beginning!r}: {error}")
