"""The subschemas of a JSON Schema that masks hold a text to, each with its JSON Pointer.

References are followed to where they lead, so that unused definitions do not count. Keywords that no mask enforces
(``not``, ``if``, ``contains`` ...) are not entered.
"""

from collections.abc import Iterator
from typing import Any

from envs.json.references import resolve

_BY_KEY = ("properties", "patternProperties")
_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems", "items")
_SINGLE = ("items", "additionalProperties", "additionalItems")


def schema_nodes(schema: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every subschema that is an object: its pointer (``#/properties/a``) and itself, each once."""
    waiting: list[tuple[str, Any]] = [("#", schema)]
    seen: set[int] = set()
    while waiting:
        pointer, node = waiting.pop()
        if not isinstance(node, dict) or id(node) in seen:
            continue
        seen.add(id(node))
        yield pointer, node
        waiting += reversed(list(_parts(pointer, node, schema)))


def _parts(pointer: str, node: dict[str, Any], root: Any) -> Iterator[tuple[str, Any]]:
    reference = node.get("$ref")
    if isinstance(reference, str):
        yield reference, resolve(root, reference)
    for key in _BY_KEY:
        members = node.get(key)
        for name, part in members.items() if isinstance(members, dict) else ():
            yield f"{pointer}/{key}/{_escaped(name)}", part
    for key in _LISTS:
        branches = node.get(key)
        for number, part in enumerate(branches) if isinstance(branches, list) else ():
            yield f"{pointer}/{key}/{number}", part
    for key in _SINGLE:
        yield f"{pointer}/{key}", node.get(key)


def _escaped(step: str) -> str:
    return step.replace("~", "~0").replace("/", "~1")
