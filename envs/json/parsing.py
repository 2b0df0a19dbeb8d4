"""Hostile text to a JSON value, or the category of what is wrong with it.

Stricter than ``json.loads``: duplicate keys, NaN and Infinity, numbers that overflow a double, numbers of a thousand
digits, deep nesting and lone surrogates are errors, and length and depth are bounded before anything is parsed. No
text takes more than time linear in its length. Repairing broken JSON is not covered: what does not parse is not JSON.
"""

import json
import math
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

ParseError = Literal[
    "no answer",
    "too long",
    "not json",
    "not xml",
    "not yaml",
    "entity",
    "tag",
    "too deep",
    "duplicate key",
    "not finite",
    "number too long",
    "lone surrogate",
    "extra text",
]

CANDIDATES = 256
"""Bracketed stretches of a text that are tried; prose with more of them in front of its value is not JSON."""
WHITESPACE = " \t\n\r"
# A string (its closing quote optional, so that no text makes the scan quadratic) or one bracket.
STRUCTURE = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[\]{}]', re.DOTALL)
OPENING = re.compile(r"[\[{]")
SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What an answer may cost; beyond it the answer is an error, not an exception."""

    characters: int = 65_536
    depth: int = 64
    """Arrays and objects inside each other."""
    number_characters: int = 400
    """Characters of one number; CPython's own integer conversion is quadratic in them."""


@dataclass(frozen=True, kw_only=True)
class Parsed:
    """The value found in a text. ``error`` is None only when the value is all that the text holds."""

    error: ParseError | None = None
    text: str | None = None
    """The text that was taken as the answer: the value's own, or all of it when no value was found."""
    is_found: bool = False
    value: Any = None
    """The value when ``is_found``; JSON's null is None as well."""
    has_extra_text: bool = False
    """There is something other than white space beside the value."""
    fragment: str | None = None
    """Of JSON, where no value was found: the text from where one was last looked for."""


class _Defect(ValueError):
    """A value that ``json`` takes and we do not; carries its category."""

    def __init__(self, category: ParseError) -> None:
        super().__init__(category)
        self.category: ParseError = category


def parse(text: str, limits: Limits = Limits()) -> Parsed:  # noqa: B008 - frozen
    """The JSON value in ``text``: all of it, or else the first complete array or object with other text beside it.

    A number, string, true, false or null counts only when it is the whole text: prose is full of them. A value inside
    a broken or unfinished array or object is not looked for: ``{"a": [1], "b":`` holds no value.
    """
    stripped = text.strip(WHITESPACE)
    if not stripped:
        return Parsed(error="no answer")
    if len(stripped) > limits.characters:
        kept = stripped[: limits.characters]
        opening = OPENING.search(kept)
        fragment = kept[opening.start() :] if opening else kept
        return Parsed(error="too long", text=_encodable(kept), fragment=fragment)
    start = 0
    # Only when the text has that many brackets at all can a value in it be too deep.
    can_be_deep = stripped.count("[") + stripped.count("{") > limits.depth
    try:
        for _ in range(CANDIDATES):
            if can_be_deep and stripped[start] in "[{" and _span(stripped, start)[1] > limits.depth:
                raise _Defect("too deep")
            found = _decode(stripped, start, limits.number_characters)
            if found is not None and (isinstance(found[0], dict | list) or found[1] == len(stripped)):
                return _found(stripped, start, *found)
            beyond = _span(stripped, start)[0] if stripped[start] in "[{" else start + 1
            opening = OPENING.search(stripped, beyond) if beyond is not None else None
            if opening is None:
                break
            start = opening.start()
    except _Defect as defect:
        return Parsed(
            error=defect.category, text=_encodable(stripped), has_extra_text=start > 0, fragment=stripped[start:]
        )
    return Parsed(error="not json", text=_encodable(stripped), fragment=stripped[start:])


def _found(text: str, start: int, value: Any, end: int) -> Parsed:
    has_extra_text = start > 0 or end < len(text)
    own_text = text[start:end] if has_extra_text else text
    if has_lone_surrogate(own_text, value):
        raise _Defect("lone surrogate")
    error: ParseError | None = "extra text" if has_extra_text else None
    return Parsed(error=error, text=own_text, is_found=True, value=value, has_extra_text=has_extra_text)


def _decode(text: str, start: int, number_characters: int) -> tuple[Any, int] | None:
    """The value that begins at ``start`` and where it ends; None when none does.

    Raises:
        _Defect: there is one, but of a kind that is refused.
    """
    try:
        return _decoder(number_characters).raw_decode(text, start)
    except json.JSONDecodeError:
        return None


@lru_cache(maxsize=8)
def _decoder(number_characters: int) -> json.JSONDecoder:
    return json.JSONDecoder(
        object_pairs_hook=_object,
        parse_constant=_constant,
        parse_int=lambda digits: _integer(digits, number_characters),
        parse_float=lambda digits: _float(digits, number_characters),
    )


def _span(text: str, start: int) -> tuple[int | None, int]:
    """Where the brackets that open at ``start`` are closed again (None: never), and how deep they nest."""
    depth = deepest = 0
    for match in STRUCTURE.finditer(text, start):
        character = match.group()
        if character in ("[", "{"):
            depth += 1
            deepest = max(deepest, depth)
        elif character in ("]", "}"):
            depth -= 1
            if depth == 0:
                return match.end(), deepest
    return None, deepest


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _Defect("duplicate key")
    return members


def _constant(_: str) -> None:
    raise _Defect("not finite")


def _integer(digits: str, limit: int) -> int:
    if len(digits) > limit:
        raise _Defect("number too long")
    return int(digits)


def _float(digits: str, limit: int) -> float:
    if len(digits) > limit:
        raise _Defect("number too long")
    number = float(digits)
    if math.isinf(number):
        raise _Defect("not finite")
    return number


def has_lone_surrogate(text: str, value: Any) -> bool:
    """Whether half of a surrogate pair stands in a text, or as an escape in the JSON of the value read from it."""
    if not SURROGATE_ESCAPE.search(text):
        return _encodable(text) != text
    return not _is_encodable(json.dumps(value, ensure_ascii=False))


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _encodable(text: str) -> str:
    """The text as it can be written to a file: lone surrogates become question marks."""
    return text if text.isascii() or _is_encodable(text) else text.encode(errors="replace").decode()
