"""JSON Schemas that no finite value obeys, because each value must contain another of the same kind.

Only recursion is looked for: contradictions such as a minimum above the maximum are a matter of the back ends. Not
covered: Lark grammars whose rules come to no end, of which only those are found that force an endless text.
"""

from typing import Any

from decoding.grammars.schema_nodes import schema_nodes
from envs.json.references import resolve

_CONTAINERS = frozenset(("object", "array"))


def endless_schema(schema: Any) -> str | None:
    """The JSON Pointer of a subschema that only infinite values obey and that every value needs; None: there is none.

    Least fixed point: a schema has a finite value if all that such a value must contain has one.
    """
    nodes = list(schema_nodes(schema))
    finite: set[int] = set()
    while True:
        found = {id(node) for _, node in nodes if id(node) not in finite and _is_finite(node, schema, finite)}
        if not found:
            break
        finite |= found
    if not isinstance(schema, dict) or id(schema) in finite:
        return None
    return next((pointer for pointer, node in nodes if "$ref" not in node and id(node) not in finite), "#")


def _is_finite(node: dict[str, Any], root: Any, finite: set[int]) -> bool:
    """Some value obeys the schema, if those known to be finite are all that are."""

    def has_value(part: Any) -> bool:
        return part is not False and (not isinstance(part, dict) or id(part) in finite)

    def branches(key: str) -> list[Any]:
        found = node.get(key)
        return found if isinstance(found, list) else []

    reference = node.get("$ref")
    if isinstance(reference, str) and not has_value(resolve(root, reference)):
        return False
    if not all(map(has_value, branches("allOf"))):
        return False
    if any(branches(key) and not any(map(has_value, branches(key))) for key in ("anyOf", "oneOf")):
        return False
    kinds = node.get("type")
    kinds = {kinds} if isinstance(kinds, str) else set(kinds) if isinstance(kinds, list) else set()
    if not kinds or not kinds <= _CONTAINERS:
        return True  # a value that contains nothing obeys it, as far as this goes
    needed = [_needed_members(node)] if "object" in kinds else []
    needed += [_needed_items(node)] if "array" in kinds else []
    return any(all(map(has_value, parts)) for parts in needed)


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
