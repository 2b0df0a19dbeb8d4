"""Says when a turn ends: its end-of-text tokens, its stop strings, its budget.

Stop strings are looked for in text, because a tokenizer may merge their first or last character with what stands
beside them. Special tokens are no part of the text, as in a transcript. Not covered: decoders that put spaces of their
own between words (WordPiece), and stops within bytes that make no text.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence

from transformers import PreTrainedTokenizerBase

from decoding.engine import FinishReason
from decoding.row import Row

UNDECODED = "\N{REPLACEMENT CHARACTER}"
# A window of text begins this many tokens with text early: decoders drop the space before a first word, and a character
# may have begun in the turn before.
MARGIN = 4


class TurnEnds:
    """Decides after every token whether it was the last of its turn. Cheap: most tokens are not decoded."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, end_ids: Collection[int]) -> None:
        """
        Args:
            tokenizer: turns ids into text.
            end_ids: the tokens that end a text.
        """
        self._tokenizer = tokenizer
        self._end_ids = frozenset(end_ids)
        # By the last characters of stops: whether a token, as far as it was met, may write one of them.
        self._may_complete: defaultdict[frozenset[str], dict[int, bool]] = defaultdict(dict)
        self._whole: dict[int, bool] = {}
        self._silent: dict[int, bool] = {}

    def finish(self, row: Row) -> FinishReason | None:
        """Why the turn of ``row`` is over; None: it goes on."""
        if row.ids[-1] in self._end_ids:
            return "eos"
        if row.request.stops and self._completes_stop(row):
            return "stop"
        return "length" if row.is_at_limit else None

    def _completes_stop(self, row: Row) -> bool:
        stops = row.request.stops
        if not self._may_write_one_of(row.ids[-1], frozenset(stop[-1] for stop in stops)):
            return False
        # A stop is at most as many tokens with text as it has bytes, so the tail of the text is enough to look at.
        longest = max(len(stop.encode(errors="surrogatepass")) for stop in stops)
        start = max(
            self._before(row.ids, row.stops_start, MARGIN), self._before(row.ids, len(row.ids), longest + MARGIN)
        )
        # From within a character, decoders of bytes show nothing of what follows, up to the next piece that is none.
        while start > 0 and not self._is_whole(row.ids[start]):
            start -= 1
        text = self._decode(row.ids[start:])
        begin = self._characters_before(row, start, row.stops_start, whole=False)
        # Where the turn goes on after a pause, a stop may have begun before it; one that was completed there is over.
        known = self._characters_before(row, start, row.turn_start, whole=True)
        return any(text.find(stop, max(begin, known + 1 - len(stop))) >= 0 for stop in stops)

    def _may_write_one_of(self, token: int, characters: frozenset[str]) -> bool:
        known = self._may_complete[characters]
        if token not in known:
            # Twice, because a space before the first would be dropped.
            text = self._decode([token, token])
            # The last byte of a character alone does not decode.
            has_bytes = UNDECODED in text and not all(character.isascii() for character in characters)
            known[token] = has_bytes or any(character in text for character in characters)
        return known[token]

    def _before(self, ids: Sequence[int], end: int, count: int) -> int:
        """Where the last ``count`` tokens with text before ``ids[end]`` begin, or 0 where there are fewer."""
        start = end
        while start > 0 and count > 0:
            start -= 1
            count -= not self._is_silent(ids[start])
        return start

    def _is_silent(self, token: int) -> bool:
        """Whether a token has no text: it is special, or beyond the tokenizer's vocabulary."""
        if token not in self._silent:
            self._silent[token] = not self._decode([token, token])
        return self._silent[token]

    def _is_whole(self, token: int) -> bool:
        """Whether a token neither begins nor ends within a character."""
        if token not in self._whole:
            self._whole[token] = UNDECODED not in self._decode([token])
        return self._whole[token]

    def _characters_before(self, row: Row, start: int, place: int, *, whole: bool) -> int:
        """How many characters of the text from ``ids[start]`` on were begun before ``ids[place]``, or ``whole`` there.

        A character that was begun before a turn, and is completed in it, is none of the turn's.
        """
        if start >= place:
            return 0
        end = place
        while (settled := self._decode(row.ids[start:end])).endswith(UNDECODED):
            end -= 1
        if end == place:
            return len(settled)
        before = self._decode(row.ids[start:place])
        more = before[len(settled) :].rstrip(UNDECODED) if before.startswith(settled) else ""
        return len(settled) + len(more) + (not whole)

    def _decode(self, ids: list[int]) -> str:
        # The clean-up that some tokenizers ask for would take the space out of " ," also inside a string.
        # The ends of a text, which are special too, are looked for before.
        return self._tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
