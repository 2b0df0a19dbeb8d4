"""Where in the JSON text of a value its parts stand, counted in lexical tokens (``envs.json.tokens``).

Objects remember the order in which their keys were written, so the value tells it without its text.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from envs.json.keys import CONTAINERS

NUMBER_KEY = re.compile(r"\+?[0-9]{1,400}")


def token_count(value: Any) -> int:
    """The tokens of a value's JSON: brackets, colons, commas, keys and scalars."""
    if type(value) not in CONTAINERS:
        return 1
    if not value:
        return 2
    is_object = type(value) is dict
    # Each member has a comma after it, or the closing bracket; a key and its colon before it.
    count = 1 + (3 if is_object else 1) * len(value)
    for item in value.values() if is_object else value:
        count += token_count(item) if type(item) in CONTAINERS else 1
    return count


class Places:
    """The places of the parts of one value: how many tokens come before them.

    Parts are named by paths as jsonschema-rs gives them, in which keys like ``"007"`` have become numbers and empty
    ones are left out. Where a path could mean several parts, or none, its place is the end of the text.
    """

    def __init__(self, value: Any) -> None:
        self._value = value
        self._offsets: dict[int, dict[Any, int]] = {}
        self.total = token_count(value)
        """Tokens of the whole value."""

    def start(self, path: Sequence[str | int]) -> int:
        """The place of the first token of the part to which the path leads."""
        return self._find(path)[0]

    def end(self, path: Sequence[str | int]) -> int:
        """The place of its last token."""
        place, node = self._find(path)
        return place + token_count(node) - 1

    def first_key(self, path: Sequence[str | int], keys: Iterable[str]) -> int:
        """The place of the first of these keys of the object to which the path leads."""
        place, node = self._find(path)
        offsets = self._offsets_of(node) if type(node) is dict else {}
        return min([place + offsets[key] - 2 for key in keys if key in offsets], default=self.total)

    def member(self, path: Sequence[str | int], position: int) -> int:
        """The place of the first token of the member at a position of an array or object; the key, in an object."""
        place, node = self._find(path)
        offsets = list(self._offsets_of(node).values()) if type(node) in CONTAINERS else []
        if position >= len(offsets):
            return self.total
        return place + offsets[position] - (2 if type(node) is dict else 0)

    def _find(self, path: Sequence[str | int]) -> tuple[int, Any]:
        place, node = 0, self._value
        for step in path:
            key = _key(node, step) if type(node) is dict else step
            offset = self._offsets_of(node).get(key) if type(node) in CONTAINERS else None
            if offset is None:
                return self.total, None
            place, node = place + offset, node[key]
        if type(node) is dict and "" in node:
            return self.total, None
        return place, node

    def _offsets_of(self, node: dict[str, Any] | list[Any]) -> dict[Any, int]:
        """For each key or position, how many tokens come between the opening bracket and the value there."""
        offsets = self._offsets.get(id(node))
        if offsets is None:
            offsets = self._offsets[id(node)] = {}
            is_object = type(node) is dict
            place = 3 if is_object else 1
            for key, item in node.items() if isinstance(node, dict) else enumerate(node):
                offsets[key] = place
                place += (3 if is_object else 1) + (token_count(item) if type(item) in CONTAINERS else 1)
        return offsets


def _key(node: dict[str, Any], step: str | int) -> str | None:
    """The key that a step of a path means; None when it is not clear."""
    if "" in node:
        return None
    if isinstance(step, str):
        return step
    meant = [key for key in node if NUMBER_KEY.fullmatch(key) and int(key) == step]
    return meant[0] if len(meant) == 1 else None
