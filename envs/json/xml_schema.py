"""What a JSON Schema says of one place in an XML answer, which has no types of its own.

Looked at: types, constants, references within the document, ``allOf``, ``anyOf``, ``oneOf``, ``if``, and where members
and items have their schemas. Not looked at: ``not``, dependencies, bounds, patterns of strings, formats; whether the
value is valid is the validator's subject, this is only about how to read it.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

import jsonschema_rs

from envs.json.references import resolve
from envs.json.schema import ALTERNATIVES, CACHED_SCHEMAS

Kind = Literal["null", "boolean", "number", "string", "array", "object"]
KINDS: dict[type, Kind] = {
    type(None): "null",
    bool: "boolean",
    int: "number",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
}
"""The kinds of JSON values; other types that a schema may name say nothing here."""
NAMED_TYPES = frozenset({*KINDS.values(), "integer"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """One way to read the content of an element."""

    kind: Kind
    value: Any = None
    """The value of a scalar; None for arrays and objects, whose children are read later."""


@dataclass(frozen=True)
class SchemaView:
    """A schema, asked about places. Holds what it has worked out; nothing of it grows with what models write."""

    root: Any
    _conjuncts: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    _patterns: dict[str, Any] = field(default_factory=dict)

    def allows(self, schema: Any, reading: Reading) -> bool:
        """False when the types and constants of the schema rule the reading out. Of arrays and objects only the kind
        counts."""
        return self._allows(schema, reading, {})

    def _allows(self, schema: Any, reading: Reading, known: dict[int, bool]) -> bool:
        if not isinstance(schema, dict):
            return schema is not False
        if id(schema) in known:
            return known[id(schema)]
        known[id(schema)] = True  # until it is known: a schema that leads back to itself adds nothing
        is_allowed = _has_type(schema.get("type"), reading) and _is_constant(schema, reading)
        if is_allowed and "$ref" in schema:
            is_allowed = self._allows(self._target(schema), reading, known)
        if is_allowed:
            is_allowed = all(self._allows(branch, reading, known) for branch in _list(schema, "allOf"))
        for keyword in ALTERNATIVES:
            branches = _list(schema, keyword)
            if is_allowed and branches:
                is_allowed = any(self._allows(branch, reading, known) for branch in branches)
        known[id(schema)] = is_allowed
        return is_allowed

    def conjuncts(self, schema: Any) -> list[dict[str, Any]]:
        """The schema and all that applies beside it, through references and ``allOf``, each once."""
        if not isinstance(schema, dict):
            return []
        found = self._conjuncts.get(id(schema))
        if found is None:
            found, waiting, seen = [], [schema], set()
            while waiting:
                part = waiting.pop()
                if isinstance(part, dict) and id(part) not in seen:
                    seen.add(id(part))
                    found.append(part)
                    waiting += [*reversed(_list(part, "allOf")), self._target(part)]
            self._conjuncts[id(schema)] = found
        return found

    def members(self, places: Iterable[dict[str, Any]], key: str) -> list[Any]:
        """The schemas of the member ``key`` of an object at these places."""
        places = list(places)
        found: list[Any] = []
        for place in places:
            properties, patterns = _mapping(place, "properties"), _mapping(place, "patternProperties")
            own = [properties[key]] if key in properties else []
            own += [schema for pattern, schema in patterns.items() if self._matches(pattern, key)]
            found += own or [place.get("additionalProperties")]
        found = [schema for schema in found if isinstance(schema, dict)]
        return found or [place["unevaluatedProperties"] for place in places if "unevaluatedProperties" in place]

    def items(self, places: Iterable[dict[str, Any]], position: int) -> list[Any]:
        """The schemas of one item of an array at these places."""
        found: list[Any] = []
        for place in places:
            items = place.get("items")
            prefix = place.get("prefixItems", items)
            if isinstance(prefix, list) and position < len(prefix):
                found.append(prefix[position])
            else:
                found.append(place.get("additionalItems") if isinstance(items, list) else items)
        return [schema for schema in found if isinstance(schema, dict)]

    def _target(self, schema: dict[str, Any]) -> Any:
        reference = schema.get("$ref")
        return resolve(self.root, reference) if isinstance(reference, str) else None

    def _matches(self, pattern: str, key: str) -> bool:
        # By the validator's own engine: it knows the schema's dialect of patterns and gives up in time.
        if pattern not in self._patterns:
            self._patterns[pattern] = jsonschema_rs.validator_for({"pattern": pattern})
        is_match: bool = self._patterns[pattern].is_valid(key)
        return is_match


@lru_cache(maxsize=CACHED_SCHEMAS)
def view_schema(text: str) -> SchemaView:
    """The view of a schema given as JSON text that ``envs.json.schema.compile_schema`` accepts. Cached by content."""
    return SchemaView(json.loads(text))


def alternatives(place: dict[str, Any]) -> list[list[Any]]:
    """The branches of ``anyOf`` and ``oneOf``; of each group one applies."""
    return [branches for keyword in ALTERNATIVES if (branches := _list(place, keyword))]


def required(place: dict[str, Any]) -> Sequence[str]:
    """The keys that must be there."""
    return _list(place, "required")


def properties(place: dict[str, Any]) -> dict[str, Any]:
    """The schemas of the keys that are named."""
    return _mapping(place, "properties")


def is_closed(place: dict[str, Any]) -> bool:
    """Only keys that are named are allowed."""
    return place.get("additionalProperties") is False and "patternProperties" not in place


def _has_type(types: Any, reading: Reading) -> bool:
    if types is None:
        return True
    names = types if isinstance(types, list) else [types]
    return any(_is_of_type(reading, name) for name in names)


def _is_of_type(reading: Reading, name: Any) -> bool:
    if name == "integer":
        value = reading.value
        return reading.kind == "number" and (not isinstance(value, float) or value.is_integer())
    return name == reading.kind or not (isinstance(name, str) and name in NAMED_TYPES)


def _is_constant(schema: dict[str, Any], reading: Reading) -> bool:
    constants = [schema["const"]] if "const" in schema else _list(schema, "enum") if "enum" in schema else None
    return constants is None or any(
        KINDS[type(constant)] == reading.kind and (reading.kind in ("array", "object") or constant == reading.value)
        for constant in constants
    )


def _list(schema: dict[str, Any], keyword: str) -> list[Any]:
    found = schema.get(keyword)
    return found if isinstance(found, list) else []


def _mapping(schema: dict[str, Any], keyword: str) -> dict[str, Any]:
    found = schema.get(keyword)
    return found if isinstance(found, dict) else {}
