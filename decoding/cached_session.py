"""A session over a model of transformers whose keys and values stay while their rows live.

Each step is one forward of one token for all rows that are in a turn, and of what grammars have forced after it; before
it, rows that have more to read (a prompt, an observation) read that together. Rows join and leave between two steps.
"""

import time
from collections.abc import Collection, Sequence
from types import TracebackType

import torch
from transformers import PreTrainedTokenizerBase

from decoding.drawing import score_forced
from decoding.engine import Generation, Request
from decoding.forward import SampledModel
from decoding.row import Row
from decoding.row_opening import open_rows
from decoding.slot_cache import SlotCache
from decoding.slot_reading import SlotReader
from decoding.slot_table import SlotTable
from decoding.turn_writing import TurnWriter
from envs.grammar import Grammar

# A step waits for grammars that were asked for in the last so many seconds, which is most of them: rows that come at
# once then begin at once. It does not wait for slow ones while others decode.
COMPILE_GRACE = 0.1
# A row between two turns keeps its room, though others wait for it, for one step per so many tokens of its text: about
# as long as the same time would go into reading them again. So neither choice costs more than twice the better one,
# which only who knows when a row goes on could make (Karlin et al. 1988, "Competitive snoopy caching": ski rental).
TOKENS_PER_STEP_OF_REST = 16


class CachedSession:
    """Rows over one model. At most ``max_batch_rows`` hold a cache; those beyond wait until there is room.

    Rows in a turn come first: one between two turns, whether it waits for an answer or to be forked, loses its room to
    one that waits in a turn once it has rested for a step per ``TOKENS_PER_STEP_OF_REST`` tokens of its text, and at
    once where nothing else would decode. Those that have rested longest go first. When such a row goes on, what other
    slots still hold of its text is copied, and the rest is read again. A row whose grammar is being compiled waits
    outside of the batch.
    """

    def __init__(
        self,
        model: SampledModel,
        tokenizer: PreTrainedTokenizerBase,
        end_ids: Collection[int],
        *,
        max_batch_rows: int,
        skips_forced: bool = True,
    ) -> None:
        """
        Args:
            model: a causal language model whose attention takes masks (``unsupported_attention``).
            tokenizer: its tokenizer.
            end_ids: the tokens that end a text.
            max_batch_rows: rows that hold a cache at once.
            skips_forced: tokens that a grammar forces take no step of their own.
        """
        self._model = model
        self._writer = TurnWriter(tokenizer, end_ids, skips_forced=skips_forced)
        self._cache = SlotCache()
        self._reader = SlotReader(model, self._cache)
        self._table = SlotTable(self._cache, most_slots=max_batch_rows)
        self._rows: dict[int, Row] = {}
        self._opened = 0

    def open(self, request: Request) -> tuple[int, ...]:
        """Begins the first turn of ``request.n`` new rows; returns their numbers. Their prompt is read once.

        Raises:
            ConfigurationError: the request has a grammar and the tokenizer is none that grammars can be compiled for.
        """
        rows = open_rows(request, self._writer.grammars, first=self._opened)
        self._rows.update((row.number, row) for row in rows)
        self._opened += len(rows)
        return tuple(row.number for row in rows)

    @torch.no_grad()
    def step(self) -> list[tuple[int, Generation]]:
        """Draws one token for every row that is in a turn and has room; returns the rows whose turn has ended with it,
        or with a step before, where a structure had to be closed.

        Raises:
            FloatingPointError: the model's logits are not numbers.
        """
        in_turn = [row for row in self._rows.values() if row.is_in_turn]
        closing = {row for row in in_turn if row.closing is not None}
        rows = self._seated([row for row in in_turn if row.finish is None or row.unscored])
        if rows:
            self._decode(self._table.bring_to_front(rows))
        ended = []
        for row in in_turn:
            # A structure is closed while the others read on: its row is waited for in the next step.
            is_closed = row.closing is None or row in closing or not rows
            if row.finish is not None and not row.unscored and is_closed:
                ended.append((row.number, self._writer.generation(row)))
        return ended

    def extend(
        self,
        row: int,
        token_ids: Sequence[int],
        *,
        max_new_tokens: int,
        grammar: Grammar | None = None,
        pauses: bool = False,
    ) -> None:
        """Appends tokens that the model did not write, and begins the row's next turn, which is held to ``grammar``
        from its own start. Without tokens the turn before just goes on, under the grammar that it has. With ``pauses``
        a structure is left open at the turn's budget, for who goes on with it.

        Raises:
            ValueError: the row is in a turn, or may write no token.
            ConfigurationError: the tokenizer is none that grammars can be compiled for.
        """
        text = self._rows[row]
        turn = None
        if grammar is not None and token_ids:
            start = len(text.ids) + len(token_ids)
            most = None if pauses else max_new_tokens
            turn = self._writer.grammars.begin(grammar, start=start, written=0, most=most)
        text.extend(token_ids, max_new_tokens=max_new_tokens, grammar=turn, pauses=pauses)

    def fork(self, row: int, *, seed: int | None) -> int:
        """A new row with the same text, also in the midst of a turn: what was written of it, and all that is recorded
        of that, is the new row's too. It takes room once it goes on, and copies what the cache holds."""
        fork = self._rows[row].fork(number=self._opened, seed=seed)
        self._rows[fork.number] = fork
        self._opened += 1
        return fork.number

    def close(self, row: int) -> None:
        """Forgets a row, also in the midst of a turn. With the last row, all memory is given back."""
        self._table.leave(self._rows.pop(row))
        if not self._rows:
            self._table.forget()

    def log_weight(self, row: int) -> float:
        """The sum of ``log_z`` over what the row has written in its turn, but for forced tokens that the model has not
        read yet: it reads them before the next draw."""
        return self._rows[row].log_weight

    @property
    def row_count(self) -> int:
        """The rows that were opened or forked and not closed."""
        return len(self._rows)

    @property
    def is_idle(self) -> bool:
        """No row is in a turn: ``step`` has nothing to do."""
        return not any(row.is_in_turn for row in self._rows.values())

    def __enter__(self) -> "CachedSession":
        self._model.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._rows.clear()
        self._table.forget()
        self._model.__exit__(kind, error, traceback)

    def _decode(self, rows: Sequence[Row]) -> None:
        """One forward; what was forced is scored, and rows that have read all draw a token."""
        places, logits = self._reader.read_last(rows)
        forced = [index for index, (row, place) in enumerate(places) if place + 1 < len(row.ids)]
        if not forced:
            self._writer.draw(rows, logits)
            return
        tokens = [places[index][0].ids[places[index][1] + 1] for index in forced]
        score_forced([places[index][0] for index in forced], tokens, logits[forced])
        drawn = [index for index, (row, place) in enumerate(places) if place + 1 == len(row.ids)]
        if drawn:
            self._writer.draw([places[index][0] for index in drawn], logits[drawn])

    def _seated(self, in_turn: Sequence[Row]) -> list[Row]:
        """The rows that decode in this step, with all that is settled of them in the cache."""
        in_turn = self._compiled(in_turn)
        waiting = [row for row in in_turn if row.slot is None]
        self._make_room(len(waiting), at_once=len(waiting) == len(in_turn))
        followers = self._table.admit(waiting)
        late = {follower for follower, _ in followers}
        rows = [row for row in in_turn if row.slot is not None]
        if rows:
            self._writer.advance(rows)
            self._cache.reserve(
                slots=0, tokens=max(len(row.ids) for row in rows), most_tokens=max(row.turn_limit for row in rows)
            )
            self._reader.read([row for row in rows if row not in late])
            self._table.follow(followers)
        return rows

    def _compiled(self, rows: Sequence[Row]) -> list[Row]:
        """Those of the rows whose grammar is there. Waits for one where there would be none."""
        compiling = [row.grammar for row in rows if row.grammar is not None and not row.grammar.is_compiled]
        if compiling:
            grace = max(turn.begun for turn in compiling) + COMPILE_GRACE - time.perf_counter()
            self._writer.grammars.wait(compiling, timeout=max(0.0, grace))
            if len(compiling) == len(rows):
                self._writer.grammars.wait(compiling, timeout=None)
        return [row for row in rows if row.grammar is None or row.grammar.is_compiled]

    def _make_room(self, count: int, *, at_once: bool) -> None:
        """Takes room for ``count`` rows from those that have rested long enough, or at once from any that rest."""
        missing = count - self._table.free()
        resting = [row for row in self._rows.values() if row.slot is not None and not row.is_in_turn]
        for row in sorted(resting, key=lambda row: -row.rested)[: max(0, missing)]:
            if at_once or row.rested * TOKENS_PER_STEP_OF_REST >= len(row.ids):
                self._table.leave(row)
        for row in resting:
            row.rested += 1
