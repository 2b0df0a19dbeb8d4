"""What a verdict says beyond the fields of every record, as plain values of bounded size.

Verdicts hold whatever their environment found: a model can make a database's message, or a list of wrong keys, as long
as it likes. What is cut off is said so.
"""

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import fields, is_dataclass
from typing import Any

from envs.verdict import Verdict

LONGEST_TEXT = 1000
MOST_MEMBERS = 20
"""Of one list or section."""
MOST_VALUES = 200
"""In all."""
LARGEST_NUMBER = 2**63
"""Beyond it Python may refuse to write a number in decimals, and most readers of JSON to read it."""
KEPT_ELSEWHERE = frozenset({"answer", "error", "unjudged", "layout"})
CUT = "... (cut)"


def facts_of(verdict: Verdict) -> dict[str, Any]:
    """The verdict's other fields, and of its layout what is wrong with it."""
    facts: dict[str, Any] = {"defect": verdict.layout.defect, "tag_share": verdict.layout.tag_share}
    room = [MOST_VALUES]
    for item in fields(verdict):
        if item.name not in KEPT_ELSEWHERE:
            facts[item.name] = _plain(getattr(verdict, item.name), room)
    return facts


def _plain(value: Any, room: list[int]) -> Any:
    """
    Args:
        room: how many values there may still be, counted down.
    """
    room[0] -= 1
    if room[0] < 0:
        return CUT
    if value is None or isinstance(value, bool) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, int):
        return value if abs(value) < LARGEST_NUMBER else f"a number of {value.bit_length()} bits"
    if isinstance(value, str):
        return value if len(value) <= LONGEST_TEXT else value[:LONGEST_TEXT] + CUT
    if is_dataclass(value) and not isinstance(value, type):
        value = {item.name: getattr(value, item.name) for item in fields(value)}
    if isinstance(value, Mapping):
        shown = list(value.items())[:MOST_MEMBERS]
        plain = {str(key)[:LONGEST_TEXT]: _plain(member, room) for key, member in shown}
        return plain if len(value) <= MOST_MEMBERS else {**plain, CUT: len(value) - MOST_MEMBERS}
    if isinstance(value, Set):
        value = sorted(value, key=lambda member: repr(_plain(member, [MOST_VALUES])))
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        members = [_plain(member, room) for member in value[:MOST_MEMBERS]]
        return members if len(value) <= MOST_MEMBERS else [*members, CUT]
    return _plain(str(value), room)
