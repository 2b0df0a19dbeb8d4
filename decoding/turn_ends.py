"""Says when a turn ends: its end-of-text tokens, its stop strings, its budget.

Stop strings are looked for in text, because a tokenizer may merge their first or last character with what stands
beside them. Decoders that put spaces between words of their own (WordPiece) are not covered.
"""

from collections import defaultdict
from collections.abc import Collection

from transformers import PreTrainedTokenizerBase

from decoding.engine import FinishReason
from decoding.row import Row

UNDECODED = "\N{REPLACEMENT CHARACTER}"
# A window of text begins this many tokens early: decoders drop the space before a first word, and bytes of a character
# whose first ones are left out do not decode.
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

    def finish(self, row: Row) -> FinishReason | None:
        """Why the turn of ``row`` is over; None: it goes on."""
        if row.ids[-1] in self._end_ids:
            return "eos"
        if row.request.stops and self._completes_stop(row):
            return "stop"
        return "length" if row.is_at_limit else None

    def _completes_stop(self, row: Row) -> bool:
        stops = row.request.stops
        known = self._may_complete[frozenset(stop[-1] for stop in stops)]
        token = row.ids[-1]
        if token not in known:
            # Twice, because a space before the first would be dropped. The last byte of a character does not decode.
            text = self._decode([token, token])
            known[token] = UNDECODED in text or any(stop[-1] in text for stop in stops)
        if not known[token]:
            return False
        # A stop is at most as many tokens as it has bytes, so the tail of the text is enough to look at.
        longest = max(len(stop.encode(errors="surrogatepass")) for stop in stops)
        start = max(0, row.turn_start - MARGIN, len(row.ids) - longest - MARGIN)
        text = self._decode(row.ids[start:])
        begin = self._turn_begin(row, start)
        return any(text.find(stop, begin) >= 0 for stop in stops)

    def _turn_begin(self, row: Row, start: int) -> int:
        """The index of the turn's first character in the text from ``ids[start]`` on."""
        if start >= row.turn_start:
            return 0
        before = self._decode(row.ids[start : row.turn_start])
        # A character that was begun before the turn, and is perhaps completed in it, is none of the turn's.
        whole = before.rstrip(UNDECODED)
        return len(whole) + (whole != before)

    def _decode(self, ids: list[int]) -> str:
        # The clean-up that some tokenizers ask for would take the space out of " ," also inside a string.
        return self._tokenizer.decode(ids, clean_up_tokenization_spaces=False)
