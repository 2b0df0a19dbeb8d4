"""A session over a model of transformers whose keys and values stay while their rows live.

Each step is one forward of one token for all rows that are in a turn; before it, rows that have more to read (a prompt,
an observation) read all but their last token together. Rows join and leave between two steps.
"""

from collections.abc import Collection, Sequence
from types import TracebackType

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from decoding.attention_masks import make_attention_mask, query_dtype
from decoding.drawing import draw_tokens
from decoding.engine import Generation, Request
from decoding.forward import SampledModel
from decoding.row import Row
from decoding.row_opening import open_rows
from decoding.slot_cache import SlotCache
from decoding.slot_table import SlotTable
from decoding.turn_ends import TurnEnds

# Texts are read in forwards of at most so many tokens, padding counted, and so many pairs of a token and what it may
# see, which bounds the memory of activations and masks (4 bytes a pair, and as much again where layers slide).
READ_TOKENS = 16_384
READ_PAIRS = 2**23
# A row between two turns keeps its room, though others wait for it, for one step per so many tokens of its text: about
# as long as the same time would go into reading them again. So neither choice costs more than twice the better one,
# which only who knows when a row goes on could make (Karlin et al. 1988, "Competitive snoopy caching": ski rental).
TOKENS_PER_STEP_OF_REST = 16


class CachedSession:
    """Rows over one model. At most ``max_batch_rows`` hold a cache; those beyond wait until there is room.

    Rows in a turn come first: one between two turns, whether it waits for an answer or to be forked, loses its room to
    one that waits in a turn once it has rested for a step per ``TOKENS_PER_STEP_OF_REST`` tokens of its text, and at
    once where nothing else would decode. Those that have rested longest go first. When such a row goes on, what other
    slots still hold of its text is copied, and the rest is read again. Rows with a grammar have one turn.
    """

    def __init__(
        self, model: SampledModel, tokenizer: PreTrainedTokenizerBase, end_ids: Collection[int], *, max_batch_rows: int
    ) -> None:
        """
        Args:
            model: a causal language model whose attention takes masks (``unsupported_attention``).
            tokenizer: its tokenizer.
            end_ids: the tokens that end a text.
            max_batch_rows: rows that hold a cache at once.
        """
        self._model = model
        self._tokenizer = tokenizer
        self._end_ids = end_ids
        self._ends = TurnEnds(tokenizer, end_ids)
        self._cache = SlotCache()
        self._table = SlotTable(self._cache, most_slots=max_batch_rows)
        self._rows: dict[int, Row] = {}
        self._opened = 0

    def open(self, request: Request) -> tuple[int, ...]:
        """Begins the first turn of ``request.n`` new rows; returns their numbers. Their prompt is read once.

        Raises:
            ConfigurationError: the request has a grammar and the tokenizer is none that llguidance can read.
        """
        rows = open_rows(request, self._tokenizer, self._end_ids, first=self._opened)
        self._rows.update((row.number, row) for row in rows)
        self._opened += len(rows)
        return tuple(row.number for row in rows)

    @torch.no_grad()
    def step(self) -> list[tuple[int, Generation]]:
        """Draws one token for every row that is in a turn and has room; returns the rows whose turn has ended with it.

        Raises:
            FloatingPointError: the model's logits are not numbers.
        """
        rows = self._seated()
        if not rows:
            return []
        rows = self._table.bring_to_front(rows)
        draw_tokens(rows, self._forward(rows, [1] * len(rows)))
        ended = []
        for row in sorted(rows, key=lambda row: row.number):
            finish = self._ends.finish(row)
            if finish is not None:
                ended.append((row.number, row.end_turn(finish)))
        return ended

    def extend(self, row: int, token_ids: Sequence[int], *, max_new_tokens: int) -> None:
        """Appends tokens that the model did not write, and begins the row's next turn.

        Raises:
            ValueError: the row is in a turn, has a grammar, or may write no token.
        """
        self._rows[row].extend(token_ids, max_new_tokens=max_new_tokens)

    def fork(self, row: int, *, seed: int | None) -> int:
        """A new row with the same text, between two turns; it takes room once it is extended.

        Raises:
            ValueError: the row is in a turn, or has a grammar.
        """
        fork = self._rows[row].fork(number=self._opened, seed=seed)
        self._rows[fork.number] = fork
        self._opened += 1
        return fork.number

    def close(self, row: int) -> None:
        """Forgets a row between two turns, or after its last. With the last row, all memory is given back.

        Raises:
            ValueError: the row is in a turn.
        """
        self._rows[row].require_between_turns("closed")
        self._table.leave(self._rows.pop(row))
        if not self._rows:
            self._table.forget()

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

    def _seated(self) -> list[Row]:
        """The rows that decode in this step, with all but their last token in the cache."""
        in_turn = [row for row in self._rows.values() if row.is_in_turn]
        waiting = [row for row in in_turn if row.slot is None]
        self._make_room(len(waiting), at_once=len(waiting) == len(in_turn))
        followers = self._table.admit(waiting)
        late = {follower for follower, _ in followers}
        rows = [row for row in in_turn if row.slot is not None]
        if rows:
            self._cache.reserve(
                slots=0, tokens=max(len(row.ids) for row in rows), most_tokens=max(row.turn_limit for row in rows)
            )
            self._read([row for row in rows if row not in late])
            self._table.follow(followers)
        return rows

    def _make_room(self, count: int, *, at_once: bool) -> None:
        """Takes room for ``count`` rows from those that have rested long enough, or at once from any that rest."""
        missing = count - self._table.free()
        resting = [row for row in self._rows.values() if row.slot is not None and not row.is_in_turn]
        for row in sorted(resting, key=lambda row: -row.rested)[: max(0, missing)]:
            if at_once or row.rested * TOKENS_PER_STEP_OF_REST >= len(row.ids):
                self._table.leave(row)
        for row in resting:
            row.rested += 1

    def _read(self, rows: Sequence[Row]) -> None:
        """Forwards over all that rows have not read but their last token; rows of like length together."""
        unread = sorted((row for row in rows if row.unread > 1), key=lambda row: (row.unread, row.number))
        batch: list[Row] = []
        for row in unread:
            if batch and (row.unread - 1) * (len(batch) + 1) > READ_TOKENS:
                self._read_batch(batch)
                batch = []
            batch.append(row)
        self._read_batch(batch)

    def _read_batch(self, batch: Sequence[Row]) -> None:
        while batch:
            pairs_a_column = len(batch) * max(len(row.ids) for row in batch)
            width = max(1, min(READ_TOKENS // len(batch), READ_PAIRS // pairs_a_column))
            self._forward(batch, [min(width, row.unread - 1) for row in batch])
            batch = [row for row in batch if row.unread > 1]

    def _forward(self, rows: Sequence[Row], counts: Sequence[int]) -> Tensor:
        """Reads the next ``counts`` tokens of the rows; the logits (B, V) at each row's last place of the batch."""
        device = self._model.model.device
        starts = [row.cached for row in rows]
        queries, keys = self._cache.write(
            slots=[row.slot for row in rows if row.slot is not None], starts=starts, counts=counts, device=device
        )
        width = max(counts)
        # Which token pads is of no consequence: it is not written, and its logits are not read.
        input_ids = [
            row.ids[start : start + count] + [0] * (width - count)
            for row, start, count in zip(rows, starts, counts, strict=True)
        ]
        visible = keys[:, None, :] <= queries[:, :, None]
        logits = self._model.last_logits(
            input_ids=torch.tensor(input_ids, device=device),
            attention_mask=make_attention_mask(
                self._model.model.config, visible, queries, keys, query_dtype(self._model.model)
            ),
            position_ids=queries,
            past_key_values=self._cache,
        )
        for row, count in zip(rows, counts, strict=True):
            row.cached += count
        return logits
