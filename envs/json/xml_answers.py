"""Answers in XML: the same JSON values, written as elements whose kind of value the schema decides.

    <value><name>Ann</name><ages><item>3</item><item>4</item></ages><note>null</note></value>

- The root element is ``value``. The members of an object are elements called like their keys; a key that is no XML name
  is the attribute ``key`` of an element ``entry``: ``<entry key="first name">Ann</entry>``, with JSON's backslash
  escapes in it. The items of an array are elements called ``item``.
- An element with children is an array when all are called ``item`` and the schema allows an array there or does not
  allow an object; else an object.
- An element without children is the first of these that its text can be and that the schema allows there, by types and
  constants: null, true or false, a number as JSON writes it, a string; when it is blank: a string, an array, an object,
  null. So where numbers and strings are both allowed, ``3`` is the number. Where the schema allows nothing of it, the
  first counts, and the value is not valid. A string is the exact text; the others may have white space around them.
- Of ``anyOf`` and ``oneOf`` the first branch counts whose keys, and whose types and constants of the members, fit.
- The attribute ``type`` (null, boolean, number, string, array, object) says the kind, whatever the schema allows there;
  ``escaped`` is a string with JSON's backslash escapes, for characters that XML cannot hold. With it every value can be
  written: ``parse_xml(write_xml(value, schema), schema)`` gives it back.
- Character references, the five predefined entities and CDATA are text. Comments inside the root are ignored. Refused
  are a document type and other entities (``entity``), and as ``not xml`` other attributes, namespaces, processing
  instructions, and text beside child elements. An XML declaration may come first; all else outside the root is extra
  text. Two members with one key are a ``duplicate key``; NaN and infinities, where only a number is allowed,
  ``not finite``; the other categories mean what they mean in JSON.

Repairing XML that is not well-formed is not covered.
"""

import json
import re
from functools import lru_cache
from pyexpat import ExpatError, ParserCreate
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from envs.json.parsing import WHITESPACE, Limits, Parsed
from envs.json.xml_elements import ENTRY, ESCAPED, ITEM, ROOT, Element, XmlDefect, find_root
from envs.json.xml_reading import XmlReader, read
from envs.json.xml_schema import KINDS, view_schema

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
LONE_SURROGATE = re.compile("[\ud800-\udfff]")
NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
WRITING = Limits(characters=2**62, depth=2**62, number_characters=4_000)
ROUNDS = 8
"""Attempts to state few types before all are stated."""


def parse_xml(text: str, schema: str, limits: Limits = Limits()) -> Parsed:  # noqa: B008 - frozen
    """The value of the first ``<value>`` element in ``text``, whatever stands around it; never raises because of it.

    Args:
        text: what a model wrote.
        schema: the JSON Schema, as text, by which the elements are read; one that compiles.
        limits: what the answer may cost.
    """
    stripped = text.strip(WHITESPACE)
    if not stripped:
        return Parsed(error="no answer")
    encodable = LONE_SURROGATE.sub("\ufffd", stripped[: limits.characters])
    if len(stripped) > limits.characters:
        return Parsed(error="too long", text=encodable)
    try:
        found = find_root(encodable, limits.depth + 1)
        if found is None:
            return Parsed(error="not xml", text=encodable)
        value = read(found.root, view_schema(schema), limits)
        if encodable[found.start : found.end] != stripped[found.start : found.end]:
            raise XmlDefect("lone surrogate")
    except XmlDefect as defect:
        has_extra_text = not encodable.startswith((f"<{ROOT}", "<?xml"))
        return Parsed(error=defect.category, text=encodable, has_extra_text=has_extra_text)
    has_extra_text = found.end - found.start < len(encodable)
    return Parsed(
        error="extra text" if has_extra_text else None,
        text=encodable[found.start : found.end],
        is_found=True,
        value=value,
        has_extra_text=has_extra_text,
    )


def write_xml(value: Any, schema: str) -> str:
    """The value as one line of XML. Types are stated only where ``parse_xml`` under this schema would read another.

    Raises:
        ValueError: a number is not finite.
    """
    root = _element(ROOT, value)
    reader = XmlReader(view=view_schema(schema), limits=WRITING)
    for _ in range(ROUNDS):
        if not _state_types(root, value, reader, [reader.view.root]):
            break
    else:
        _state_all_types(root, value)
    return _written(root, ROOT)


def _element(key: str, value: Any) -> Element:
    element = Element(key)
    if isinstance(value, dict):
        element.children = [_element(name, member) for name, member in value.items()]
        for child in element.children:
            child.is_item = child.key == ITEM
    elif isinstance(value, list):
        element.children = [_element(ITEM, item) for item in value]
        for child in element.children:
            child.is_item = True
    elif not isinstance(value, str):
        element.text = json.dumps(value, allow_nan=False)
    elif NOT_IN_XML.search(value):
        element.type, element.text = ESCAPED, _escaped(value)
    else:
        element.text = value
    return element


def _state_types(element: Element, value: Any, reader: XmlReader, schemas: list[Any]) -> bool:
    """States the type of every element that would be read as another; true when there was one."""
    kind = KINDS[type(value)]
    reading = reader.reading(element, schemas)
    is_stated = reading.kind != kind
    if is_stated:
        element.type = kind
        reading = reader.reading(element, schemas)
    if element.children:
        values = value.values() if isinstance(value, dict) else value
        inner = reader.children_schemas(element, reading, schemas)
        for child, member, at in zip(element.children, values, inner, strict=True):
            is_stated |= _state_types(child, member, reader, at)
    return is_stated


def _state_all_types(element: Element, value: Any) -> None:
    element.type = element.type or KINDS[type(value)]
    values = value.values() if isinstance(value, dict) else value
    for child, member in zip(element.children, values if element.children else (), strict=True):
        _state_all_types(child, member)


def _written(element: Element, name: str) -> str:
    attributes = ""
    if name == ENTRY and element.key != ENTRY:
        attributes += f" key={quoteattr(_escaped(element.key))}"
    if element.type is not None:
        attributes += f' type="{element.type}"'
    names = [child.key if _is_name(child.key) else ENTRY for child in element.children]
    content = escape(element.text, {"\r": "&#13;"}) + "".join(map(_written, element.children, names))
    return f"<{name}{attributes}>{content}</{name}>" if content else f"<{name}{attributes}/>"


def _escaped(text: str) -> str:
    return NOT_IN_XML.sub(lambda match: f"\\u{ord(match.group()):04x}", text.replace("\\", "\\\\"))


@lru_cache(maxsize=4096)
def _is_name(key: str) -> bool:
    """The key can be the name of an element, by expat's own tables."""
    if NAME.fullmatch(key):
        return True
    if key.isascii():
        return False
    names: list[str] = []
    parser = ParserCreate("utf-8")
    parser.StartElementHandler = lambda name, _attributes: names.append(name)
    try:
        parser.Parse(f"<{key}/>".encode(errors="replace"), True)
    except ExpatError:
        return False
    return names == [key] and ":" not in key
