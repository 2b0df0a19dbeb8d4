"""Which row lies in which slot of a cache, and what of it is already there.

A slot whose row has left keeps its tokens until another row takes it. A row that comes takes over whatever a slot holds
of its text, so that a prompt is read once for all its samples, a fork copies what it shares, and texts that begin alike
share their beginning.
"""

from collections.abc import Sequence

from decoding.row import Row
from decoding.slot_cache import SlotCache


class SlotTable:
    """Gives rows their slots. The first ``n`` slots are those of the rows that decode, when they are asked for."""

    def __init__(self, cache: SlotCache, *, most_slots: int) -> None:
        """
        Args:
            cache: holds the keys and values.
            most_slots: rows that hold a cache at once.
        """
        self._cache = cache
        self._most_slots = most_slots
        self._rows: list[Row | None] = []
        # Of a slot without a row: the tokens that it still holds.
        self._left: list[list[int]] = []

    def free(self) -> int:
        """How many more rows there is room for."""
        return self._most_slots - sum(row is not None for row in self._rows)

    def admit(self, rows: Sequence[Row]) -> list[tuple[Row, Row]]:
        """Gives slots to rows that have none, as far as there is room; what is known of a row's text is copied.

        Returns:
            (follower, leader) for each row whose text is to be read in the leader's slot: ``follow`` copies it from
            there afterwards.
        """
        texts: dict[tuple[int, ...], list[Row]] = {}
        for row in rows[: self.free()]:
            texts.setdefault(tuple(row.ids[: row.settled]), []).append(row)
        if not texts:
            return []
        self._make_slots([row for alike in texts.values() for row in alike])
        followers: list[tuple[Row, Row]] = []
        for alike in texts.values():
            leader, *others = alike
            self._seat(leader)
            for row in others:
                self._take(self._cheapest_free_slot(), row)
                followers.append((row, leader))
        return followers

    def follow(self, followers: Sequence[tuple[Row, Row]]) -> None:
        """Copies what leaders have read to their followers, each leader's in one go."""
        groups: dict[tuple[int, int], list[Row]] = {}
        for follower, leader in followers:
            assert leader.slot is not None
            groups.setdefault((leader.slot, follower.settled), []).append(follower)
        for (source, length), rows in groups.items():
            self._cache.copy(source, [row.slot for row in rows if row.slot is not None], length)
            for row in rows:
                row.cached = length

    def leave(self, row: Row) -> None:
        """Takes a row's slot away; what it holds stays known until another row takes it."""
        if row.slot is not None:
            self._rows[row.slot] = None
            self._left[row.slot] = row.ids[: row.cached]
            row.slot, row.cached = None, 0

    def bring_to_front(self, rows: Sequence[Row]) -> list[Row]:
        """Moves ``rows`` to the first slots; returns them in the order of their slots."""
        count = len(rows)
        wanted = set(rows)
        behind = [row.slot for row in rows if row.slot is not None and row.slot >= count]
        places = [slot for slot in range(count) if self._rows[slot] not in wanted]
        for place, slot in zip(places, behind, strict=True):
            self._exchange(place, slot)
        return [row for row in self._rows[:count] if row is not None]

    def forget(self) -> None:
        """Drops all slots and gives their memory back. No row may hold one."""
        self._rows.clear()
        self._left.clear()
        self._cache.clear()

    def _make_slots(self, admitted: Sequence[Row]) -> None:
        missing = sum(row is not None for row in self._rows) + len(admitted) - len(self._rows)
        self._rows.extend([None] * missing)
        self._left.extend([] for _ in range(missing))
        self._cache.reserve(
            slots=len(self._rows),
            tokens=max(len(row.ids) for row in admitted),
            most_tokens=max(row.turn_limit for row in admitted),
        )

    def _held(self, slot: int) -> list[int]:
        row = self._rows[slot]
        return self._left[slot] if row is None else row.ids[: row.cached]

    def _longest_match(self, wanted: list[int]) -> tuple[int, int]:
        """The slot that holds the longest beginning of ``wanted``, and its length; a free slot where two are equal."""
        matches = [_common_prefix(self._held(slot), wanted) for slot in range(len(self._rows))]
        best = max(range(len(matches)), key=lambda slot: (matches[slot], self._rows[slot] is None))
        return best, matches[best]

    def _seat(self, row: Row) -> None:
        source, length = self._longest_match(row.ids[: row.settled])
        if self._rows[source] is None and length:
            self._take(source, row)
        else:
            slot = self._cheapest_free_slot()
            if length:
                self._cache.copy(source, [slot], length)
            self._take(slot, row)
        row.cached = length

    def _cheapest_free_slot(self) -> int:
        """The one whose tokens cost least to read again."""
        return min((slot for slot, row in enumerate(self._rows) if row is None), key=lambda slot: len(self._left[slot]))

    def _take(self, slot: int, row: Row) -> None:
        self._rows[slot], self._left[slot] = row, []
        row.slot = slot

    def _exchange(self, first: int, second: int) -> None:
        length = max(len(self._held(first)), len(self._held(second)))
        self._cache.swap(first, second, length)
        self._rows[first], self._rows[second] = self._rows[second], self._rows[first]
        self._left[first], self._left[second] = self._left[second], self._left[first]
        for slot in (first, second):
            row = self._rows[slot]
            if row is not None:
                row.slot = slot


def _common_prefix(left: list[int], right: list[int]) -> int:
    """The number of tokens that both begin with."""
    most = min(len(left), len(right))
    if left[:most] == right[:most]:
        return most
    return next(index for index in range(most) if left[index] != right[index])
