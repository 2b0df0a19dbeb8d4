"""Rows that repeat each other: wanted outside keys, forbidden in them."""

from collections.abc import Sequence, Set
from random import Random

from envs.sql.databases.execution import Row


def without_clashes(beside: Sequence[Row], picks: Sequence[Row], options: Sequence[Row], random: Random) -> list[Row]:
    """The picks, changed where one stands beside the same other half of a key again, as long as there are options."""
    used: set[tuple[Row, Row]] = set()
    changed = []
    for other, pick in zip(beside, picks, strict=False):
        if (other, pick) in used:
            pick = random.choice([option for option in options if (other, option) not in used] or [pick])
        used.add((other, pick))
        changed.append(pick)
    return changed


def with_copies(rows: Sequence[Row], own: Set[int], share: float, random: Random) -> list[Row]:
    """Some of the rows made equal to another one in all columns but those at ``own``: keys, and what rows are ordered
    by, where ties would make the database useless."""
    copied = []
    for row in rows:
        other = random.choice(rows) if random.random() < share else row
        copied.append(tuple(row[place] if place in own else other[place] for place in range(len(row))))
    return copied


def without_repeated_keys(rows: Sequence[Row], keys: Sequence[Sequence[int]]) -> list[Row]:
    """The rows whose key no earlier row has; a key with a NULL in it repeats none."""
    kept = list(rows)
    for places in keys:
        seen: set[Row] = set()
        first = []
        for row in kept:
            key = tuple(row[place] for place in places)
            if None in key or key not in seen:
                seen.add(key)
                first.append(row)
        kept = first
    return kept
