"""Compiled JSON Schemas: is a value valid, and if not, where and why.

All drafts, by ``$schema``; without one, 2020-12. ``format`` is asserted in every draft unless told otherwise (the
drafts leave it to the application; the labels of MaskBench assert it). A ``$ref`` that leaves the document is a defect
of the schema: nothing is ever fetched. So is one that applies more than 10,000 schemas to a single value, and a
``$schema`` that names no draft.

Regular expressions that may backtrack share a limit of 20,000 steps a string, at least 1,000 each. A string on which
one gives up does not obey the schema, as an answer that is too long or too deep is not read: who writes the string
chooses what it costs, so that "could not tell" would be a way out for an answer that is wrong. A gold of that kind is
defective.
"""

import json
import re
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
NAMES_COST = 1_000_000
ALTERNATIVES = ("anyOf", "oneOf")
# Whether what stands inside them applies depends on parts of the value that may come later in the text.
CONDITIONS = frozenset("if then else not dependentSchemas dependencies unevaluatedProperties unevaluatedItems".split())
# Kinds of errors by which the library says that it could not tell.
GAVE_UP = (
    jsonschema_rs.ValidationErrorKind.BacktrackLimitExceeded,
    jsonschema_rs.ValidationErrorKind.RegexEngineFailure,
)
# Far below the library's own million: an answer may hold thousands of strings, each of which comes close to it.
BACKTRACKING = 20_000
LEAST_BACKTRACKING = 1_000
# What a regular expression has that can not be matched in linear time: looking around, referring back. Too much rather
# than too little.
MAY_BACKTRACK = re.compile(r"\(\?[^:]|\\[1-9kgGKZ]")
# Where strings may backtrack, to look for the errors of a value costs as if it were so many.
BACKTRACKING_COST = 40

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
    has_given_up: bool = False
    """All errors that were found are regular expressions that gave up: invalid by their limit alone, so far as known,
    for they keep the library from looking further."""

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
    pattern_options: jsonschema_rs.FancyRegexOptions | None = None
    """How its regular expressions are compiled."""
    may_backtrack: bool = False
    """It has regular expressions that may give up."""
    name_schemas: int = 0
    """Objects and arrays of its ``propertyNames``."""

    def validate(self, value: Any) -> Validation:
        """Judges a parsed value, the same whatever notation it was written in: the text does not count."""
        if self.validator.is_valid(value):
            return VALID
        found, listing = self._errors(value)
        has_given_up = bool(found) and all(gave_up(error) for error in found)
        return Validation(is_valid=False, found=found, listing=listing, has_given_up=has_given_up)

    def _errors(self, value: Any) -> tuple[list[jsonschema_rs.ValidationError], Listing]:
        # The library builds every error before it hands out the first, and an error of anyOf or oneOf carries those
        # of each alternative. Checking alone is always fast.
        if (
            self.is_recursive
            and self.alternatives > 1
            and self.alternatives ** _depth(value) * self.nodes > LISTING_COST
        ):
            # Alternatives that contain themselves: the errors of each level contain those of the next, once a branch.
            return [], "none"
        count, characters = _size(value)
        if self.may_backtrack and self.name_schemas * count * count > LISTING_COST:
            return [], "none"  # each name on which one gives up costs a copy of its object, the first alone no less
        if self._is_cheap(count, characters):
            found = list(self.validator.iter_errors(value))
            if not all(gave_up(error) for error in found):
                return found, "all"
        # Where a regular expression gave up all errors are lost but those; the first may yet be another.
        try:
            self.validator.validate(value)
        except jsonschema_rs.ValidationError as error:
            return [error], "first"
        return [], "none"

    def _is_cheap(self, count: int, characters: int) -> bool:
        """Listing all errors of a value of this size takes no long time."""
        cost = max(self.nodes if self.alternatives else 1, BACKTRACKING_COST if self.may_backtrack else 1)
        if self.name_schemas * count * count > NAMES_COST:
            return False  # each error of a name holds a copy of its object
        # Two characters are the least that a value takes in JSON, with what separates it from the next.
        return 2 * count + characters <= LISTED_CHARACTERS and count * cost <= LISTING_COST


def gave_up(error: jsonschema_rs.ValidationError) -> bool:
    """The error says that a regular expression came to its limit."""
    return isinstance(error.kind, GAVE_UP)


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
        backtracking = sum(1 for pattern in _patterns(schema) if MAY_BACKTRACK.search(pattern))
        options = jsonschema_rs.FancyRegexOptions(
            backtrack_limit=max(LEAST_BACKTRACKING, BACKTRACKING // max(1, backtracking))
        )
        validator = jsonschema_rs.validator_for(
            schema,
            validate_formats=should_check_formats,
            formats={"uuid": UUID.is_valid, "duration": DURATION.is_valid} if should_check_formats else None,
            retriever=_refuse,
            registry=documents,
            pattern_options=options,
        )
        keywords = {key for node in objects(schema) for key in node}
        return CompiledSchema(
            schema=schema,
            validator=validator,
            nodes=sum(1 for _ in containers(schema)),
            alternatives=max((len(node.get(key, ())) for node in objects(schema) for key in ALTERNATIVES), default=0),
            is_recursive=is_recursive(schema),
            has_conditions=not keywords.isdisjoint(CONDITIONS),
            pattern_options=options,
            may_backtrack=backtracking > 0,
            name_schemas=sum(1 for node in objects(schema) for _ in containers(node.get("propertyNames"))),
        )
    except (ValueError, TypeError, RecursionError) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        return CompiledSchema(defect=reason[0][:MESSAGE_CHARACTERS])


def _patterns(schema: Any) -> set[str]:
    """Every regular expression of a schema, and what looks like one."""
    found: set[str] = set()
    for node in objects(schema):
        if isinstance(pattern := node.get("pattern"), str):
            found.add(pattern)
        if isinstance(by_pattern := node.get("patternProperties"), dict):
            found.update(by_pattern)
    return found


def _size(value: Any) -> tuple[int, int]:
    """How many values there are in a value, itself included, and the characters of its keys and strings."""
    count, characters, waiting = 1, 0, [value]
    while waiting:
        node = waiting.pop()
        if type(node) is str:
            characters += len(node)
        elif type(node) is dict:
            count += len(node)
            characters += sum(map(len, node))
            waiting += node.values()
        elif type(node) is list:
            count += len(node)
            waiting += node
    return count, characters


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
