"""Compiled JSON Schemas: is a value valid, and if not, where and why.

All drafts, by ``$schema``; without one, 2020-12. ``format`` is asserted in every draft unless told otherwise (the
drafts leave it to the application; the labels of MaskBench assert it). A ``$ref`` that leaves the document is a defect
of the schema: nothing is ever fetched. So is one that applies more than 10,000 schemas to a single value, and a
``$schema`` that names no draft.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, NoReturn

import jsonschema_rs

from envs.json.keys import json_pointer
from envs.json.references import containers, expansion, is_recursive, objects

Listing = Literal["all", "first", "none"]

CACHED_SCHEMAS = 1024
EXPANSION = 10_000
LISTED_ERRORS = 32
MESSAGE_CHARACTERS = 200
LISTING_COST = 20_000
LISTED_CHARACTERS = 16_384
ALTERNATIVES = ("anyOf", "oneOf")
# Whether what stands inside them applies depends on parts of the value that may come later in the text.
CONDITIONS = frozenset("if then else not dependentSchemas dependencies unevaluatedProperties unevaluatedItems".split())
# Kinds of errors by which the library says that it could not tell.
GAVE_UP = (
    jsonschema_rs.ValidationErrorKind.BacktrackLimitExceeded,
    jsonschema_rs.ValidationErrorKind.RegexEngineFailure,
)
# Far below the library's own million: an answer may hold thousands of strings, each of which comes close to it.
PATTERNS = jsonschema_rs.FancyRegexOptions(backtrack_limit=20_000)

# Formats that drafts 4 to 7 do not know although their schemas use them.
UUID = jsonschema_rs.validator_for({"format": "uuid"}, validate_formats=True)
DURATION = jsonschema_rs.validator_for({"format": "duration"}, validate_formats=True)


@dataclass(frozen=True, kw_only=True)
class SchemaError:
    """One way in which a value breaks its schema."""

    keyword: str
    """The schema keyword that failed: ``required``, ``type``, ``additionalProperties`` ..."""
    pointer: str
    """JSON Pointer (RFC 6901) to the part of the value that breaks it; empty: the value itself. The library leaves out
    empty keys and writes keys like ``007`` as 7."""
    message: str


@dataclass(frozen=True, kw_only=True)
class Validation:
    """What a schema says of a value."""

    is_valid: bool
    found: Sequence[jsonschema_rs.ValidationError] = ()
    """The library's own errors."""
    listing: Listing = "all"
    """Which errors were found. Listing all of them could take long: then only the first, none where even that might."""
    is_undecided: bool = False
    """Nothing is wrong but that a regular expression of the schema gave up: neither valid nor invalid."""

    @property
    def errors(self) -> tuple[SchemaError, ...]:
        """The first 32 of the errors that were found."""
        return tuple([_schema_error(error) for error in self.found[:LISTED_ERRORS]])


VALID = Validation(is_valid=True)


@dataclass(frozen=True, kw_only=True, eq=False)
class CompiledSchema:
    """A schema ready to validate, or why it cannot. Equal only to itself."""

    defect: str | None = None
    """Why the schema does not compile; None when it does."""
    schema: Any = None
    """The schema as a Python value."""
    validator: Any = None
    nodes: int = 0
    """Objects and arrays of the schema."""
    alternatives: int = 0
    """The longest ``anyOf`` or ``oneOf``."""
    is_recursive: bool = False
    has_conditions: bool = False
    """It has keywords of ``CONDITIONS``."""

    def validate(self, value: Any, text: str) -> Validation:
        """Judges a parsed value; ``text`` is what it was parsed from (its length bounds what a listing may cost)."""
        if self.validator.is_valid(value):
            return VALID
        found, listing = self._errors(value, text)
        is_undecided = bool(found) and all(isinstance(error.kind, GAVE_UP) for error in found)
        return Validation(is_valid=False, found=found, listing=listing, is_undecided=is_undecided)

    def _errors(self, value: Any, text: str) -> tuple[list[jsonschema_rs.ValidationError], Listing]:
        # The library builds every error before it hands out the first, and an error of anyOf or oneOf carries those
        # of each alternative. Checking alone is always fast.
        if (
            self.is_recursive
            and self.alternatives > 1
            and self.alternatives ** _depth(value) * self.nodes > LISTING_COST
        ):
            # Alternatives that contain themselves: the errors of each level contain those of the next, once a branch.
            return [], "none"
        if len(text) <= LISTED_CHARACTERS and self._is_cheap(value, text):
            return list(self.validator.iter_errors(value)), "all"
        try:
            self.validator.validate(value)
        except jsonschema_rs.ValidationError as error:
            return [error], "first"
        return [], "none"

    def _is_cheap(self, value: Any, text: str) -> bool:
        """Listing all errors takes no long time. A value has at most half as many parts as its text has characters."""
        cost = self.nodes if self.alternatives else 1
        return (len(text) + 1) // 2 * cost <= LISTING_COST or _count(value) * cost <= LISTING_COST


@lru_cache(maxsize=CACHED_SCHEMAS)
def compile_schema(
    text: str, *, should_check_formats: bool = True, documents: jsonschema_rs.Registry | None = None
) -> CompiledSchema:
    """The validator of a schema given as JSON text. Cached by content; never raises: see ``CompiledSchema.defect``.

    Args:
        text: the schema.
        should_check_formats: ``format`` is an assertion.
        documents: schemas in memory that references may lead to besides; they are never fetched either.
    """
    try:
        schema = json.loads(text)
        if expansion(schema) > EXPANSION:
            return CompiledSchema(defect=f"more than {EXPANSION} schemas apply to one value")
        validator = jsonschema_rs.validator_for(
            schema,
            validate_formats=should_check_formats,
            formats={"uuid": UUID.is_valid, "duration": DURATION.is_valid} if should_check_formats else None,
            retriever=_refuse,
            registry=documents,
            pattern_options=PATTERNS,
        )
        keywords = {key for node in objects(schema) for key in node}
        return CompiledSchema(
            schema=schema,
            validator=validator,
            nodes=sum(1 for _ in containers(schema)),
            alternatives=max((len(node.get(key, ())) for node in objects(schema) for key in ALTERNATIVES), default=0),
            is_recursive=is_recursive(schema),
            has_conditions=not keywords.isdisjoint(CONDITIONS),
        )
    except (ValueError, TypeError, RecursionError) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        return CompiledSchema(defect=reason[0][:MESSAGE_CHARACTERS])


def _count(value: Any) -> int:
    """How many values there are in a value, itself included."""
    count, waiting = 1, [value]
    while waiting:
        node = waiting.pop()
        if type(node) is dict or type(node) is list:
            count += len(node)
            waiting += node.values() if type(node) is dict else node
    return count


def _depth(value: Any) -> int:
    """How deep arrays and objects nest."""
    depth, level = 0, [value]
    while level := [node for node in level if type(node) is dict or type(node) is list]:
        depth += 1
        level = [item for node in level for item in (node.values() if type(node) is dict else node)]
    return depth


def _schema_error(error: jsonschema_rs.ValidationError) -> SchemaError:
    return SchemaError(
        keyword=error.kind.name, pointer=json_pointer(error.instance_path), message=error.message[:MESSAGE_CHARACTERS]
    )


def _refuse(uri: str) -> NoReturn:
    raise ValueError(f"the reference '{uri}' leaves the schema")
