"""Rows that tie under ORDER BY: which of them comes first, or is cut off by a LIMIT, no query says.

They are found by running the query without its LIMIT and with its order keys as further columns. Not found: ties under
SELECT DISTINCT by something that is not selected, and in subqueries that refer to the query around them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlglot import exp

from envs.sql.databases.execution import Row
from envs.sql.suite.literals import constant
from envs.sql.suite.query import ParsedQuery


@dataclass(frozen=True, kw_only=True)
class TieProbe:
    """A query, or a subquery of it, without its LIMIT and with its order keys as further columns."""

    query: str
    keys: tuple[int, ...]
    """Which columns are the keys, counted from the end (negative) or the beginning."""
    appended: int
    """How many columns at the end are not the query's own."""
    start: int
    """The OFFSET."""
    stop: int | None
    """The first row beyond the LIMIT."""
    is_ordered: bool
    """The order of the rows that are returned matters as well, not only which they are."""
    is_whole: bool
    """It is the query itself, not a subquery."""

    def has_choice(self, rows: Sequence[Row]) -> bool:
        """True when the probe's result leaves the query a choice: rows that tie, and are not alike, where the order or
        a LIMIT tells them apart."""
        keys = self._keys(rows)
        return any(self._is_choice(place, rows, keys) for place in self._seams(rows))

    def has_ties(self, rows: Sequence[Row]) -> bool:
        """The same, and also when a LIMIT cuts between rows that tie and are alike: ``ORDER BY x LIMIT 1`` returns one
        of them then, ``WHERE x = (SELECT min(x) ...)`` all, and people mean the same by both."""
        keys = self._keys(rows)
        if any(_tie(keys[place - 1], keys[place]) for place in self._cuts(rows)):
            return True
        return any(self._is_choice(place, rows, keys) for place in self._seams(rows))

    def _cuts(self, rows: Sequence[Row]) -> list[int]:
        """The places between rows where OFFSET and LIMIT cut."""
        return [place for place in (self.start, self._stop(rows)) if 0 < place < len(rows)]

    def _seams(self, rows: Sequence[Row]) -> list[int]:
        """The places between rows at which the row before must be told from the row behind."""
        if not self.is_ordered:
            return self._cuts(rows)
        return list(range(max(self.start, 1), min(self._stop(rows) + 1, len(rows))))

    def ranks(self, rows: Sequence[Row]) -> tuple[list[int], int]:
        """For each row that is returned the number of its class of tied rows, and how many rows come before the class
        that the LIMIT cuts into, where it does."""
        stop, keys = self._stop(rows), self._keys(rows)
        ranks: list[int] = []
        for place in range(self.start, stop):
            is_first = place == self.start
            ranks.append(0 if is_first else ranks[-1] + (not _tie(keys[place - 1], keys[place])))
        if 0 < stop < len(rows) and self._is_choice(stop, rows, keys):
            return ranks, ranks.index(ranks[-1]) if ranks else 0
        return ranks, len(ranks)

    def _stop(self, rows: Sequence[Row]) -> int:
        return len(rows) if self.stop is None else min(self.stop, len(rows))

    def _keys(self, rows: Sequence[Row]) -> list[list[Any]]:
        return [[row[place] for place in self.keys] for row in rows]

    def _is_choice(self, place: int, rows: Sequence[Row], keys: Sequence[Sequence[Any]]) -> bool:
        """True when the row at ``place`` ties with the one before, and not all rows that tie with them are alike."""
        if not _tie(keys[place - 1], keys[place]):
            return False
        width = len(rows[place]) - self.appended
        first, last = place, place
        while first > 0 and _tie(keys[first - 1], keys[place]):
            first -= 1
        while last + 1 < len(rows) and _tie(keys[last + 1], keys[place]):
            last += 1
        return any(rows[other][:width] != rows[place][:width] for other in range(first, last + 1))


def tie_probes(query: ParsedQuery) -> list[TieProbe]:
    """The probes of a query and of those of its subqueries that have a LIMIT."""
    probes = []
    for node in query.tree.find_all(exp.Select, exp.SetOperation):
        is_top = node is query.tree
        limit, offset = node.args.get("limit"), node.args.get("offset")
        if limit is None and not (is_top and query.is_ordered):
            continue
        count = constant(limit.expression) if isinstance(limit, exp.Limit) else None
        start = constant(offset.expression) if offset is not None else 0
        if not isinstance(start, int) or (limit is not None and not isinstance(count, int)):
            continue
        probe = _without_limit(node, query.dialect)
        if probe is not None:
            text, keys, appended = probe
            stop = None if count is None else start + count
            probes.append(
                TieProbe(
                    query=text,
                    keys=keys,
                    appended=appended,
                    start=start,
                    stop=stop,
                    is_ordered=is_top and query.is_ordered,
                    is_whole=is_top,
                )
            )
    return probes


def _without_limit(node: exp.Expression, dialect: str) -> tuple[str, tuple[int, ...], int] | None:
    """The text, the places of the keys and how many columns were appended; None when the keys cannot be shown."""
    order = node.args.get("order")
    keys = [ordered.this for ordered in order.expressions] if order is not None else []
    outputs = node.selects
    found = [_output_place(key, outputs) for key in keys]
    probe = node.copy()
    probe.set("limit", None)
    probe.set("offset", None)
    if all(place is not None for place in found):
        return probe.sql(dialect=dialect), tuple(place for place in found if place is not None), 0
    if not isinstance(node, exp.Select) or node.args.get("distinct"):
        return None
    appended = []
    for key, place in zip(keys, found, strict=True):
        appended.append(key.copy() if place is None else outputs[place].unalias().copy())
    probe.set("expressions", [*probe.expressions, *appended])
    return probe.sql(dialect=dialect), tuple(range(-len(keys), 0)), len(keys)


def _output_place(key: exp.Expression, outputs: Sequence[exp.Expression]) -> int | None:
    """Which output column an order key is: by number, by alias, or by the same expression."""
    if any(output.is_star for output in outputs):
        return None
    number = constant(key)
    if isinstance(number, int):
        return number - 1 if 0 < number <= len(outputs) else None
    for place, output in enumerate(outputs):
        is_alias = isinstance(key, exp.Column) and not key.text("table") and output.alias.lower() == key.name.lower()
        if is_alias or output.unalias() == key:
            return place
    return None


def _tie(first: Sequence[Any], second: Sequence[Any]) -> bool:
    return all(
        one == other
        or (isinstance(one, float) and isinstance(other, (int, float)) and math.isclose(one, other, rel_tol=1e-9))
        for one, other in zip(first, second, strict=True)
    )
