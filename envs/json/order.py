"""Writes a value in the order of its schema's properties, as constrained decoders demand it."""

import json
from collections.abc import Iterable
from typing import Any

from envs.json.references import resolve

SINGLE = ("then", "else")
TYPES: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "number": (int, float),
    "integer": (int, float),
}


def in_schema_order(value: Any, schema: Any) -> Any:
    """The same value, each object's keys in the order in which the schema names them, unnamed keys last.

    Of alternatives (``anyOf``, ``oneOf``) those count that the value may satisfy by its own keys, types and constants.
    What a reference leads to comes before what stands beside it. Values are ordered, never changed or judged.
    """
    return _ordered(value, (schema,), schema)


def ordered_text(value: str, schema: str) -> str:
    """The JSON text of a value in schema order, on one line with a space after each separator."""
    return json.dumps(in_schema_order(json.loads(value), json.loads(schema)), ensure_ascii=False)


def _ordered(value: Any, schemas: Iterable[Any], root: Any) -> Any:
    if not isinstance(value, dict | list):
        return value
    places = _expanded(value, schemas, root)
    if isinstance(value, list):
        return [_ordered(item, _item_schemas(places, position), root) for position, item in enumerate(value)]
    named = [key for place in places for key in _mapping(place, "properties") if key in value]
    keys = list(dict.fromkeys([*named, *value]))
    return {key: _ordered(value[key], _member_schemas(places, key), root) for key in keys}


def _expanded(value: Any, schemas: Iterable[Any], root: Any) -> list[dict[str, Any]]:
    """The schemas and all that apply at the same place through references and combinators, each once."""
    found: list[dict[str, Any]] = []
    seen: set[int] = set()

    def expand(schema: Any) -> None:
        if not isinstance(schema, dict) or id(schema) in seen:
            return
        seen.add(id(schema))
        expand(_target(schema, root))
        found.append(schema)
        for branch in _branches(schema, "allOf"):
            expand(branch)
        for key in ("anyOf", "oneOf"):
            branches = _branches(schema, key)
            likely = [branch for branch in branches if _may_hold(value, branch, root)]
            for branch in likely or branches:
                expand(branch)
        for key in SINGLE:
            expand(schema.get(key))

    for schema in schemas:
        expand(schema)
    return found


def _may_hold(value: Any, schema: Any, root: Any) -> bool:
    """False when the type, a required key, an unknown key or a constant of the schema plainly rules the value out."""
    target = _target(schema, root) if isinstance(schema, dict) else None
    schema = target if isinstance(target, dict) else schema
    if not isinstance(schema, dict):
        return schema is not False
    kind = schema.get("type")
    if isinstance(kind, str) and not isinstance(value, TYPES.get(kind, object)):
        return False
    if not isinstance(value, dict):
        return True
    properties = _mapping(schema, "properties")
    required = schema.get("required")
    if isinstance(required, list) and not value.keys() >= set(required):
        return False
    if schema.get("additionalProperties") is False and "patternProperties" not in schema and value.keys() - properties:
        return False
    return all(_may_equal(value[key], properties[key]) for key in value.keys() & properties.keys())


def _may_equal(value: Any, schema: Any) -> bool:
    if not isinstance(schema, dict):
        return True
    return ("const" not in schema or schema["const"] == value) and ("enum" not in schema or value in schema["enum"])


def _target(schema: dict[str, Any], root: Any) -> Any:
    reference = schema.get("$ref")
    return resolve(root, reference) if isinstance(reference, str) else None


def _branches(schema: dict[str, Any], key: str) -> list[Any]:
    branches = schema.get(key)
    return branches if isinstance(branches, list) else []


def _member_schemas(places: list[dict[str, Any]], key: str) -> list[Any]:
    named = [_mapping(place, "properties")[key] for place in places if key in _mapping(place, "properties")]
    if named:
        return named
    others = [schema for place in places for schema in _mapping(place, "patternProperties").values()]
    return others + [place.get("additionalProperties") for place in places]


def _item_schemas(places: list[dict[str, Any]], position: int) -> list[Any]:
    schemas: list[Any] = []
    for place in places:
        prefix = place.get("prefixItems", place.get("items"))
        if isinstance(prefix, list) and position < len(prefix):
            schemas.append(prefix[position])
        else:
            schemas.append(place.get("additionalItems") if isinstance(place.get("items"), list) else place.get("items"))
    return schemas


def _mapping(schema: dict[str, Any], key: str) -> dict[str, Any]:
    found = schema.get(key)
    return found if isinstance(found, dict) else {}
