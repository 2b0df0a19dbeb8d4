"""What an answer must match. Only the description: engines compile it (see decoding/grammars/)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

# Objects are written as json.dumps writes them; free white space would let a model spend its budget on blanks.
JSON_STYLE = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}

GrammarKind = Literal["json_schema", "lark", "ebnf", "regex", "choice", "tagged"]


class Narrowing(Protocol):
    """What a language demands beyond its context-free grammar: that the names of a query are known in their scope.

    Hashable, and compared by content.
    """

    def start(self) -> "NarrowedText":
        """The narrowed text before its first character."""
        ...


class NarrowedText(Protocol):
    """A text that is written under a narrowing, so far. Text is bytes of UTF-8, for tokens end within characters."""

    def advance(self, text: bytes) -> None:
        """Appends text that is allowed here."""
        ...

    def copy(self) -> "NarrowedText":
        """Another text that has read the same."""
        ...

    def allowed(self, continuations: Sequence[bytes]) -> Sequence[bool]:
        """Which of these may come next, of those that the context-free grammar allows here; empty asks for the end."""
        ...

    def expected(self) -> "Expected":
        """What is known of all continuations at once, so that few need be asked for one by one."""
        ...

    def ending(self) -> bytes | None:
        """A short text with which this one is whole, empty where it is; None: none is known."""
        ...


class Words(NamedTuple):
    """Words that may come next: of ASCII letters, digits and ``_``, no digit first; in lower case, for any case."""

    listed: Sequence[bytes] = ()
    """These, and their beginnings."""
    pattern: re.Pattern[bytes] | None = None
    """And all that it matches in full, but for those below; one of few patterns. None: no others."""
    refused: frozenset[bytes] = frozenset()
    barred: frozenset[bytes] = frozenset()
    """No word that begins with one of these."""


class Expected(NamedTuple):
    """Which continuations of a narrowed text may come next, of those that its context-free grammar allows."""

    pattern: re.Pattern[bytes] | None = None
    """What it matches in full may come next; one of few patterns. None: nothing is known."""
    words: Words | None = None
    """The continuations that are a word; None: not known."""
    spaced_words: Words | None = None
    """Those that are one space and a word."""


@dataclass(frozen=True, kw_only=True)
class Block:
    """A stretch of a tagged text between two fixed strings."""

    opening: str = ""
    """What it begins with (``<answer>``); empty: it begins at once."""
    content: "Grammar | None" = None
    """What stands in it; None: any text in which ``closing`` does not occur, nor any of ``without``."""
    closing: str = ""
    """What it ends with; empty only for a content that is no free text, or for the last stretch."""
    without: tuple[str, ...] = ()
    """Further strings that free content does not hold."""


@dataclass(frozen=True, kw_only=True)
class Region:
    """A place of a tagged text that one of several blocks takes."""

    blocks: tuple[Block, ...]
    is_optional: bool = False
    """It may be left out."""
    may_repeat: bool = False
    """Several of its blocks may follow each other."""


@dataclass(frozen=True, kw_only=True)
class Grammar:
    """A formal language that contains every well-formed answer to one task.

    Hashable, so that compiled forms can be cached by content.
    """

    kind: GrammarKind
    source: str = ""
    """A JSON Schema as JSON text, a Lark grammar in llguidance's dialect, an EBNF grammar in the dialect of llama.cpp
    (GBNF), a regular expression, or a JSON list of strings to choose from; empty for ``tagged``."""
    regions: tuple[Region, ...] = ()
    """What a ``tagged`` text consists of, in order, with at most ``separator`` between two of them."""
    separator: str = r"\s{0,4}"
    """A regular expression of the text between two regions of a ``tagged`` text."""
    narrowing: Narrowing | None = None
    """What the sentences must meet beyond ``source``; None: nothing."""
