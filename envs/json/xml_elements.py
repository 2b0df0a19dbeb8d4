"""Hostile text to a tree of XML elements, in the form that ``envs.json.xml_answers`` describes.

Expat does the parsing (XML 1.0). Nothing that could make it fetch or expand is ever given to it: it begins at the root
element, behind the only place where a document type may stand. Which value an element is, is not decided here but in
``envs.json.xml_reading``. No text takes more than time linear in its length, up to ``parsing.CANDIDATES`` times.
"""

import json
import re
from dataclasses import dataclass, field
from pyexpat import ExpatError, ParserCreate, XMLParserType
from pyexpat.errors import XML_ERROR_UNDEFINED_ENTITY, codes
from typing import NoReturn

from envs.json.parsing import CANDIDATES, WHITESPACE, ParseError

ROOT = "value"
ITEM = "item"
ENTRY = "entry"
ESCAPED = "escaped"
TYPES = frozenset({"null", "boolean", "number", "string", "array", "object", ESCAPED})

# Group 1: it is an end tag; group 2: it is empty.
ROOT_TAG = re.compile(rf"<(/?){ROOT}(?=[\s/>])(?:[^<>]*?(/)>)?")
DECLARATION = re.compile(r"<\?xml\s[^<>?]*\?>\s*")
BACKSLASH_OR_QUOTE = re.compile(r'\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})|["\\]')


class XmlDefect(ValueError):
    """Text that is refused; carries its category."""

    def __init__(self, category: ParseError) -> None:
        super().__init__(category)
        self.category: ParseError = category


@dataclass(slots=True)
class Element:
    """One element: a value that is not yet read."""

    key: str
    """The key of the member that it is in an object: its name, or what its attribute ``key`` says."""
    is_item: bool = False
    """It is called ``item``, as the members of an array are."""
    type: str | None = None
    """What its attribute ``type`` says, one of ``TYPES``; None without one."""
    children: "list[Element]" = field(default_factory=list)
    text: str = ""
    """Its character data; empty where it has children."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """The root element of an answer and where it stands, in code points."""

    root: Element
    start: int
    end: int


def find_root(text: str, depth: int) -> Found | None:
    """The first ``<value>`` element, an XML declaration at the very beginning included; None when none is well-formed
    and complete. One inside a broken or unfinished one is not looked for.

    Args:
        text: without lone surrogates and without white space at its ends.
        depth: how many elements may be inside each other.

    Raises:
        XmlDefect: there is one, but of a kind that is refused.
    """
    tag = ROOT_TAG.search(text)
    if "<!DOCTYPE" in text[: tag.start() if tag else len(text)]:
        raise XmlDefect("entity")
    declaration = DECLARATION.match(text)
    for _ in range(CANDIDATES):
        if tag is None:
            break
        start = 0 if declaration and declaration.end() == tag.start() else tag.start()
        document = None if tag.group(1) else _parsed(text[start:], depth)
        if document is not None:
            end = tag.end() if tag.group(2) else text.index(">", start + document.end_tag) + 1
            return Found(root=document.root, start=start, end=end)
        tag = ROOT_TAG.search(text, _beyond(text, tag))
    return None


def unescaped(text: str) -> str:
    """The string that a JSON string literal with this content between its quotes stands for; quotes may stand bare.

    Raises:
        XmlDefect: a backslash begins no escape of JSON, or half a surrogate pair is escaped.
    """
    if "\\" not in text:
        return text
    value: str = json.loads(f'"{BACKSLASH_OR_QUOTE.sub(_quotable, text)}"', strict=False)
    try:
        value.encode()
    except UnicodeEncodeError:
        raise XmlDefect("lone surrogate") from None
    return value


def _quotable(match: re.Match[str]) -> str:
    if match.group() == "\\":
        raise XmlDefect("not xml")
    return '\\"' if match.group() == '"' else match.group()


def _beyond(text: str, tag: re.Match[str]) -> int:
    """Where the element that a tag opens is closed again; the end of the text when it never is."""
    if tag.group(1) or tag.group(2):
        return tag.end()
    level = 0
    for match in ROOT_TAG.finditer(text, tag.start()):
        level += 0 if match.group(2) else -1 if match.group(1) else 1
        if level == 0:
            return match.end()
    return len(text)


class _Complete(Exception):
    """The root element has ended; what follows it is not looked at."""


@dataclass
class _Document:
    """The elements as expat reports them, up to the end of the root."""

    parser: XMLParserType
    depth: int
    root: Element = field(default_factory=lambda: Element(ROOT))
    end_tag: int = 0
    """Where the root's end tag begins, in bytes of UTF-8, once it has come."""
    open_elements: list[Element] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)
    """The character data since the last tag."""

    def begin(self, name: str, attributes: dict[str, str]) -> None:
        element = Element(name, name == ITEM)
        if attributes or ":" in name:
            _read_attributes(element, attributes)
        if not self.open_elements:
            self.root = element
        else:
            if len(self.open_elements) >= self.depth:
                raise XmlDefect("too deep")
            parent = self.open_elements[-1]
            parent.children.append(element)
            if self.pieces:
                self._add_text(parent)
        self.open_elements.append(element)

    def finish(self, _: str) -> None:
        element = self.open_elements.pop()
        if self.pieces:
            self._add_text(element)
        if not self.open_elements:
            self.end_tag = self.parser.CurrentByteIndex
            raise _Complete

    def _add_text(self, element: Element) -> None:
        text = "".join(self.pieces)
        self.pieces.clear()
        if not element.children:
            element.text = text
        elif text.strip(WHITESPACE):
            raise XmlDefect("not xml")


def _parsed(text: str, depth: int) -> _Document | None:
    data = text.encode()
    parser = ParserCreate("utf-8")
    document = _Document(parser=parser, depth=depth)
    parser.buffer_text = True
    parser.StartElementHandler = document.begin
    parser.EndElementHandler = document.finish
    parser.CharacterDataHandler = document.pieces.append
    parser.ProcessingInstructionHandler = _refuse_instruction
    try:
        parser.Parse(data, True)
    except _Complete:
        if not text.isascii():
            document.end_tag = len(data[: document.end_tag].decode())
        return document
    except ExpatError as error:
        if error.code == codes[XML_ERROR_UNDEFINED_ENTITY]:
            raise XmlDefect("entity") from None
    return None


def _read_attributes(element: Element, attributes: dict[str, str]) -> None:
    """Fills in what the attributes say. A prefix has nothing to be bound to, so none may stand in a name."""
    name = element.key
    if ":" in name or not attributes.keys() <= ({"type", "key"} if name == ENTRY else {"type"}):
        raise XmlDefect("not xml")
    element.type = attributes.get("type")
    if element.type is not None and element.type not in TYPES:
        raise XmlDefect("not xml")
    if "key" in attributes:
        element.key = unescaped(attributes["key"])


def _refuse_instruction(_target: str, _data: str) -> NoReturn:
    raise XmlDefect("not xml")
