"""Lets a model read the rows of a slot cache: long stretches in large forwards, the last tokens one by one.

Tokens that a grammar forced are each a row of the batch of their own, which shares its slot with the others of its
text: so a step reads them beside the rows that have one token, without padding, and gives the logits at each.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from decoding.attention_masks import make_attention_mask, query_dtype
from decoding.forward import SampledModel
from decoding.row import Row
from decoding.slot_cache import SlotCache

# Texts are read in forwards of at most so many tokens, padding counted, and so many pairs of a token and what it may
# see, which bounds the memory of activations and masks (4 bytes a pair, and as much again where layers slide).
READ_TOKENS = 16_384
READ_PAIRS = 2**23
# A step reads more than one token of a row up to so many tokens in all, by the kind of device. Up to there a forward
# costs little more than the reading of the weights; beyond, a token costs what it would in a step of its own, and rows
# that share a slot cost a copy of it. The number for CUDA is an estimate.
STEP_TOKENS = {"cpu": 8, "cuda": 256}


class SlotReader:
    """Forwards of rows that have slots."""

    def __init__(self, model: SampledModel, cache: SlotCache) -> None:
        """
        Args:
            model: a causal language model whose attention takes masks (``unsupported_attention``).
            cache: holds the rows' keys and values.
        """
        self._model = model
        self._cache = cache

    def read(self, rows: Sequence[Row]) -> None:
        """Forwards over all that rows have not read of what is settled; rows of like length together."""
        unread = sorted(
            (row for row in rows if row.settled > row.cached), key=lambda row: (row.settled - row.cached, row.number)
        )
        batch: list[Row] = []
        for row in unread:
            if batch and (row.settled - row.cached) * (len(batch) + 1) > READ_TOKENS:
                self._read_batch(batch)
                batch = []
            batch.append(row)
        self._read_batch(batch)

    def read_last(self, rows: Sequence[Row]) -> tuple[list[tuple[Row, int]], Tensor]:
        """One forward over what is left to read of each row, or over as many of its tokens as find room.

        Args:
            rows: in the order of their slots, which are the first ones.

        Returns:
            Each token that was read, as its row and its index in the row's ids, and the logits (M, V) at each.
        """
        room = max(0, STEP_TOKENS.get(self._model.model.device.type, STEP_TOKENS["cuda"]) - len(rows))
        places: list[tuple[Row, int]] = []
        for row in rows:
            more = min(row.to_read - 1, room)
            room -= more
            places += [(row, row.cached + offset) for offset in range(1 + more)]
        logits = self._forward(
            [row for row, _ in places], starts=[place for _, place in places], counts=[1] * len(places)
        )
        for row, place in places:
            row.cached = place + 1
        return places, logits

    def _read_batch(self, batch: Sequence[Row]) -> None:
        while batch:
            pairs_a_column = len(batch) * max(row.settled for row in batch)
            width = max(1, min(READ_TOKENS // len(batch), READ_PAIRS // pairs_a_column))
            counts = [min(width, row.settled - row.cached) for row in batch]
            self._forward(batch, starts=[row.cached for row in batch], counts=counts)
            for row, count in zip(batch, counts, strict=True):
                row.cached += count
            batch = [row for row in batch if row.settled > row.cached]

    def _forward(self, rows: Sequence[Row], *, starts: Sequence[int], counts: Sequence[int]) -> Tensor:
        """Reads ``counts`` tokens of the rows from ``starts`` on; the logits (B, V) at each row's last place."""
        device = self._model.model.device
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
        return self._model.last_logits(
            input_ids=torch.tensor(input_ids, device=device),
            attention_mask=make_attention_mask(
                self._model.model.config, visible, queries, keys, query_dtype(self._model.model)
            ),
            position_ids=queries,
            past_key_values=self._cache,
        )
