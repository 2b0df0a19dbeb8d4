"""A tree of XML elements to a JSON value: the schema decides which kind of value each element is.

The rules are those of ``envs.json.xml_answers``.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from envs.json.parsing import WHITESPACE, Limits
from envs.json.xml_elements import ESCAPED, Element, XmlDefect, unescaped
from envs.json.xml_schema import Reading, SchemaView, alternatives, is_closed, properties, required

NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
WORDS = {"null": None, "true": True, "false": False}
NOT_FINITE = frozenset({"NaN", "Infinity", "-Infinity", "INF", "-INF"})
COMPARED_CHILDREN = 64
"""Children by which an alternative is chosen; what the others hold does not change the choice."""
EMPTY = (Reading(kind="array"), Reading(kind="object"), Reading(kind="null"))


def read(element: Element, view: SchemaView, limits: Limits) -> Any:
    """The value of a root element.

    Raises:
        XmlDefect: it breaks a limit, repeats a key, or is of a kind that is refused.
    """
    return XmlReader(view=view, limits=limits).read(element, [view.root], 0)


@dataclass(frozen=True, kw_only=True)
class XmlReader:
    """Reads elements at places of one schema."""

    view: SchemaView
    limits: Limits

    def read(self, element: Element, schemas: Sequence[Any], depth: int) -> Any:
        """The value of an element to which all of ``schemas`` apply, inside ``depth`` arrays and objects."""
        reading = self.reading(element, schemas)
        if reading.kind not in ("array", "object"):
            return self._scalar(reading, element)
        if depth == self.limits.depth:
            raise XmlDefect("too deep")
        if not element.children:
            return [] if reading.kind == "array" else {}
        inner = self.children_schemas(element, reading, schemas)
        values = [self.read(child, at, depth + 1) for child, at in zip(element.children, inner, strict=True)]
        if reading.kind == "array":
            return values
        members = {child.key: value for child, value in zip(element.children, values, strict=True)}
        if len(members) < len(values):
            raise XmlDefect("duplicate key")
        return members

    def reading(self, element: Element, schemas: Sequence[Any]) -> Reading:
        """The first reading that all schemas allow; where they allow none, the first."""
        readings = self._readings(element)
        if len(readings) > 1:
            for reading in readings:
                if all(self.view.allows(schema, reading) for schema in schemas):
                    return reading
        return readings[0]

    def children_schemas(self, element: Element, reading: Reading, schemas: Sequence[Any]) -> list[list[Any]]:
        """The schemas that apply to each child of an array or object."""
        places = self._places(element, schemas)
        if reading.kind == "array":
            return [self.view.items(places, position) for position in range(len(element.children))]
        return [self.view.members(places, child.key) for child in element.children]

    def _readings(self, element: Element) -> Sequence[Reading]:
        """All ways to read an element, the more special first."""
        if element.type is not None:
            return [self._stated(element, element.type)]
        if element.children:
            is_list = all(child.is_item for child in element.children)
            return EMPTY[:2] if is_list else EMPTY[1:2]
        text = element.text
        string = Reading(kind="string", value=text)
        word = text.strip(WHITESPACE)
        if not word:
            return [string, *EMPTY]
        if word in WORDS:
            return [Reading(kind="null" if word == "null" else "boolean", value=WORDS[word]), string]
        if word in NOT_FINITE:
            return [string, Reading(kind="number", value=math.nan)]
        number = self._number(word)
        return [string] if number is None else [number, string]

    def _number(self, word: str) -> Reading | None:
        match = NUMBER.fullmatch(word)
        if match is None:
            return None
        if len(word) > self.limits.number_characters:
            return Reading(kind="number")
        return Reading(kind="number", value=float(word) if match.group(1) or match.group(2) else int(word))

    def _stated(self, element: Element, kind: str) -> Reading:
        """What the attribute ``type`` says, if the content can be that."""
        word = element.text.strip(WHITESPACE)
        if kind in ("string", ESCAPED) and not element.children:
            return Reading(kind="string", value=unescaped(element.text) if kind == ESCAPED else element.text)
        if kind == "array" and not word and all(child.is_item for child in element.children):
            return EMPTY[0]
        if kind == "object" and not word:
            return EMPTY[1]
        if kind == "null" and word in ("", "null") and not element.children:
            return EMPTY[2]
        if kind == "boolean" and word in ("true", "false"):
            return Reading(kind="boolean", value=WORDS[word])
        if kind == "number":
            number = Reading(kind="number", value=math.nan) if word in NOT_FINITE else self._number(word)
            if number is not None:
                return number
        raise XmlDefect("not xml")

    def _scalar(self, reading: Reading, element: Element) -> Any:
        if reading.kind == "number":
            if reading.value is None:
                raise XmlDefect("number too long")
            if not math.isfinite(reading.value):
                raise XmlDefect("not finite")
        return reading.value

    def _places(self, element: Element, schemas: Sequence[Any]) -> list[dict[str, Any]]:
        """The schemas and all that apply with them, once it is decided which alternatives do."""
        found: dict[int, dict[str, Any]] = {}
        waiting = list(reversed(schemas))
        while waiting:
            for place in self.view.conjuncts(waiting.pop()):
                if id(place) in found:
                    continue
                found[id(place)] = place
                for branches in alternatives(place):
                    waiting.append(self._chosen(branches, element))
                if "if" in place:
                    waiting.append(place.get("then" if self._fits(place["if"], element, {}) else "else"))
        return list(found.values())

    def _chosen(self, branches: list[Any], element: Element) -> Any:
        """The first branch that fits the element; where none does, the first of those that know most of its keys."""
        if len(branches) == 1:
            return branches[0]
        known: dict[int, bool] = {}
        for branch in branches:
            if self._fits(branch, element, known):
                return branch
        keys = {child.key for child in element.children}
        return max(branches, key=lambda branch: len(keys & self._named_keys(branch)))

    def _named_keys(self, schema: Any) -> set[str]:
        return {key for place in self.view.conjuncts(schema) for key in properties(place)}

    def _fits(self, schema: Any, element: Element, known: dict[int, bool]) -> bool:
        """False when a key, or the type or constant of the element or a child of it, rules the schema out.

        Args:
            schema: what may apply to the element.
            known: what was found of other schemas for the same element, by identity; is filled in.
        """
        if id(schema) in known:
            return known[id(schema)]
        known[id(schema)] = True  # until it is known: a schema that leads back to itself adds nothing
        reading = next((one for one in self._readings(element) if self.view.allows(schema, one)), None)
        is_fitting = reading is not None
        if reading is not None:
            places = self.view.conjuncts(schema)
            fits_children = self._fits_items if reading.kind == "array" else self._fits_members
            is_fitting = fits_children(places, element) and all(
                any(self._fits(branch, element, known) for branch in branches)
                for place in places
                for branches in alternatives(place)
            )
        known[id(schema)] = is_fitting
        return is_fitting

    def _fits_items(self, places: list[dict[str, Any]], element: Element) -> bool:
        return all(
            self._may_be(child, self.view.items(places, position))
            for position, child in enumerate(element.children[:COMPARED_CHILDREN])
        )

    def _fits_members(self, places: list[dict[str, Any]], element: Element) -> bool:
        keys = {child.key for child in element.children}
        for place in places:
            if not keys.issuperset(required(place)) or (is_closed(place) and not keys <= properties(place).keys()):
                return False
        return all(
            self._may_be(child, [properties(place)[child.key] for place in places if child.key in properties(place)])
            for child in element.children[:COMPARED_CHILDREN]
        )

    def _may_be(self, element: Element, schemas: list[Any]) -> bool:
        return not schemas or any(
            all(self.view.allows(schema, reading) for schema in schemas) for reading in self._readings(element)
        )
