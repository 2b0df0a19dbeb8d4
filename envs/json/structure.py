"""How much of a schema's structure at the top level a value meets (ours).

RL-Struct reports "structural accuracy": all required keys there, of the right types, and no others; its formula is not
public. Here, for an object with the keys V under a schema that requires the keys R,

    structure = |met| / |R + V|, the union; 1 when it is empty

where a key is met that is in V, that the schema allows, and whose value is of a type that the schema allows there. A
value of another type than the schema's, or none at all, has 0, and one that is rightly no object 1. Of alternatives
(``anyOf``, ``oneOf``) the one counts that is met best. Types are read from ``type``, ``const`` and ``enum``, through
references within the document and combinators; constraints on the values, nested structure and conditions are not. A
regular expression for keys that gives up does not allow the key; after 100 times none is asked any more.

Beside it, for tasks that ask for an instance and have no gold, how much of what the schema names is filled in: with N
the keys that the schema names at the top level,

    coverage = |{k in N : V has k, and its value is not null, "", [] or {}}| / |N|

of the alternative that is covered best; 1 where the schema names none, and else 0 for a value that is no object.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice, product
from typing import Any

import jsonschema_rs

from envs.json.keys import Keys, keys_at_the_top
from envs.json.references import resolve
from envs.json.schema import ALTERNATIVES, CACHED_SCHEMAS, CompiledSchema, gave_up

OUTLINES = 32
"""Combinations of alternatives that are looked at."""
STEPS = 10_000
"""Schemas that are visited at most to read one outline."""
GIVE_UPS = 100
"""Keys on which a regular expression may give up before the others of a value are not asked for."""
EVERY_TYPE = frozenset({"object", "array", "string", "number", "integer", "boolean", "null"})
TYPE_NAMES: dict[type, str] = {
    dict: "object",
    list: "array",
    str: "string",
    bool: "boolean",
    int: "integer",
    type(None): "null",
}
Types = frozenset[str]


@dataclass(frozen=True, kw_only=True)
class _Part:
    """What one schema of several that hold at once says of an object's keys."""

    types: Types = EVERY_TYPE
    """Types of the value itself."""
    required: frozenset[str] = frozenset()
    members: Mapping[str, Types]
    """Named keys and the types of what stands there."""
    patterns: Mapping[str, Any]
    """Regular expressions of further keys, and their validators."""
    is_open: bool = True
    """Further keys are allowed."""

    def allows(self, key: str, type_name: str, matches: "_Matches") -> bool:
        types = self.members.get(key)
        if types is not None:
            return type_name in types
        return self.is_open or any(
            matches.is_match(pattern, validator, key) for pattern, validator in self.patterns.items()
        )


_Outline = tuple[_Part, ...]


class _Matches:
    """Which regular expressions match which keys of one value: each pair is asked for once."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], bool] = {}
        self._give_ups = 0

    def is_match(self, pattern: str, validator: Any, key: str) -> bool:
        known = self._known.get((pattern, key))
        if known is None:
            known = self._known[pattern, key] = self._give_ups < GIVE_UPS and self._ask(validator, key)
        return known

    def _ask(self, validator: Any, key: str) -> bool:
        try:
            validator.validate(key)
        except jsonschema_rs.ValidationError as error:
            self._give_ups += gave_up(error)
            return False
        return True


def structure(value: Any, schema: CompiledSchema) -> float:
    """The share of the schema's structure that a value meets, in [0, 1]."""
    matches = _Matches()
    return max(_share(value, outline, matches) for outline in _outlines(schema))


def coverage(value: Any, schema: CompiledSchema) -> float:
    """The share of the keys that the schema names which a value fills in, in [0, 1]; 1 when it names none."""
    named = [keys for outline in _outlines(schema) if (keys := frozenset[str]().union(*(p.members for p in outline)))]
    if not named:
        return 1.0
    filled = {key for key, item in value.items() if not _is_empty(item)} if isinstance(value, dict) else set()
    return max(len(filled & keys) / len(keys) for keys in named)


@lru_cache(maxsize=CACHED_SCHEMAS)
def required_keys(schema: CompiledSchema) -> Keys:
    """The keys that every object under the schema needs at the top level, sorted."""
    required = [_required(outline) for outline in _outlines(schema)]
    return keys_at_the_top(sorted(frozenset.intersection(*required)))


def _share(value: Any, outline: _Outline, matches: _Matches) -> float:
    type_name = _type_of(value)
    for part in outline:
        if type_name not in part.types:
            return 0.0
    if type_name != "object":
        return 1.0
    keys = value.keys() | _required(outline)
    if not keys:
        return 1.0
    met = 0
    for key, item in value.items():
        type_name = _type_of(item)
        for part in outline:
            if not part.allows(key, type_name, matches):
                break
        else:
            met += 1
    return met / len(keys)


def _is_empty(item: Any) -> bool:
    return item is None or (isinstance(item, str | list | dict) and not item)


def _required(outline: _Outline) -> frozenset[str]:
    return outline[0].required if len(outline) == 1 else frozenset[str]().union(*(part.required for part in outline))


def _type_of(value: Any) -> str:
    if type(value) is float:
        return "integer" if value.is_integer() else "number"
    return TYPE_NAMES[type(value)]


@lru_cache(maxsize=CACHED_SCHEMAS)
def _outlines(schema: CompiledSchema) -> tuple[_Outline, ...]:
    return tuple(_Reader(schema).outlines(schema.schema))


class _Reader:
    """Reads the outlines of one schema; what would take too long, or leads back to itself, constrains nothing."""

    def __init__(self, schema: CompiledSchema) -> None:
        self._root = schema.schema
        self._pattern_options = schema.pattern_options
        self._steps = STEPS
        self._open: set[int] = set()

    def outlines(self, schema: Any) -> list[_Outline]:
        """The parts that hold at once, for each choice among the alternatives; at least one."""
        if schema is False:
            return [(_Part(types=frozenset(), members={}, patterns={}),)]
        if not self._enter(schema):
            return [()]
        choices: list[list[_Outline]] = [[(self._part(schema),)]]
        choices += [self.outlines(branch) for branch in self._conjuncts(schema)]
        for branches in _alternatives(schema):
            choices.append([outline for branch in branches for outline in self.outlines(branch)])
        self._open.discard(id(schema))
        combinations = islice(product(*choices), OUTLINES)
        return [tuple(part for outline in combination for part in outline) for combination in combinations]

    def types(self, schema: Any) -> Types:
        """The types that a schema allows; too many rather than too few."""
        if schema is False:
            return frozenset()
        if not self._enter(schema):
            return EVERY_TYPE
        types = _own_types(schema)
        for branch in self._conjuncts(schema):
            types &= self.types(branch)
        for branches in _alternatives(schema):
            types &= frozenset[str]().union(*map(self.types, branches))
        self._open.discard(id(schema))
        return types

    def _enter(self, schema: Any) -> bool:
        self._steps -= 1
        if self._steps < 0 or not isinstance(schema, dict) or id(schema) in self._open:
            return False
        self._open.add(id(schema))
        return True

    def _conjuncts(self, schema: dict[str, Any]) -> list[Any]:
        reference = schema.get("$ref")
        target = [resolve(self._root, reference)] if isinstance(reference, str) else []
        return target + _branches(schema, "allOf")

    def _part(self, schema: dict[str, Any]) -> _Part:
        required, patterns = schema.get("required"), _mapping(schema, "patternProperties")
        above, self._open = self._open, set()  # a member may well be what its object is
        members = {key: self.types(member) for key, member in _mapping(schema, "properties").items()}
        self._open = above
        return _Part(
            types=_own_types(schema),
            required=frozenset(required) if isinstance(required, list) else frozenset(),
            members=members,
            patterns={
                pattern: jsonschema_rs.validator_for({"pattern": pattern}, pattern_options=self._pattern_options)
                for pattern in patterns
            },
            is_open=schema.get("additionalProperties") is not False,
        )


def _own_types(schema: dict[str, Any]) -> Types:
    named = schema.get("type")
    types = EVERY_TYPE if named is None else frozenset([named] if isinstance(named, str) else named)
    if "number" in types:
        types |= {"integer"}
    if isinstance(values := schema.get("enum"), list):
        types &= frozenset(map(_type_of, values))
    return types & {_type_of(schema["const"])} if "const" in schema else types


def _alternatives(schema: dict[str, Any]) -> Iterator[list[Any]]:
    return (branches for key in ALTERNATIVES if (branches := _branches(schema, key)))


def _branches(schema: dict[str, Any], key: str) -> list[Any]:
    branches = schema.get(key)
    return branches if isinstance(branches, list) else []


def _mapping(schema: dict[str, Any], key: str) -> dict[str, Any]:
    found = schema.get(key)
    return found if isinstance(found, dict) else {}
