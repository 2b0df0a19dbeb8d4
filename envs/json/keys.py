"""Keys of objects that are missing or too many, by the gold or by the schema (ours).

A key is a member of an object, at its place, whatever its value; those below a missing key are missing too.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import jsonschema_rs

LISTED_KEYS = 32
LISTED_CHARACTERS = 16_384
CONTAINERS = frozenset({dict, list})
NOT_ALLOWED = frozenset({"additionalProperties", "unevaluatedProperties"})


@dataclass(frozen=True, kw_only=True)
class Keys:
    """Keys of objects, each at its place."""

    pointers: tuple[str, ...] = ()
    """The first 32 of them as JSON Pointers (RFC 6901); fewer where those would fill more than 16,384 characters."""
    count: int = 0
    """All of them."""


NO_KEYS = Keys()
Place = tuple[Any, str | int] | None
"""The place of the container and the step from there; None: the value itself. Most are never written out."""


def all_keys(value: Any) -> Keys:
    """The keys of every object in a value."""
    found = KeyListing()
    found.add_all(value, None)
    return found.keys()


def keys_at_the_top(names: Iterable[str]) -> Keys:
    """Keys of the value itself."""
    found = KeyListing()
    for name in names:
        found.add(None, name)
    return found.keys()


def unmet(errors: Sequence[jsonschema_rs.ValidationError]) -> tuple[Keys, Keys]:
    """The keys that a schema requires and a value lacks, and those that the value has and the schema does not allow.

    Only errors of the value itself count, not those of the branches of ``anyOf`` and ``oneOf``.
    """
    missing, invented = KeyListing(), KeyListing()
    for error in errors:
        kind: Any = error.kind
        name = kind.name
        if name == "required":
            missing.add(_place_of(error), kind.property)
        elif name in NOT_ALLOWED:
            for key in kind.unexpected:
                invented.add(_place_of(error), key)
    return missing.keys(), invented.keys()


def json_pointer(steps: Iterable[str | int]) -> str:
    """The JSON Pointer (RFC 6901) of a path of keys and positions."""
    return "".join([f"/{_escaped(step) if isinstance(step, str) else step}" for step in steps])


class KeyListing:
    """Keys that were found: the first ones by name, the others as a number."""

    def __init__(self) -> None:
        self._pointers: list[str] = []
        self._count = 0
        self._characters = 0

    def add(self, place: Place, key: str) -> None:
        """One key of the object at a place."""
        self._count += 1
        if self._count <= LISTED_KEYS:
            pointer = f"{_pointer(place)}/{_escaped(key)}"
            self._characters += len(pointer)
            if self._characters <= LISTED_CHARACTERS:
                self._pointers.append(pointer)

    def add_all(self, value: Any, place: Place) -> None:
        """Every key in the value at a place."""
        if type(value) is dict:
            for key, item in value.items():
                self.add(place, key)
                if type(item) in CONTAINERS:
                    self.add_all(item, (place, key))
        elif type(value) is list:
            for position, item in enumerate(value):
                if type(item) in CONTAINERS:
                    self.add_all(item, (place, position))

    def keys(self) -> Keys:
        """What was found."""
        return Keys(pointers=tuple(self._pointers), count=self._count) if self._count else NO_KEYS


def _place_of(error: jsonschema_rs.ValidationError) -> Place:
    place: Place = None
    for step in error.instance_path:
        place = (place, step)
    return place


def _pointer(place: Place) -> str:
    pointer = ""
    while place is not None:
        place, step = place
        pointer = f"/{_escaped(step) if isinstance(step, str) else step}{pointer}"
    return pointer


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1") if "~" in key or "/" in key else key
