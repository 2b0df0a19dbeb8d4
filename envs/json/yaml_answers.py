"""Answers in YAML: a safe subset whose values are JSON values.

- Plain scalars are resolved by the Core Schema of YAML 1.2 (revision 1.2.2, section 10.3.2) and by nothing else:
  ``no``, ``12:30``, ``2024-01-01``, ``1_000`` and ``=`` are strings, ``010`` is ten, ``~`` and an empty value are null.
  ``<<`` is a key like any other. NaN and the infinities are refused as ``not finite``.
- Refused are anchors and aliases (``entity``), tags and ``%TAG`` (``tag``), and as ``not yaml`` other directives and
  keys that are no strings: the key ``200`` must be quoted. Comments are white space.
- The value is all of the text; or else that of the first fenced block, without a language or with ``yaml`` or ``yml``,
  that has one; or else the first document. What stands around these is extra text: prose around the block, further
  documents, text behind a value that ends by itself. A fence that is not closed holds nothing.
- Prose is YAML as well: a plain string. So a scalar counts only when it is the whole text, and a string only when it
  is quoted or a block (``|``, ``>``).

libyaml scans, through PyYAML, whose own scanner takes a minute for a page of brackets; values are composed here from
its events, in time linear in the length. Syntax is therefore libyaml's: YAML 1.1 with most of 1.2. JSON is YAML too,
except surrogate pairs written as two escapes, bare characters that YAML takes for line breaks or not at all (U+0085,
U+2028, U+007F ...), and keys of more than 1,024 characters.
"""

import math
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from envs.errors import ConfigurationError
from envs.json.parsing import CANDIDATES, WHITESPACE, Limits, Parsed, ParseError

CONSTANTS: dict[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
DECIMAL = re.compile(r"[-+]?[0-9]+")
BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
LONE_SURROGATE = re.compile("[\ud800-\udfff]")
FENCE = re.compile(r"^```[ \t]*([A-Za-z0-9_+-]*)[ \t]*\r?$", re.MULTILINE)
FENCED = ("", "yaml", "yml")
# One line without anything that has a meaning in YAML; of y and n older readers make true and false.
PLAIN = re.compile(r"(?![yYnN]$|.*: )[^\W\d_](?:[\w ./@()+,;:'-]*[\w./@()+,;'-])?")
STRING_TAG = "tag:yaml.org,2002:str"


class _Defect(ValueError):
    """Text that is refused; carries its category."""

    def __init__(self, category: ParseError) -> None:
        super().__init__(category)
        self.category: ParseError = category


@dataclass(frozen=True, kw_only=True)
class _Document:
    """The first document of a text."""

    value: Any
    is_scalar: bool
    is_prose: bool
    """It is a plain string."""
    end: int | None
    """Where it ends, in code points, when something follows it; None when it is all."""


def require_libyaml() -> None:
    """Checks that PyYAML was built with libyaml.

    Raises:
        ConfigurationError: it was not.
    """
    if not yaml.__with_libyaml__:
        raise ConfigurationError(
            "YAML answers: this PyYAML was built without libyaml, expected one with it; install a wheel: "
            "pip install --force-reinstall --only-binary :all: pyyaml"
        )


def parse_yaml(text: str, limits: Limits = Limits()) -> Parsed:  # noqa: B008 - frozen
    """The value in ``text``: its first document, or else that of a fenced block; never raises because of it.

    Args:
        text: what a model wrote.
        limits: what the answer may cost.
    """
    stripped = text.strip(WHITESPACE)
    if not stripped:
        return Parsed(error="no answer")
    encodable = LONE_SURROGATE.sub("\ufffd", stripped[: limits.characters])
    if len(stripped) > limits.characters:
        return Parsed(error="too long", text=encodable)
    whole = _parsed(stripped, encodable, 0, len(encodable), limits)
    if whole.error is None:
        return whole
    for start, end in _fenced(encodable):
        fenced = _parsed(stripped, encodable, start, end, limits)
        if fenced.error != "not yaml":
            return fenced
    return whole


def write_yaml(value: Any) -> str:
    """The value in block style, strings quoted wherever some reader of YAML could take them for something else.

    Raises:
        ValueError: a number is not finite.
    """
    style = '"' if isinstance(value, str) else None
    written: str = yaml.dump(
        value, Dumper=_Dumper, default_style=style, allow_unicode=True, sort_keys=False, width=sys.maxsize
    )
    return written.removesuffix("\n").removesuffix("\n...")  # the dots come behind a plain scalar


def _parsed(text: str, encodable: str, start: int, end: int, limits: Limits) -> Parsed:
    """The first document of a stretch of the text: all of it, or a fenced block, where a scalar does not count."""
    is_whole = end - start == len(encodable)
    try:
        document = _first_document(encodable[start:end], limits)
        if document.is_prose or (document.is_scalar and not (is_whole and document.end is None)):
            raise _Defect("not yaml")
        own = slice(start, end if document.end is None else start + document.end)
        if text[own] != encodable[own]:
            raise _Defect("lone surrogate")
    except _Defect as defect:
        return Parsed(error=defect.category, text=encodable, has_extra_text=not is_whole)
    has_extra_text = not is_whole or document.end is not None
    return Parsed(
        error="extra text" if has_extra_text else None,
        text=encodable[own].strip(WHITESPACE) if has_extra_text else encodable,
        is_found=True,
        value=document.value,
        has_extra_text=has_extra_text,
    )


def _fenced(text: str) -> Iterator[tuple[int, int]]:
    """Where the contents of closed fenced blocks are that may hold YAML."""
    opening: re.Match[str] | None = None
    for count, fence in enumerate(FENCE.finditer(text)):
        if opening is None:
            opening = fence
        elif not fence.group(1):
            if opening.group(1) in FENCED:
                yield opening.end(), fence.start()
            opening = None
        if count == 2 * CANDIDATES:
            return


def _first_document(text: str, limits: Limits) -> _Document:
    """Raises: _Defect: there is none, or it is of a kind that is refused."""
    loader = yaml.CSafeLoader(text)
    try:
        loader.get_event()  # the start of the stream
        opening = loader.get_event()
        if not isinstance(opening, yaml.DocumentStartEvent):
            raise _Defect("not yaml")
        if opening.tags:
            raise _Defect("tag")
        if opening.version:
            raise _Defect("not yaml")
        first: Any = loader.get_event()
        value = _composed(first, loader, limits)
        closing: Any = loader.get_event()
        is_scalar = isinstance(first, yaml.ScalarEvent)
        return _Document(
            value=value,
            is_scalar=is_scalar,
            is_prose=is_scalar and not first.style and isinstance(value, str),
            # A mark does not count a byte order mark at the beginning.
            end=closing.end_mark.index + text.startswith("\ufeff") if _is_followed(loader) else None,
        )
    except yaml.YAMLError:
        raise _Defect("not yaml") from None
    finally:
        loader.dispose()


def _is_followed(loader: "yaml.CSafeLoader") -> bool:
    """Something is there behind the first document."""
    try:
        return not isinstance(loader.get_event(), yaml.StreamEndEvent)
    except yaml.YAMLError:
        return True


@dataclass(slots=True)
class _Open:
    """An array or object whose end has not come."""

    container: Any
    is_object: bool
    key: str | None = None
    """The key whose value comes next; None: a key comes next, or it is an array."""


def _composed(event: Any, loader: "yaml.CSafeLoader", limits: Limits) -> Any:
    """The value that begins with an event; what of the stream belongs to it is taken from the loader."""
    open_values: list[_Open] = []
    while True:
        if isinstance(event, yaml.CollectionEndEvent):
            value = open_values.pop().container
        else:
            _refuse_references(event)
            if isinstance(event, yaml.ScalarEvent):
                is_plain = not event.style
                value = _resolved(event.value, limits.number_characters) if is_plain else event.value
            else:
                is_object = isinstance(event, yaml.MappingStartEvent)
                value = {} if is_object else []
            if open_values:
                _put(open_values[-1], value)
            if not isinstance(event, yaml.ScalarEvent):
                if len(open_values) == limits.depth:
                    raise _Defect("too deep")
                open_values.append(_Open(value, is_object))
        if not open_values:
            return value
        event = loader.get_event()


def _put(parent: _Open, value: Any) -> None:
    """Adds what comes next in an array or object: a container is added when it begins."""
    if not parent.is_object:
        parent.container.append(value)
    elif parent.key is not None:
        parent.container[parent.key] = value
        parent.key = None
    elif not isinstance(value, str):
        raise _Defect("not yaml")
    elif value in parent.container:
        raise _Defect("duplicate key")
    else:
        parent.key = value


def _refuse_references(event: Any) -> None:
    if event.anchor is not None:  # an alias has the anchor that it refers to
        raise _Defect("entity")
    if event.tag is not None:
        raise _Defect("tag")


def _resolved(text: str, number_characters: int) -> Any:
    """What a plain scalar stands for in the Core Schema."""
    if text in CONSTANTS:
        return CONSTANTS[text]
    if text[0] not in "+-.0123456789":
        return text
    if NOT_FINITE.fullmatch(text):
        raise _Defect("not finite")
    is_integer, is_based = DECIMAL.fullmatch(text), BASED.fullmatch(text)
    if not (is_integer or is_based or FLOAT.fullmatch(text)):
        return text
    if len(text) > number_characters:
        raise _Defect("number too long")
    if is_based:
        return int(text[2:], 8 if text[1] == "o" else 16)
    number = int(text) if is_integer else float(text)
    if not math.isfinite(number):
        raise _Defect("not finite")
    return number


class _Dumper(yaml.SafeDumper):
    """Writes strings plain only where they cannot be taken for anything else."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_string(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    is_plain = PLAIN.fullmatch(text) and dumper.resolve(yaml.ScalarNode, text, (True, False)) == STRING_TAG
    return dumper.represent_scalar(STRING_TAG, text, style=None if is_plain else '"')


def _represent_float(dumper: _Dumper, number: float) -> yaml.ScalarNode:
    if not math.isfinite(number):
        raise ValueError(f"{number} is not JSON compliant")
    return dumper.represent_float(number)


_Dumper.add_representer(str, _represent_string)
_Dumper.add_representer(float, _represent_float)
