"""JSON Schemas that no finite value obeys, because each value must contain another of the same kind.

Only recursion is looked for: contradictions such as a minimum above the maximum are a matter of the back ends. Not
covered: Lark grammars whose rules come to no end, of which only those are found that force an endless text.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from decoding.grammars.schema_nodes import schema_nodes
from envs.json.references import resolve

_CONTAINERS = frozenset(("object", "array"))
_BRANCHES = ("allOf", "anyOf", "oneOf")


def endless_schema(schema: Any) -> str | None:
    """The JSON Pointer of a subschema that only infinite values obey and that every value needs; None: there is none.

    Least fixed point: a schema has a finite value if all that such a value must contain has one. Each subschema is
    looked at once, and again whenever one that its values may contain has been found to have one.
    """
    nodes = list(schema_nodes(schema))
    references = {id(node): _reference(node, schema) for _, node in nodes}
    containers: defaultdict[int, list[dict[str, Any]]] = defaultdict(list)
    for _, node in nodes:
        for part in _contained(node, references[id(node)]):
            if isinstance(part, dict):
                containers[id(part)].append(node)
    finite: set[int] = set()
    waiting = [node for _, node in reversed(nodes)]
    while waiting:
        node = waiting.pop()
        if id(node) not in finite and _is_finite(node, references[id(node)], finite):
            finite.add(id(node))
            waiting += containers[id(node)]
    if not isinstance(schema, dict) or id(schema) in finite:
        return None
    return next((pointer for pointer, node in nodes if "$ref" not in node and id(node) not in finite), "#")


def _reference(node: dict[str, Any], root: Any) -> Any:
    """What a schema refers to, ``True`` where it refers to nothing."""
    reference = node.get("$ref")
    return resolve(root, reference) if isinstance(reference, str) else True


def _contained(node: dict[str, Any], referred: Any) -> Iterator[Any]:
    """The parts that decide whether a schema has a finite value."""
    yield referred
    for key in _BRANCHES:
        yield from _branches(node, key)
    yield from _needed_members(node)
    yield from _needed_items(node)


def _is_finite(node: dict[str, Any], referred: Any, finite: set[int]) -> bool:
    """Some value obeys the schema, if those known to be finite are all that are."""

    def has_value(part: Any) -> bool:
        return part is not False and (not isinstance(part, dict) or id(part) in finite)

    if not has_value(referred) or not all(map(has_value, _branches(node, "allOf"))):
        return False
    for key in ("anyOf", "oneOf"):
        branches = _branches(node, key)
        if branches and not any(map(has_value, branches)):
            return False
    kinds = node.get("type")
    names = kinds if isinstance(kinds, list) else [kinds]
    if not names or not all(isinstance(name, str) and name in _CONTAINERS for name in names):
        return True  # a value that contains nothing obeys it, as far as this goes
    needed = [_needed_members(node)] if "object" in names else []
    needed += [_needed_items(node)] if "array" in names else []
    return any(all(map(has_value, parts)) for parts in needed)


def _branches(node: dict[str, Any], key: str) -> list[Any]:
    found = node.get(key)
    return found if isinstance(found, list) else []


def _needed_members(node: dict[str, Any]) -> list[Any]:
    properties, required = node.get("properties"), node.get("required")
    members = properties if isinstance(properties, dict) else {}
    return [members.get(name, True) for name in required if isinstance(name, str)] if isinstance(required, list) else []


def _needed_items(node: dict[str, Any]) -> list[Any]:
    least = node.get("minItems")
    count = least if isinstance(least, int) else 0
    prefix = node.get("prefixItems")
    items = list(prefix[:count]) if isinstance(prefix, list) else []
    return [*items, node.get("items", True)] if count > len(items) else items
