"""The few JSON Schema forms (draft 2020-12) that the bundled tasks are made of, in their shortest spelling."""

from typing import Any

Schema = dict[str, Any]

BOOLEAN: Schema = {"type": "boolean"}
DATE: Schema = {"type": "string", "format": "date"}
TIME: Schema = {"type": "string", "pattern": "^[0-2][0-9]:[0-5][0-9]$"}


def record(**properties: Schema) -> Schema:
    """A closed object: every property is required, in this order, and no other is allowed."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def string(pattern: str | None = None, *, note: str | None = None) -> Schema:
    """A string, perhaps of a given pattern; ``note`` becomes its description."""
    schema: Schema = {"type": "string"}
    if pattern is not None:
        schema["pattern"] = pattern
    if note is not None:
        schema["description"] = note
    return schema


def integer(minimum: int | None = None, maximum: int | None = None) -> Schema:
    """A whole number within bounds."""
    return _bounded("integer", minimum, maximum)


def number(minimum: float | None = None, maximum: float | None = None) -> Schema:
    """A number within bounds, which may have decimals."""
    return _bounded("number", minimum, maximum)


def enum(*values: str | int | None) -> Schema:
    """One of the given values."""
    return {"enum": list(values)}


def nullable(schema: Schema) -> Schema:
    """The typed schema, or null."""
    return {**schema, "type": [schema["type"], "null"]}


def array(items: Schema, *, least: int = 1, most: int | None = None) -> Schema:
    """A list of ``items`` with bounded length."""
    schema: Schema = {"type": "array", "items": items, "minItems": least}
    if most is not None:
        schema["maxItems"] = most
    return schema


def _bounded(kind: str, minimum: float | None, maximum: float | None) -> Schema:
    schema: Schema = {"type": kind}
    if minimum is not None:
        schema["minimum"] = minimum
    if maximum is not None:
        schema["maximum"] = maximum
    return schema
