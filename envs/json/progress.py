"""How far an answer got before it went wrong (ours; the dense reward of SRL is paid from it).

Take the n lexical tokens of the value (``envs.json.tokens``), or of the broken text where there is none, and let k of
them come before the first after which no continuation could be valid. Then

    progress = 1             if the value is valid
               k / (n + 1)   otherwise

so that the end of the answer counts as a token that only a valid answer reaches, and a longer prefix of a valid answer
never has less. The order of the keys is the answer's own: no order is asked for. A token goes wrong where the syntax,
or an error of the schema, rules it out:

* a wrong type, or ``false``: the value's first token; a number, string or constant: itself;
* a key that is not allowed: that key; one element or key too many: the first that is;
* a missing key or element, ``contains``, ``uniqueItems``, ``const`` and ``enum`` of an array or object: its closing
  bracket, for until then it may be mended;
* ``anyOf``, ``oneOf``: the latest of the places at which its branches go wrong; where several of ``oneOf`` hold, the
  closing bracket;
* whatever stands below ``if``, ``then``, ``else``, ``not``, ``dependentSchemas``, ``dependencies`` or an
  ``unevaluated...``: the closing bracket of the value that the keyword applies to, since what comes later may change
  whether it holds.

A broken text is validated as far as it goes: its open brackets are closed, and errors at brackets that the answer never
wrote are no errors yet. Not covered: contradictions that only a solver sees, such as ``"minimum": 2, "maximum": 1``
before the number is written; and errors of which the library does not say clearly where they are, beside empty keys:
they count as if at the end (``envs.json.places``).

Why not the tokens that llguidance accepts: it refuses a part of real schemas, and keys in another order than the
schema's. Where it compiles a schema strictly, it accepts no token that this measure refuses, which is tested.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any

import jsonschema_rs

from envs.json.parsing import Limits
from envs.json.places import Places
from envs.json.schema import ALTERNATIVES, CONDITIONS, CompiledSchema, Listing, Validation
from envs.json.tokens import prefix_of

KEYED = frozenset({"properties", "patternProperties"})
STEPS = frozenset({"additionalProperties", "additionalItems", "items", "prefixItems", "contains"})
NUMBERED = frozenset({"items", "prefixItems", "additionalItems"})
AT_THE_START = frozenset({"type", "falseSchema"})
AT_A_POSITION = frozenset({"maxItems", "maxProperties", "additionalItems"})


def progress_of_value(value: Any, validation: Validation, schema: CompiledSchema) -> float:
    """The progress of an answer in which a value was found that is not valid.

    Args:
        value: the value.
        validation: what the schema says of it.
        schema: the schema.
    """
    places = Places(value)
    return _first_wrong(places, validation, schema) / (places.total + 1)


def progress_of_fragment(fragment: str, schema: CompiledSchema, limits: Limits) -> tuple[float, Listing]:
    """The progress of an answer in which no value was found, and which errors of the schema were looked for.

    Args:
        fragment: the text from where a value was looked for.
        schema: the schema.
        limits: what is too long a number, too deep a value.
    """
    prefix = prefix_of(fragment, limits)
    if not prefix.accepted:
        return 0.0, "all"
    value = json.loads(prefix.text)
    validation = schema.validate(value)
    wrong = prefix.own if validation.is_valid else _first_wrong(Places(value), validation, schema)
    return (wrong if wrong < prefix.own else prefix.accepted) / (prefix.total + 1), validation.listing


def _first_wrong(places: Places, validation: Validation, schema: CompiledSchema) -> int:
    """How many tokens come before the first that goes wrong; all, when no error is known."""
    if not validation.found:
        return places.total
    return _earliest(validation.found, places, schema.has_conditions)


def _earliest(errors: Iterable[jsonschema_rs.ValidationError], places: Places, has_conditions: bool) -> int:
    return min([_place(error, places, has_conditions) for error in errors])


def _place(error: jsonschema_rs.ValidationError, places: Places, has_conditions: bool) -> int:
    kind: Any = error.kind
    name, path = kind.name, error.instance_path
    if has_conditions and (depth := _condition_depth(error.evaluation_path)) is not None:
        return places.end(path[:depth])
    if name in AT_THE_START:
        return places.start(path)
    if name in ALTERNATIVES:
        branches = kind.context
        # A branch without errors holds: then too many of oneOf do.
        is_open = all(branches)
        return max(_earliest(branch, places, has_conditions) for branch in branches) if is_open else places.end(path)
    if name == "additionalProperties":
        return places.first_key(path, kind.unexpected)
    if name == "propertyNames":
        return places.first_key(path, [kind.error.instance])
    if name in AT_A_POSITION:
        return places.member(path, kind.limit)
    return places.end(path)


def _condition_depth(path: Sequence[str | int]) -> int | None:
    """How deep in the value the first condition stands on the way to an error; None when there is none.

    Args:
        path: keywords, and after some of them a key or a number, as the library's ``evaluation_path`` has them.
    """
    depth = place = 0
    while place < len(path):
        keyword = path[place]
        if keyword in CONDITIONS:
            return depth
        place += 1
        if keyword in KEYED:
            depth += 1
            place += 1
        elif keyword in STEPS:
            depth += 1
            place += keyword in NUMBERED and place < len(path) and isinstance(path[place], int)
    return None
