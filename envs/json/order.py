"""Writes a value in the order of its schema's properties, as constrained decoders demand it."""

import json
from collections.abc import Iterable
from typing import Any

from envs.json.schema import resolve

SAME_PLACE = ("allOf", "anyOf", "oneOf")
SAME_PLACE_SINGLE = ("then", "else")


def in_schema_order(value: Any, schema: Any) -> Any:
    """The same value, each object's keys in the order in which the schema names them, unnamed keys last.

    Every branch of a combinator counts, in order, since a wrong branch names no key of the value or the same ones.
    """
    return _ordered(value, (schema,), schema)


def ordered_text(value: str, schema: str) -> str:
    """The JSON text of a value in schema order, on one line with a space after each separator."""
    return json.dumps(in_schema_order(json.loads(value), json.loads(schema)), ensure_ascii=False)


def _ordered(value: Any, schemas: Iterable[Any], root: Any) -> Any:
    if not isinstance(value, dict | list):
        return value
    places = _expanded(schemas, root)
    if isinstance(value, list):
        return [_ordered(item, _item_schemas(places, position), root) for position, item in enumerate(value)]
    named = [key for place in places for key in _mapping(place, "properties") if key in value]
    keys = list(dict.fromkeys([*named, *value]))
    return {key: _ordered(value[key], _member_schemas(places, key), root) for key in keys}


def _expanded(schemas: Iterable[Any], root: Any) -> list[dict[str, Any]]:
    """The schemas and all that apply at the same place through references and combinators, each once."""
    found: list[dict[str, Any]] = []
    seen: set[int] = set()
    waiting = [schema for schema in reversed(list(schemas))]
    while waiting:
        schema = waiting.pop()
        if not isinstance(schema, dict) or id(schema) in seen:
            continue
        seen.add(id(schema))
        found.append(schema)
        reference = schema.get("$ref")
        inner = [resolve(root, reference)] if isinstance(reference, str) else []
        for key in SAME_PLACE:
            inner.extend(schema[key] if isinstance(schema.get(key), list) else ())
        inner.extend(schema.get(key) for key in SAME_PLACE_SINGLE)
        waiting.extend(reversed(inner))
    return found


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
