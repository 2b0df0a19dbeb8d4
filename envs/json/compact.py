"""A JSON Schema in a terse notation that models know from TypeScript, at a third to half of the tokens.

    Address = {street: string, zip: string(/^[0-9]{5}$/)}
    {
     name: string(1..40 chars), // full name
     age?: integer(0..120) | null,
     role: "admin" | "user",
     homes: Address[](max 3 items),
     ...: number
    }

``?`` marks an optional key, ``...`` the keys that are not named (absent: none are expected, even where the schema
would allow them), ``&`` all at once, ``one of(A, B)`` exactly one. Descriptions become comments; titles, defaults and
examples are left out. A subschema with a keyword beyond this notation (``not``, ``if``, ``patternProperties`` ...) is
written as JSON, and if that holds a reference the whole schema is.
"""

import json
import re
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

from envs.json.references import resolve

AS_JSON = "schema "
NAME_CHARACTERS = 40
IDENTIFIER = re.compile(r"[A-Za-z_$][\w$-]*", re.ASCII)
OBJECT = frozenset({"properties", "required", "additionalProperties", "minProperties", "maxProperties"})
ARRAY = frozenset({"items", "prefixItems", "additionalItems", "minItems", "maxItems", "uniqueItems"})
STRING = frozenset({"format", "pattern", "minLength", "maxLength"})
NUMBER = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"})
COMBINED = frozenset({"type", "enum", "const", "anyOf", "oneOf", "allOf"})
# Keywords that constrain and have no sign here. Any other keyword is an annotation or a vendor's own.
BEYOND = frozenset(
    "not if dependencies dependentRequired dependentSchemas patternProperties propertyNames contains minContains"
    " maxContains unevaluatedItems unevaluatedProperties $dynamicRef $recursiveRef".split()
)
CONSTRAINTS = OBJECT | ARRAY | STRING | NUMBER | COMBINED | BEYOND


class _Inexpressible(ValueError):
    """A keyword or a combination that the notation has no sign for."""


@lru_cache(maxsize=1024)
def compact(schema: str) -> str:
    """The terse form of a schema given as JSON text; its JSON, without white space, where there is no terse form."""
    parsed = json.loads(schema)
    try:
        return _Writer(parsed).document()
    except (_Inexpressible, RecursionError):
        return minified(schema)


@lru_cache(maxsize=1024)
def minified(schema: str) -> str:
    """The JSON text of a schema without white space and without the name of its dialect."""
    parsed = json.loads(schema)
    if isinstance(parsed, dict):
        parsed = {key: value for key, value in parsed.items() if key != "$schema"}
    return _json(parsed)


class _Writer:
    """Writes one schema; collects the definitions that it refers to, each under a name of its own."""

    def __init__(self, schema: Any) -> None:
        self.schema = schema
        self.names: dict[str, str] = {}
        self.definitions: dict[str, str] = {}

    def document(self) -> str:
        body = self.write(self.schema)
        return "\n".join([*(f"{name} = {text}" for name, text in self.definitions.items()), body])

    def write(self, schema: Any) -> str:
        """One schema as a type."""
        if schema is True or schema == {}:
            return "any"
        try:
            return self._write(schema)
        except _Inexpressible:
            text = _json(schema)
            if '"$ref"' in text:
                raise
            return AS_JSON + text

    def _write(self, schema: Any) -> str:
        if not isinstance(schema, dict) or BEYOND & schema.keys():
            raise _Inexpressible
        if "$ref" in schema:
            if CONSTRAINTS & schema.keys():
                raise _Inexpressible
            return self._reference(schema["$ref"])
        parts = [self._combined(schema, key) for key in ("allOf", "anyOf", "oneOf") if key in schema]
        own = self._own(schema)
        if own != "any" or not parts:
            parts.insert(0, own)
        return " & ".join(_grouped(part) for part in parts) if len(parts) > 1 else parts[0]

    def _reference(self, reference: Any) -> str:
        target = resolve(self.schema, reference) if isinstance(reference, str) else None
        if target is None or reference == "#":
            raise _Inexpressible
        if reference not in self.names:
            name = _type_name(reference)
            while name in self.names.values():
                name += "_"
            self.names[reference] = name
            self.definitions[name] = ""  # keeps its place before the definitions that it needs
            self.definitions[name] = self.write(target)
        return self.names[reference]

    def _combined(self, schema: dict[str, Any], key: str) -> str:
        branches = [self.write(branch) for branch in schema[key]]
        if len(branches) == 1:
            return branches[0]
        if key == "oneOf":
            return f"one of({', '.join(branches)})"
        sign = " | " if key == "anyOf" else " & "
        return sign.join(_grouped(branch) if sign == " & " else branch for branch in branches)

    def _own(self, schema: dict[str, Any]) -> str:
        """The type, without combinators."""
        if "enum" in schema or "const" in schema:
            # An enumeration says all: what else the schema asks of the value was for its author to respect.
            return " | ".join(map(_json, schema["enum"] if "enum" in schema else [schema["const"]]))
        types = schema.get("type")
        if types is None:
            types = [name for name, keywords in _IMPLIED.items() if keywords & schema.keys()]
            if not types:
                return "any"
            if len(types) > 1:
                raise _Inexpressible
        written = [self._typed(name, schema) for name in ([types] if isinstance(types, str) else types)]
        return " | ".join(written)

    def _typed(self, name: str, schema: dict[str, Any]) -> str:
        if name == "object":
            return self._object(schema)
        if name == "array":
            return self._array(schema)
        if name == "string":
            notes = [str(schema["format"])] if "format" in schema else []
            notes += [f"/{schema['pattern']}/"] if "pattern" in schema else []
            return "string" + _notes(notes + _range(schema, "minLength", "maxLength", " chars"))
        if name in ("integer", "number"):
            return name + _notes(_numeric(schema))
        return name

    def _object(self, schema: dict[str, Any]) -> str:
        properties, required = schema.get("properties", {}), schema.get("required", [])
        others = schema.get("additionalProperties", not properties)
        if not isinstance(required, list):
            raise _Inexpressible
        lines = []
        for key, member in properties.items():
            written = self.write(member)
            comment = "" if written.startswith(AS_JSON) else _comment(member)
            lines.append((f"{_key(key)}{'' if key in required else '?'}: {written}", comment))
        lines += [(f"{_key(key)}: any", "") for key in required if key not in properties]
        if others is not False and (others is not True or not lines):
            lines.append((f"...: {self.write(others)}", ""))
        text = _braced(lines)
        return text + _notes(_range(schema, "minProperties", "maxProperties", " keys"))

    def _array(self, schema: dict[str, Any]) -> str:
        items = schema.get("items", True)
        first = schema.get("prefixItems", items if isinstance(items, list) else None)
        notes = _range(schema, "minItems", "maxItems", " items")
        notes += ["unique"] if schema.get("uniqueItems") is True else []
        if first is None:
            return f"{_grouped(self.write(items))}[]{_notes(notes)}"
        rest = schema.get("additionalItems", True) if isinstance(items, list) else items
        written = [self.write(item) for item in first]
        written += [] if rest is False else [f"...{_grouped(self.write(rest))}[]"]
        return f"[{', '.join(written)}]{_notes(notes)}"


_IMPLIED = {"object": OBJECT, "array": ARRAY, "string": STRING, "number": NUMBER}


def _braced(lines: list[tuple[str, str]]) -> str:
    if not any(comment for _, comment in lines):
        return "{" + ", ".join(text for text, _ in lines) + "}"
    last = len(lines) - 1
    written = [f"{text}{',' if place < last else ''}{comment}" for place, (text, comment) in enumerate(lines)]
    return "\n ".join(["{", *(line.replace("\n", "\n ") for line in written)]) + "\n}"


def _comment(member: Any) -> str:
    description = member.get("description") if isinstance(member, dict) else None
    return f" // {' '.join(description.split())}" if isinstance(description, str) and description.strip() else ""


def _numeric(schema: dict[str, Any]) -> list[str]:
    low, high = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    rest = dict(schema)
    notes: list[str] = []
    for limit, inclusive, sign in ((low, "minimum", ">"), (high, "maximum", "<")):
        if limit is True:  # draft 4: a flag beside the inclusive keyword
            notes.append(f"{sign}{rest.pop(inclusive)}")
        elif limit is not None and limit is not False:
            notes.append(f"{sign}{limit}")
    notes = _range(rest, "minimum", "maximum", "") + notes
    return notes + ([f"multiple of {schema['multipleOf']}"] if "multipleOf" in schema else [])


def _range(schema: dict[str, Any], low: str, high: str, unit: str) -> list[str]:
    if low in schema and high in schema:
        bounds = str(schema[low]) if schema[low] == schema[high] else f"{schema[low]}..{schema[high]}"
    elif low in schema:
        bounds = f"min {schema[low]}"
    elif high in schema:
        bounds = f"max {schema[high]}"
    else:
        return []
    return [bounds + unit]


def _notes(notes: list[str]) -> str:
    return f"({', '.join(notes)})" if notes else ""


def _grouped(text: str) -> str:
    return f"({text})" if " | " in text or " & " in text else text


def _type_name(reference: str) -> str:
    """The last word of a reference that names a thing: ``#/$defs/io.k8s.v1.Pod.json`` is a ``Pod``."""
    last = unquote(reference).replace("~1", "/").rstrip("/").rsplit("/", 1)[-1]
    words = [word for word in re.findall(r"[A-Za-z_]\w*", last) if word.lower() not in ("json", "schema")]
    if not words:
        return "Type"
    if len(words[-1]) <= NAME_CHARACTERS:
        return words[-1]
    parts = [part for part in words[-1].split("_") if part and part.lower() not in ("json", "schema")]
    return "_".join(parts[-3:])[-NAME_CHARACTERS:] or "Type"


def _key(key: str) -> str:
    return key if IDENTIFIER.fullmatch(key) else _json(key)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
