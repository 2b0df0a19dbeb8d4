"""Writes the turns of rows: draws tokens, appends those that a grammar forces, and ends turns.

What a grammar forces is appended as soon as it is known, and read together with the token before it; masks are computed
in threads while the model reads. A structure that the budget cuts off is closed in a thread too, unless its turn only
pauses there: what the grammar forces beyond the budget is then appended when the turn goes on.
"""

from collections.abc import Collection, Sequence
from concurrent.futures import Future

from torch import Tensor
from transformers import PreTrainedTokenizerBase

from decoding.closing import Closed
from decoding.drawing import draw_tokens
from decoding.engine import Generation
from decoding.grammar_threads import GrammarThreads
from decoding.row import Row
from decoding.turn_ends import TurnEnds


class TurnWriter:
    """Moves rows along their turns."""

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, end_ids: Collection[int], *, skips_forced: bool = True
    ) -> None:
        """
        Args:
            tokenizer: the model's.
            end_ids: the tokens that end a text.
            skips_forced: forced tokens are appended without a draw; who reads them then calls ``score_forced``.
        """
        self.grammars = GrammarThreads(tokenizer, end_ids)
        self._ends = TurnEnds(tokenizer, end_ids)
        self._skips_forced = skips_forced

    def advance(self, rows: Sequence[Row]) -> None:
        """Appends what the grammars of rows force, and lets their masks be computed. Waits for their compilation."""
        masked = [
            row
            for row in rows
            if row.finish is None and row.grammar is not None and row.request.sampler is None
            and row.advanced != len(row.ids)
        ]  # fmt: skip
        if not masked:
            return
        turns = [(row.grammar, row.ids) for row in masked if row.grammar is not None]
        if self._skips_forced:
            for row, tokens in zip(masked, self.grammars.forced(turns), strict=True):
                self._append_forced(row, tokens)
        self.grammars.compute_masks([turn for row, turn in zip(masked, turns, strict=True) if row.finish is None])
        for row in masked:
            row.advanced = len(row.ids)

    def draw(self, rows: Sequence[Row], logits: Tensor) -> None:
        """Draws a token for each row that has been read, and goes on to where the next is drawn, or the turn ends.

        Args:
            rows: B rows.
            logits: (B, V) of the next tokens.

        Raises:
            FloatingPointError: the logits are not numbers.
        """
        given_up = draw_tokens(rows, logits)
        for row in rows:
            self._look(row, is_rejected=row in given_up)
        self.advance(rows)

    def generation(self, row: Row) -> Generation:
        """Ends the turn of a row whose ``finish`` is known and whose forced tokens are scored; waits for the end of a
        structure that was cut off."""
        grammar = row.grammar
        is_paused = row.pauses and row.finish == "length"
        closed = None if row.closing is None else row.closing.result()
        if closed is not None and closed.error is None and grammar is not None:
            row.close_text(grammar.start + closed.kept, closed.completion)
            grammar.restart(row.ids)
        return row.end_turn(
            closed=0 if closed is None else len(closed.completion),
            error=None if closed is None else closed.error,
            is_sentence=None if grammar is None or is_paused else grammar.is_sentence(row.ids),
        )

    def _append_forced(self, row: Row, tokens: Sequence[int]) -> None:
        for token in tokens:
            row.append_forced(token)
            if self._look(row):
                return

    def _look(self, row: Row, *, is_rejected: bool = False) -> bool:
        """Looks whether the last token of a row ended its turn."""
        row.finish = "rejected" if is_rejected else self._ends.finish(row)
        if row.finish == "length" and not row.pauses:
            row.closing = self._closing(row)
        return row.finish is not None

    def _closing(self, row: Row) -> "Future[Closed | None] | None":
        grammar = row.grammar
        if grammar is None or grammar.compiled() is None or grammar.limit() is not None:
            return None
        return self.grammars.close(grammar, row.ids, kept=row.turn_start, most=row.turn_limit)
