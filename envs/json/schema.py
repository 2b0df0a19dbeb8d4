"""Compiled JSON Schemas: is a value valid, and if not, where and why.

All drafts, by ``$schema``; without one, 2020-12. ``format`` is asserted in every draft unless told otherwise (the
drafts leave it to the application; the labels of MaskBench assert it). A ``$ref`` that leaves the document is a defect
of the schema: nothing is ever fetched.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NoReturn
from urllib.parse import unquote

import jsonschema_rs

CACHED_SCHEMAS = 1024
LISTED_ERRORS = 32
MESSAGE_CHARACTERS = 200
LISTING_COST = 20_000
LISTED_CHARACTERS = 16_384
REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
ALTERNATIVES = ("anyOf", "oneOf")
UNDECIDED = frozenset({"backtrackLimitExceeded", "regexEngineFailure"})

# Formats that drafts 4 to 7 do not know although their schemas use them.
UUID = jsonschema_rs.validator_for({"format": "uuid"}, validate_formats=True)
DURATION = jsonschema_rs.validator_for({"format": "duration"}, validate_formats=True)


@dataclass(frozen=True, kw_only=True)
class SchemaError:
    """One way in which a value breaks its schema."""

    keyword: str
    """The schema keyword that failed: ``required``, ``type``, ``additionalProperties`` ..."""
    pointer: str
    """JSON Pointer (RFC 6901) to the part of the value that breaks it; empty: the value itself."""
    message: str


@dataclass(frozen=True, kw_only=True)
class Validation:
    """What a schema says of a value."""

    is_valid: bool
    errors: tuple[SchemaError, ...] = ()
    """At most 32. Only the first where listing all might take long, none where even that might."""
    is_undecided: bool = False
    """A regular expression of the schema gave up: neither valid nor invalid."""


@dataclass(frozen=True, kw_only=True)
class CompiledSchema:
    """A schema ready to validate, or why it cannot."""

    defect: str | None = None
    """Why the schema does not compile; None when it does."""
    validator: Any = None
    nodes: int = 0
    """Objects and arrays of the schema."""
    alternatives: int = 0
    """The longest ``anyOf`` or ``oneOf``."""
    is_recursive: bool = False

    def validate(self, value: Any, text: str) -> Validation:
        """Judges a parsed value; ``text`` is what it was parsed from (its length bounds what a listing may cost)."""
        if self.validator.is_valid(value):
            return Validation(is_valid=True)
        errors = [] if self._is_explosive(value) else self._errors(value, text)
        is_undecided = any(error.kind.name in UNDECIDED for error in errors)
        listed = tuple(_schema_error(error) for error in errors[:LISTED_ERRORS])
        return Validation(is_valid=False, errors=listed, is_undecided=is_undecided)

    def _errors(self, value: Any, text: str) -> list[jsonschema_rs.ValidationError]:
        # The library builds every error before it hands out the first, and an error of anyOf or oneOf carries those
        # of each alternative. Checking alone is always fast.
        cost = _count(value)[0] * (self.nodes if self.alternatives else 1)
        if cost <= LISTING_COST and len(text) <= LISTED_CHARACTERS:
            return list(self.validator.iter_errors(value))
        try:
            self.validator.validate(value)
        except jsonschema_rs.ValidationError as error:
            return [error]
        return []

    def _is_explosive(self, value: Any) -> bool:
        """Alternatives that contain themselves: the errors of each level contain those of the next, once a branch."""
        if not self.is_recursive or self.alternatives < 2:
            return False
        return self.alternatives ** _count(value)[1] * self.nodes > LISTING_COST


@lru_cache(maxsize=CACHED_SCHEMAS)
def compile_schema(text: str, *, should_check_formats: bool = True) -> CompiledSchema:
    """The validator of a schema given as JSON text. Cached by content; never raises: see ``CompiledSchema.defect``."""
    try:
        schema = json.loads(text)
        validator = jsonschema_rs.validator_for(
            schema,
            validate_formats=should_check_formats,
            formats={"uuid": UUID.is_valid, "duration": DURATION.is_valid} if should_check_formats else None,
            retriever=_refuse,
        )
        nodes = sum(1 for _ in _containers(schema))
        alternatives = max((len(node.get(key, ())) for node in _objects(schema) for key in ALTERNATIVES), default=0)
        return CompiledSchema(
            validator=validator, nodes=nodes, alternatives=alternatives, is_recursive=is_recursive(schema)
        )
    except (ValueError, TypeError, RecursionError) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        return CompiledSchema(defect=reason[0][:MESSAGE_CHARACTERS])


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


def _references(schema: Any) -> set[str]:
    return {node[key] for node in _objects(schema) for key in REFERENCES if isinstance(node.get(key), str)}


def _objects(schema: Any) -> Iterator[dict[str, Any]]:
    return (node for node in _containers(schema) if isinstance(node, dict))


def _containers(value: Any) -> Iterator[dict[str, Any] | list[Any]]:
    waiting = [value]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict | list):
            yield node
            waiting.extend(node.values() if isinstance(node, dict) else node)


def _count(value: Any) -> tuple[int, int]:
    """How many values there are in a value, itself included, and how deep they nest."""
    count, depth, level = 0, 0, [value]
    while level:
        count += len(level)
        containers = [node for node in level if isinstance(node, dict | list)]
        depth += bool(containers)
        level = [item for node in containers for item in (node.values() if isinstance(node, dict) else node)]
    return count, depth


def _schema_error(error: jsonschema_rs.ValidationError) -> SchemaError:
    steps = (str(step).replace("~", "~0").replace("/", "~1") for step in error.instance_path)
    pointer = "".join(f"/{step}" for step in steps)
    return SchemaError(keyword=error.kind.name, pointer=pointer, message=error.message[:MESSAGE_CHARACTERS])


def _refuse(uri: str) -> NoReturn:
    raise ValueError(f"the reference '{uri}' leaves the schema")
