"""What the references inside a JSON Schema lead to, and what that may cost whoever follows them.

Only references within the document are followed (``#`` and ``#/...``): all others are a matter of
``envs.json.schema``, which refuses those that leave it.
"""

from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
# Keywords whose subschemas apply to the very value that the schema applies to.
IN_PLACE = ("allOf", "anyOf", "oneOf", "not", "if", "then", "else")
IN_PLACE_BY_KEY = ("dependentSchemas", "dependencies")


def resolve(schema: Any, reference: str) -> Any | None:
    """The part of a schema that ``#``, ``#/...`` points to; None for any other reference, or when nothing is there."""
    if not (reference == "#" or reference.startswith("#/")):
        return None
    node = schema
    for step in reference.split("/")[1:]:
        step = unquote(step).replace("~1", "/").replace("~0", "~")
        if isinstance(node, dict):
            node = node.get(step)
        elif isinstance(node, list) and step.isdecimal() and int(step) < len(node):
            node = node[int(step)]
        else:
            return None
    return node


def is_recursive(schema: Any) -> bool:
    """True when a reference may lead back to a schema that contains it. References by anchor or id count as if so."""
    references: dict[str, set[str]] = {}
    waiting = {"#"}
    while waiting:
        pointer = waiting.pop()
        target = resolve(schema, pointer)
        inside = _references(target) if target is not None else set()
        if any(not reference.startswith("#/") for reference in inside):
            return True
        references[pointer] = inside
        waiting |= inside - references.keys()
    references.pop("#")  # the root holds the definitions: that it reaches them closes no circle
    while references:
        leaves = [pointer for pointer, inside in references.items() if not inside & references.keys()]
        if not leaves:
            return True
        for pointer in leaves:
            del references[pointer]
    return False


def expansion(schema: Any) -> int:
    """The most schemas that apply to one value at once, those counted again that are reached by several ways.

    Twenty definitions that each refer twice to the next make a million of a page of text. References that lead back to
    a schema which is being expanded count once.
    """
    counts: dict[int, int] = {}
    open_nodes: set[int] = set()

    def count(node: Any) -> int:
        if not isinstance(node, dict):
            return 0  # true, false, or no schema at all
        if id(node) in open_nodes:
            return 1
        if id(node) not in counts:
            open_nodes.add(id(node))
            counts[id(node)] = 1 + sum(count(part) for part in _in_place(node, schema))
            open_nodes.discard(id(node))
        return counts[id(node)]

    return max((count(node) for node in objects(schema)), default=1)


def objects(schema: Any) -> Iterator[dict[str, Any]]:
    """Every object in a schema."""
    return (node for node in containers(schema) if isinstance(node, dict))


def containers(value: Any) -> Iterator[dict[str, Any] | list[Any]]:
    """Every array and object in a value, itself included."""
    waiting = [value]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict | list):
            yield node
            waiting.extend(node.values() if isinstance(node, dict) else node)


def _references(schema: Any) -> set[str]:
    return {node[key] for node in objects(schema) for key in REFERENCES if isinstance(node.get(key), str)}


def _in_place(node: dict[str, Any], root: Any) -> Iterator[Any]:
    for key in REFERENCES:
        if isinstance(reference := node.get(key), str):
            yield resolve(root, reference)
    for key in IN_PLACE:
        part = node.get(key)
        yield from part if isinstance(part, list) else [part]
    for key in IN_PLACE_BY_KEY:
        part = node.get(key)
        yield from part.values() if isinstance(part, dict) else ()
