"""Says what of a JSON Schema the masks do not enforce: each keyword by its JSON Pointer, and what happens instead.

llguidance's warnings name keywords without places; the places are found here.
"""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from decoding.grammars.schema_nodes import schema_nodes

AFTERWARDS = "the answer is validated afterwards"
LISTED = 16
"""How many places a line names."""

_KEYS = re.compile(r"Unimplemented keys: (\[.*?\])")
_FORMAT = re.compile(r"Unknown format: (.*?)(?: \(\d+ times\))?$")
_COUNTS = ("minProperties", "maxProperties")


def leniency_line(places: Iterable[str]) -> str:
    """One line of all places, at most ``LISTED`` of them named."""
    unique = list(dict.fromkeys(places))
    more = [f"and {len(unique) - LISTED} more"] if len(unique) > LISTED else []
    return "; ".join([*unique[:LISTED], *more])


def unenforced(schema: Any, warnings: Iterable[str]) -> Iterator[str]:
    """Where a schema has what llguidance warned of.

    Args:
        schema: as it was compiled.
        warnings: of llguidance, for this schema or for a grammar that holds it.

    Yields:
        Such as ``#/properties/a/uniqueItems: not enforced by the mask, the answer is validated afterwards``.
    """
    keys, formats, takes_any, counts = _read(warnings)
    for pointer, node in schema_nodes(schema):
        for key in node:
            if key in keys:
                yield f"{pointer}/{key}: not enforced by the mask, {AFTERWARDS}"
            elif key == "format" and isinstance(node[key], str) and node[key] in formats:
                yield f"{pointer}/format: '{node[key]}' is not enforced by the mask, {AFTERWARDS}"
            elif key == "oneOf" and takes_any:
                yield f"{pointer}/oneOf: taken as anyOf by the mask, {AFTERWARDS}"
            elif key in _COUNTS and counts and _has_optional(node):
                yield f"{pointer}/{key}: not enforced by the mask, {AFTERWARDS}"


def _read(warnings: Iterable[str]) -> tuple[set[str], set[str], bool, bool]:
    keys: set[str] = set()
    formats: set[str] = set()
    takes_any = counts = False
    for warning in warnings:
        if found := _KEYS.search(warning):
            keys.update(json.loads(found[1]))
        elif found := _FORMAT.search(warning):
            formats.add(found[1])
        takes_any = takes_any or warning.startswith("oneOf")
        counts = counts or warning.startswith("min/maxProperties")
    return keys, formats, takes_any, counts


def _has_optional(node: dict[str, Any]) -> bool:
    properties, required = node.get("properties"), node.get("required")
    return isinstance(properties, dict) and not properties.keys() <= set(required if isinstance(required, list) else ())
