"""Function calls as JSON, ``[{"name": ..., "arguments": {...}}]``: the schema of such answers, and how right they are.

The leaves of a call are its function's name and each of its arguments, whole: an argument that is an object or a list
is right or wrong. Values are equal as in ``envs.json.content``, or as ``CallsGold.has_loose_strings`` says.

A call of the value and one of the gold share their name, if it is the same, and then the arguments whose value is among
the right ones. Of all ways to pair the calls of the value with those of the gold, each at most once, that one counts in
which the pairs share most leaves, and of those the one with the smallest |G| (ordered calls are paired by position).
Of a value with more calls than the gold has only the first ones find a partner, as many as the gold has: otherwise a
list of candidates would earn more than an honest single call.
With P the leaves of the value, M those that its pairs share, and G the names and required arguments of the gold, along
with every optional argument that the partner gives:

    precision = |M| / |P|    recall = |M| / |G|    F1 = 2 |M| / (|P| + |G|)        (ours)

So an optional argument that is left out costs nothing and one with a wrong value costs both. The pairing is the linear
assignment problem (Kuhn 1955). Not covered: what a call would do.
"""

import json
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from envs.json.content import Agreement, leaf_count
from envs.json.task import Call, CallsGold

CALL_KEYS = frozenset({"name", "arguments"})
IGNORED_IN_LOOSE_STRINGS = str.maketrans("'", '"', " ,./-_*^")
# Beside these keywords ``additionalProperties: false`` would refuse what the schema names elsewhere, or says itself.
SAYS_ITSELF = frozenset({"additionalProperties", "unevaluatedProperties", "$ref", "allOf", "anyOf", "oneOf", "if"})
HOLDS_VALUES = frozenset({"const", "enum", "default", "examples"})
HOLDS_NAMES = frozenset({"properties", "patternProperties", "dependentSchemas", "$defs", "definitions"})


@dataclass(frozen=True, kw_only=True)
class _Given:
    """A call that the value holds."""

    function: str
    arguments: Mapping[str, Hashable]


@dataclass(frozen=True, kw_only=True)
class _Pair:
    """What a given call and a wanted one have in common."""

    shared: int
    optional: int
    """Optional arguments of the wanted call that are given."""


def compare_calls(value: Any, gold: CallsGold) -> Agreement:
    """How much of the gold's calls a parsed value holds; one call counts as a list of one.

    Time is linear in the value for a given gold; its depth must have been bounded by the parser.
    """
    items = value if isinstance(value, list) else [value]
    # No more calls are looked at than there should be: a list of candidates earns no more than its first ones.
    given = [_given(item, gold.has_loose_strings) for item in items[: len(gold.calls)]]
    of_value = sum(map(_leaves, items)) or 1
    of_gold = sum(1 + len(call.arguments.keys() - call.optional) for call in gold.calls) or 1
    pairs = _by_position(given, gold) if gold.is_ordered else _best_pairs(given, gold)
    shared = sum(pair.shared for pair in pairs)
    if not gold.calls and not items:
        shared = 1  # no call at all is a leaf, as an empty list is elsewhere
    of_gold += sum(pair.optional for pair in pairs)
    return Agreement(
        precision=shared / of_value,
        recall=shared / of_gold,
        f1=2 * shared / (of_value + of_gold),
        is_equal=shared == of_value == of_gold,
    )


def calls_value(gold: CallsGold) -> list[dict[str, Any]]:
    """The right value with the fewest arguments: of each the first right one, the optional ones left out."""
    return [
        {
            "name": call.function,
            "arguments": {
                name: json.loads(values[0]) for name, values in call.arguments.items() if name not in call.optional
            },
        }
        for call in gold.calls
    ]


def calls_schema(functions: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The JSON Schema of lists of calls of these functions.

    Args:
        functions: ``{name, description?, parameters?}``; ``parameters`` is a JSON Schema of the arguments (absent:
            there are none).
    """
    calls = []
    for place, function in enumerate(functions):
        step = f"/items/anyOf/{place}" if len(functions) > 1 else "/items"
        arguments = _moved(arguments_schema(function), f"#{step}/properties/arguments")
        calls.append(
            {
                "type": "object",
                "properties": {"name": {"const": function["name"]}, "arguments": arguments},
                "required": ["name", "arguments"],
                "additionalProperties": False,
            }
        )
    return {"type": "array", "items": calls[0] if len(calls) == 1 else {"anyOf": calls}}


def arguments_schema(function: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of a function's arguments; those that it does not name are refused unless it says otherwise itself."""
    arguments = dict(function.get("parameters") or {"type": "object", "properties": {}})
    arguments.pop("$schema", None)
    if not SAYS_ITSELF & arguments.keys():
        arguments["additionalProperties"] = False
    return arguments


def _moved(schema: Any, place: str) -> Any:
    """The schema with references that hold when it stands at ``place`` of another one."""
    if isinstance(schema, list):
        return [_moved(item, place) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    moved: dict[str, Any] = {}
    for key, part in schema.items():
        if key in HOLDS_NAMES and isinstance(part, Mapping):
            moved[key] = {name: _moved(member, place) for name, member in part.items()}
        elif key == "$ref" and isinstance(part, str) and (part == "#" or part.startswith("#/")):
            moved[key] = place + part[1:]
        else:
            moved[key] = part if key in HOLDS_VALUES else _moved(part, place)
    return moved


def _given(item: Any, is_loose: bool) -> _Given | None:
    """The call that an item of the value is; None when it is none."""
    if not isinstance(item, dict) or not isinstance(item.get("name"), str):
        return None
    arguments = item.get("arguments")
    if not isinstance(arguments, dict):
        arguments = {}
    return _Given(
        function=item["name"], arguments={name: _comparable(part, is_loose) for name, part in arguments.items()}
    )


def _leaves(item: Any) -> int:
    """The leaves of an item of the value. What does not belong to a call counts too, so that no such item is right."""
    if not isinstance(item, dict) or not isinstance(item.get("name"), str):
        return leaf_count(item)
    arguments = item.get("arguments")
    others = len(item.keys() - CALL_KEYS)
    return 1 + others + (len(arguments) if isinstance(arguments, dict) else 1)


def _pair(given: _Given | None, wanted: Call, is_loose: bool) -> _Pair:
    if given is None or given.function != wanted.function:
        return _Pair(shared=0, optional=0)
    shared, optional = 1, 0
    for name, value in given.arguments.items():
        if name in wanted.arguments:
            shared += value in _right_values(wanted.arguments[name], is_loose)
            optional += name in wanted.optional
    return _Pair(shared=shared, optional=optional)


def _by_position(given: Sequence[_Given | None], gold: CallsGold) -> list[_Pair]:
    return [_pair(call, wanted, gold.has_loose_strings) for call, wanted in zip(given, gold.calls, strict=False)]


def _best_pairs(given: Sequence[_Given | None], gold: CallsGold) -> list[_Pair]:
    known = {call.function for call in gold.calls}
    candidates = [call for call in given if call is not None and call.function in known]
    table = [[_pair(call, wanted, gold.has_loose_strings) for wanted in gold.calls] for call in candidates]
    if not table or len(table) == len(gold.calls) == 1:
        return [pair for row in table for pair in row]
    from scipy.optimize import linear_sum_assignment  # half a second: only those who call several functions pay

    # First the leaves shared, then the optional arguments: no sum of the latter outweighs one leaf.
    most_optional = 1 + sum(len(call.optional) for call in gold.calls)
    gains = [[pair.shared * most_optional - pair.optional for pair in row] for row in table]
    rows, columns = linear_sum_assignment(gains, maximize=True)
    return [table[row][column] for row, column in zip(rows, columns, strict=True)]


@lru_cache(maxsize=4096)
def _right_values(texts: tuple[str, ...], is_loose: bool) -> frozenset[Hashable]:
    return frozenset(_comparable(json.loads(text), is_loose) for text in texts)


def _comparable(value: Any, is_loose: bool) -> Hashable:
    """A form of a JSON value that is equal for equal values: numbers by value, true and false no numbers."""
    if isinstance(value, dict):
        return "object", frozenset((key, _comparable(part, is_loose)) for key, part in value.items())
    if isinstance(value, list):
        return "array", tuple(_comparable(part, is_loose) for part in value)
    if isinstance(value, bool):
        return "boolean", value
    if isinstance(value, str) and is_loose:
        return value.lower().translate(IGNORED_IN_LOOSE_STRINGS)
    return value
