"""A key-value cache of rows that come, go and grow, each of its own length.

Every layer has one preallocated buffer of keys and one of values. A row's tokens lie in one slot from position 0 on,
without padding, so that a decode step over the first slots writes one column a row in place and attends over a view.
Not covered: layers that keep a state instead of keys and values; sliding windows keep their whole text, and their mask
hides what lies before the window.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor
from transformers import Cache
from transformers.cache_utils import CacheLayerMixin

# The capacity goes beyond the need by this share, and by so many tokens at least: a growth copies all buffers.
GROWTH = 0.125
LEAST_GROWTH = 32


@dataclass(kw_only=True)
class _Access:
    """What the layers are to write and to read in the next forward, and how large they are."""

    slots: int = 0
    capacity: int = 0
    batch: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.long))
    """(M,) of each token that is written: its place in the batch of the forward,"""
    query: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.long))
    """(M,) its place among the queries,"""
    slot: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.long))
    """(M,) the slot that it goes to,"""
    position: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.long))
    """(M,) and its position there."""
    read: slice | Tensor = field(default_factory=lambda: slice(0, 0))
    """The slots that are attended to, in the order of the batch."""
    length: int = 0
    """How many positions of them."""


class SlotLayer(CacheLayerMixin):
    """The keys (slots, heads, capacity, head size) and the values of one layer."""

    is_sliding = False

    def __init__(self, access: _Access) -> None:
        super().__init__()
        self._access = access

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Allocates the buffers. With zeros: what is masked counts 0 times, but 0 times old memory may be no number."""
        self.keys = self._empty(key_states)
        self.values = self._empty(value_states)
        self.is_initialized = True

    def _empty(self, like: Tensor) -> Tensor:
        return like.new_zeros(self._access.slots, like.shape[1], self._access.capacity, like.shape[3])

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Writes the new states (B, heads, Q, head size) where they belong; returns all that is attended to."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        access = self._access
        device = key_states.device  # a layer's own, where a model lies on several
        batch, query, slot, position = (
            index.to(device) for index in (access.batch, access.query, access.slot, access.position)
        )
        read = access.read if isinstance(access.read, slice) else access.read.to(device)
        for buffer, states in ((self.keys, key_states), (self.values, value_states)):
            buffer[slot, :, position] = states[batch, :, query]
        return self.keys[:, :, : access.length][read], self.values[:, :, : access.length][read]

    def grow(self) -> None:
        """Takes the sizes that the access names, and keeps what is there."""
        if self.is_initialized:
            for name in ("keys", "values"):
                old = getattr(self, name)
                new = self._empty(old)
                new[: old.shape[0], :, : old.shape[2]] = old
                setattr(self, name, new)

    def copy(self, source: int, targets: Sequence[int], length: int) -> None:
        """Copies the first ``length`` positions of one slot to others."""
        if self.is_initialized:
            for buffer in (self.keys, self.values):
                buffer[list(targets), :, :length] = buffer[source, :, :length]

    def swap(self, first: int, second: int, length: int) -> None:
        """Exchanges the first ``length`` positions of two slots."""
        if self.is_initialized:
            for buffer in (self.keys, self.values):
                held = buffer[first, :, :length].clone()
                buffer[first, :, :length] = buffer[second, :, :length]
                buffer[second, :, :length] = held

    def get_seq_length(self) -> int:
        """The positions that the next forward attends to."""
        return self._access.length

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Length and offset of what the next forward attends to."""
        return self._access.length, 0

    def get_max_length(self) -> int:
        """It has none: the buffers grow."""
        return -1


class SlotCache(Cache):
    """The cache of a session. ``write`` says what the next forward is about; the model then calls ``update``."""

    def __init__(self) -> None:
        self._access = _Access()
        super().__init__(layer_class_to_replicate=partial(SlotLayer, self._access))

    @property
    def slots(self) -> int:
        """How many rows there is room for."""
        return self._access.slots

    @property
    def capacity(self) -> int:
        """How many tokens of each row there is room for."""
        return self._access.capacity

    def reserve(self, *, slots: int, tokens: int, most_tokens: int) -> None:
        """Makes room: exactly ``slots``, and at least ``tokens`` in each, where they are more than there are.

        Args:
            slots: rows.
            tokens: tokens that the longest row will hold after the next forward.
            most_tokens: what the longest row can come to; the capacity never grows beyond it in advance.
        """
        access = self._access
        slots = max(slots, access.slots)
        capacity = access.capacity
        if tokens > capacity:
            # Ahead of the need from the first time on: rows that are admitted are about to write.
            capacity = max(tokens, min(tokens + max(LEAST_GROWTH, int(tokens * GROWTH)), most_tokens))
        if (slots, capacity) != (access.slots, access.capacity):
            access.slots, access.capacity = slots, capacity
            for layer in self.layers:
                layer.grow()

    def write(
        self, *, slots: Sequence[int], starts: Sequence[int], counts: Sequence[int], device: torch.device
    ) -> tuple[Tensor, Tensor]:
        """Prepares a forward of B rows, whose tokens stand at the left of a (B, Q) batch, Q = max(counts).

        Args:
            slots: of each row; a run from 0 on is read as a view, all else by a copy.
            starts: the position of each row's first token.
            counts: how many tokens of each row are written; its other places of the batch are padding.
            device: where the model's input lies.

        Returns:
            The position of each query (B, Q), that of padding repeating the last one, and of each key (B, K).
        """
        access = self._access
        start, count = torch.tensor([list(starts), list(counts)], device=device)
        offsets = torch.arange(max(counts), device=device).expand(len(slots), -1)
        is_token = torch.arange(max(counts)).expand(len(slots), -1) < torch.tensor(counts)[:, None]
        batch, query = (index.to(device) for index in is_token.nonzero(as_tuple=True))
        slot = torch.tensor(slots, device=device)
        access.batch, access.query = batch, query
        access.slot, access.position = slot[batch], start[batch] + query
        access.read = slice(0, len(slots)) if list(slots) == list(range(len(slots))) else slot
        access.length = max(first + many for first, many in zip(starts, counts, strict=True))
        query_positions = start[:, None] + torch.minimum(offsets, count[:, None] - 1)
        return query_positions, torch.arange(access.length, device=device).expand(len(slots), -1)

    def copy(self, source: int, targets: Sequence[int], length: int) -> None:
        """Copies the first ``length`` tokens of one slot to others."""
        for layer in self.layers:
            layer.copy(source, targets, length)

    def swap(self, first: int, second: int, length: int) -> None:
        """Exchanges the first ``length`` tokens of two slots."""
        for layer in self.layers:
            layer.swap(first, second, length)

    def clear(self) -> None:
        """Gives all memory back."""
        self.layers.clear()
        self._access.slots = self._access.capacity = 0
