"""A cache that forgets what was used least recently, bounded by the bytes of what it keeps."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

ValueT = TypeVar("ValueT")


class Memo(Generic[ValueT]):
    """Values by key, least recently used first. For one thread."""

    def __init__(self, capacity: int) -> None:
        """
        Args:
            capacity: how much all values together may weigh, in bytes.
        """
        self._capacity = capacity
        self._used = 0
        self._entries: OrderedDict[Hashable, tuple[ValueT, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Hashable) -> ValueT | None:
        """The value under ``key``; None when there is none (any more)."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        self._entries.move_to_end(key)
        return entry[0]

    def put(self, key: Hashable, value: ValueT, weight: int) -> None:
        """Keeps ``value``, which weighs ``weight`` bytes with its key, and forgets as many others as it takes. What
        weighs more than the capacity is not kept."""
        self.drop(key)
        if weight > self._capacity:
            return
        self._entries[key] = (value, weight)
        self._used += weight
        while self._used > self._capacity:
            self._used -= self._entries.popitem(last=False)[1][1]

    def drop(self, key: Hashable) -> None:
        """Forgets what is under ``key``, if anything."""
        if (entry := self._entries.pop(key, None)) is not None:
            self._used -= entry[1]
