"""Wider JSON Schemas in place of those that llguidance refuses even leniently.

Only what llguidance names as its reason is taken out, and only so that every valid value stays valid: answers are then
validated by the schema itself. Not covered: reasons that are no limit of llguidance, such as a schema that nothing
obeys.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any

from decoding.grammars.leniency import AFTERWARDS
from decoding.grammars.schema_nodes import schema_nodes
from envs.grammar import Grammar

# What may stand beside a reference without saying anything about a value.
_NO_CONSTRAINTS = frozenset(
    "$ref $id id $schema $anchor $comment $defs definitions title description default examples x-guidance".split()
)


def widened(schema: Any, reason: str) -> tuple[Any, list[str]] | None:
    """A wider schema without what llguidance refused, and what was taken out, by JSON Pointers.

    Args:
        schema: a JSON value; it is not changed.
        reason: llguidance's error.

    Returns:
        None where nothing can be taken out for this reason.
    """
    for take_out in next((functions for part, functions in _REASONS.items() if part in reason), ()):
        wider = deepcopy(schema)
        places = [place for pointer, node in list(schema_nodes(wider)) for place in take_out(pointer, node, reason)]
        if places:
            return wider, places
    return None


def with_schemas(grammar: Grammar, change: Callable[[str], str]) -> Grammar:
    """The grammar with each of its JSON Schemas changed."""
    if grammar.kind == "json_schema":
        return replace(grammar, source=change(grammar.source))
    regions = tuple(
        replace(
            region,
            blocks=tuple(
                block if block.content is None else replace(block, content=with_schemas(block.content, change))
                for block in region.blocks
            ),
        )
        for region in grammar.regions
    )
    return replace(grammar, regions=regions) if regions else grammar


def _siblings(pointer: str, node: dict[str, Any], reason: str) -> Iterator[str]:
    if "$ref" in node:
        for key in [key for key in node if key not in _NO_CONSTRAINTS]:
            del node[key]
            yield f"{pointer}/{key}: not enforced by the mask beside $ref, {AFTERWARDS}"


def _patterns(pointer: str, node: dict[str, Any], reason: str) -> Iterator[str]:
    # The reason quotes a pattern on one line, and the first part of a long one.
    pattern = node.get("pattern")
    if isinstance(pattern, str) and " ".join(pattern.split())[:40] in reason:
        del node["pattern"]
        yield f"{pointer}/pattern: not enforced by the mask, {AFTERWARDS}"
    yield from _pattern_properties(pointer, node, reason, of=reason)


def _pattern_properties(pointer: str, node: dict[str, Any], reason: str, *, of: str | None = None) -> Iterator[str]:
    """Takes out all members by pattern; ``of``: only where one of the patterns is in this text."""
    patterns = node.get("patternProperties")
    if not isinstance(patterns, dict) or (of is not None and not any(pattern[:40] in of for pattern in patterns)):
        return
    # Without the patterns, other members are members that they might have allowed.
    for key in ("patternProperties", "additionalProperties"):
        if key in node:
            del node[key]
            yield f"{pointer}/{key}: not enforced by the mask, {AFTERWARDS}"


def _conjunctions(pointer: str, node: dict[str, Any], reason: str) -> Iterator[str]:
    if "allOf" in node:
        del node["allOf"]
        yield f"{pointer}/allOf: not enforced by the mask, {AFTERWARDS}"


# The first that takes anything out.
_REASONS: Mapping[str, Sequence[Callable[[str, dict[str, Any], str], Iterator[str]]]] = {
    "sibling keys": (_siblings, _conjunctions),
    "not disjoint": (_pattern_properties,),
    "look-around": (_patterns,),
    "lookaround": (_patterns,),
    "regex parse error": (_patterns,),
    "Unable to determine if regex is empty": (_patterns,),
    "intersection stack level": (_conjunctions,),
}
