"""A short text that ends a query which is being written: what a budget cuts off can be closed with it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from envs.sql.scope import from_clause, names
from envs.sql.scope.expressions import ENDS, STARTS, settle
from envs.sql.scope.frames import Bracket, Definition, Query, Source
from envs.sql.scope.prefixes import is_word, spelled
from envs.sql.scope.state import State

if TYPE_CHECKING:
    from envs.sql.scope.text import SqlText

_MOST_LEXEMES = 400

_NEXT: dict[str, tuple[bytes, ...]] = {
    "natural": (b" join",),
    "joining": (b" join",),
    "side": (b" join",),
    "group by": (b" by",),
    "order by": (b" by",),
    "partition by": (b" by",),
    "sort by": (b" by",),
    "is": (b" null",),
    "is not": (b" null",),
    "not": (b" like",),
    "condition": (b" where", b"where"),
    "window": (b")",),
    "starred": (b")",),
    "no argument": (b")",),
    "type": (b" int", b"int"),
    "typed": (b")",),
    "collation": (b" binary",),
    "nulls": (b" last",),
    "escape": (b" 'x'", b"'x'"),
    "limit": (b" 1",),
    "offset": (b" 1", b"1"),
    "result": (b" 1",),
    "start": (b"select",),
    "select": (b" select", b"select"),
    "union": (b" select",),
    "defined": (b" select",),
    "name columns": (b" as",),
    "column done": (b")",),
    "as": (b" as",),
    "open": (b" (",),
}


_LENGTHENING = tuple(b"%c" % character for character in b"1234567890xyz")

# What completes a character of UTF-8, whatever its first bytes.
_TAILS = (b"", b"\x80", b"\x80\x80", b"\xa0\x80", b"\x80\x80\x80", b"\x90\x80\x80")


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def short_end(text: "SqlText") -> bytes | None:
    """What ends the text, perhaps nothing; None: none was found."""
    text = text.copy()
    written = b""
    for _ in range(_MOST_LEXEMES):
        if text.allowed([b""])[0]:
            return written
        lexeme = next((each for each in _candidates(text) if text.allowed([each])[0]), None)
        if lexeme is None:
            return None
        text.advance(lexeme)
        written += lexeme
    return None


def _candidates(text: "SqlText") -> Iterator[bytes]:
    """What may be tried next, the best first."""
    state, rest = text.place()
    word = state.word
    if text.is_spaced:
        yield b";"
    if rest == b"." and word is not None:
        yield from _spelled(state, names.members(state, word.name))
    elif rest[:1] in (b"'", b'"', b"`", b"[") and not text.is_closed():
        yield from _quote_ends(state, rest)
    elif rest:
        yield b" "
        if is_word(rest):
            yield from sorted(text.expected_words(), key=len)
        yield from (b"(", b".", b"=", b"|")
        # What a name or a number must go on with that may not end here.
        yield from _LENGTHENING
    else:
        if word is not None and not (word.is_column or word.is_text):
            yield b"("
        elif word is not None:
            state = settle(state, word, b"") or state
        yield from _lexemes(state)


def _quote_ends(state: State, rest: bytes) -> Iterator[bytes]:
    quote = b"]" if rest[:1] == b"[" else rest[:1]
    # A token may have ended within a character.
    quote = next((tail for tail in _TAILS if _is_utf8(rest + tail)), b"") + quote
    yield quote
    named = sorted(spelled(state)[rest[:1]], key=len) if rest[:1] != b"'" else []
    yield from (name[len(rest) :] for name in named if name.startswith(rest.lower()) and len(name) > len(rest))
    yield b"x" + quote


def _lexemes(state: State) -> Iterator[bytes]:
    frame = state.top
    place = frame.place
    if isinstance(frame, Definition) and place in ("name", "definition or recursive", "column"):
        yield from (b" x%d" % number for number in range(1, 99))
        yield from (b"x%d" % number for number in range(1, 99))
    elif place in STARTS:
        yield from (b" 1", b"1", b" null", b"null", b" when")
    elif place == "member":
        yield from _spelled(state, names.members(state, frame.qualifier))  # type: ignore[union-attr]
    elif place in ("merge", "merged"):
        conflicts = from_clause.conflicts(state.query) - state.query.using
        yield from (_spelled(state, conflicts or from_clause.columns_to_merge(state.query)) if place == "merge" else ())
        yield b"," if conflicts else b")"
    elif isinstance(frame, Query) and place == "table":
        yield from _tables(state, frame)
    elif isinstance(frame, Query) and place == "alias":
        yield from _aliases(state, frame)
    elif isinstance(frame, Query) and place in ("sourced", "joined"):
        yield from _after_source(state, frame)
    elif place in ENDS or place == "aliased":
        yield from (b")", b" end", b" then", b" when", b" over", b" from")
        if frame.mode == "low":  # type: ignore[union-attr]
            yield b" and 1"
        if isinstance(frame, Bracket) and frame.kind == "cast":
            yield b" as int"
        yield from (b",1", b",")
    yield from _NEXT.get(place, ())
    yield from (b"(", b")")


def _spelled(state: State, found: frozenset[bytes]) -> Iterator[bytes]:
    """Names as SQL writes them, the shortest first; with a space before, and without."""
    bare = set(state.catalogue.bare_of(found))
    for name in sorted(found, key=lambda name: (len(name), name)):
        written = name if name in bare else b'"' + name.replace(b'"', b'""') + b'"'
        yield b" " + written
        yield written


def _tables(state: State, query: Query) -> Iterator[bytes]:
    offered = from_clause.tables_offered(state, query.link)
    useful = frozenset(name for name in offered if _serves(state, query, name))
    yield from _spelled(state, useful)
    yield from _spelled(state, offered)


def _serves(state: State, query: Query, table: bytes) -> bool:
    columns = frozenset(state.columns_of(table) or ())
    found = names.counts(query)
    if query.required is not None and query.items == (b"*",):
        return len(state.columns_of(table) or ()) == query.required - names.width(query)
    return any(owed.columns <= columns and not names.is_met(state, owed) for owed in query.owed) or any(
        not found[name] and name in columns for name in query.wanted
    )


def _aliases(state: State, query: Query) -> Iterator[bytes]:
    if query.phase == "from":
        yield from (b" " + name for name in _owed_names(state, query, query.sources[-1]))
    yield from (b" x%d" % number for number in range(1, 99))


def _owed_names(state: State, query: Query, source: Source) -> Iterator[bytes]:
    for owed in query.owed:
        if owed.columns <= source.names and not names.is_met(state, owed):
            yield owed.name


def _after_source(state: State, query: Query) -> Iterator[bytes]:
    if query.place == "sourced" and not query.is_aliased:
        yield from (b" as " + name for name in _owed_names(state, query, query.sources[-1]))
        if not from_clause.is_named(query):
            yield b" as"
    if from_clause.conflicts(query):
        yield b" using("
    if from_clause.is_whole(state):
        yield b")"
    yield from (b" natural join", b",", b" join", b" as")
