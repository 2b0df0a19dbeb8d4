"""JSON Schemas whose objects may have members that the schema does not name.

Masks read such keys as they come: a key that repeats another one, or spells a named one with escapes, passes them. Not
covered: which values those members may take; the answer is one for the whole schema, and rather yes than no.
"""

from collections.abc import Iterable
from typing import Any

from decoding.grammars.schema_nodes import schema_nodes

_COMPOSED = ("$ref", "allOf", "anyOf", "oneOf")
_OF_OBJECTS = ("properties", "patternProperties", "additionalProperties", "minProperties", "maxProperties", "required")
_OF_ARRAYS = ("items", "prefixItems", "additionalItems", "minItems", "maxItems")
_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems", "items")
_BY_KEY = ("properties", "patternProperties")


def has_open_keys(schema: Any) -> bool:
    """Some object in a value of ``schema`` may have a key that the schema does not name."""
    return schema is True or any(_is_open(node) for _, node in schema_nodes(schema))


def _is_open(node: dict[str, Any]) -> bool:
    if "const" in node or "enum" in node:
        return False
    if any(part is True for part in _parts(node)):
        return True
    kinds = node.get("type")
    if isinstance(kinds, str):
        kinds = [kinds]
    if not isinstance(kinds, list):
        # What is composed of others is as open as they are, unless it says something of its own.
        if any(key in node for key in _COMPOSED) and not any(key in node for key in (*_OF_OBJECTS, *_OF_ARRAYS)):
            return False
        kinds = ["object", "array"]
    return ("object" in kinds and _has_open_members(node)) or ("array" in kinds and _has_open_items(node))


def _has_open_members(node: dict[str, Any]) -> bool:
    return node.get("additionalProperties") is not False or bool(node.get("patternProperties"))


def _has_open_items(node: dict[str, Any]) -> bool:
    items = node.get("items")
    if isinstance(items, list):
        return node.get("additionalItems") is not False
    return items is not False and not isinstance(items, dict)


def _parts(node: dict[str, Any]) -> Iterable[Any]:
    for key in _LISTS:
        branches = node.get(key)
        yield from branches if isinstance(branches, list) else ()
    for key in _BY_KEY:
        members = node.get(key)
        yield from members.values() if isinstance(members, dict) else ()
