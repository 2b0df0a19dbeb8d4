"""Whether an unfinished lexeme can still become one that may stand at a place."""

import re
from bisect import bisect_left
from collections.abc import Iterable
from functools import lru_cache

from envs.grammar import Words
from envs.sql.scope import clauses, expressions, from_clause, names
from envs.sql.scope.catalogue import NO_ALIASES, is_alias
from envs.sql.scope.expressions import ENDS, STARTS
from envs.sql.scope.frames import Bracket, Definition, Query
from envs.sql.scope.state import State, once
from envs.sql.scope.transitions import accept
from envs.sql.scope.words import keywords

_QUOTES = (b'"', b"`", b"[")
_IN_TEXT = re.compile(rb"[^']+")
_IN_DOUBLE_QUOTES = re.compile(rb'[^"]+')
_CLOSED = re.compile(rb"""'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]""")
_NUMBER = re.compile(rb"(?:[0-9]+\.?[0-9]*|\.[0-9]*)(?:[eE](?:[+-]?[0-9]*)?)?")
_DIGITS = re.compile(rb"[0-9]+")
_ANY = re.compile(rb"[a-z0-9_]+")
# What may follow the letters of a short alias, by how many more letters it may have.
_SHORT = [re.compile(rb"[a-z]{0,%d}[0-9]{0,2}" % letters) for letters in range(5)]
_RESERVED = sorted(word.encode() for word in NO_ALIASES)


def viable(state: State, part: bytes) -> bool:
    """The text may go on with a lexeme that is ``part``, or begins with it."""
    key = (viable, part)
    if key not in state.found:
        state.found[key] = _viable(state, part)
    return state.found[key]


def _viable(state: State, part: bytes) -> bool:
    first = part[:1]
    if state.word is not None:
        if part == b".":
            return state.word.is_qualifier
        settled = expressions.settle(state, state.word, part)
        if settled is None:
            return False
        state = settled
    if first.isalpha() or first == b"_":
        return _word(state, part.lower())
    if first in (b"'", *_QUOTES):
        return _quoted(state, part)
    if first == b"." or first.isdigit():
        return _number(state, part)
    if part in (b"|", b"!"):
        return accept(state, b"||" if part == b"|" else b"!=") is not None
    return accept(state, part) is not None


@once
def _words(state: State) -> tuple[bytes, ...]:
    """All words that may stand here, but for names that the query makes up, in order."""
    frame = state.top
    place = frame.place
    found: set[bytes] = set(keywords(state))
    if isinstance(frame, Definition):
        return tuple(sorted(found))
    if place in STARTS:
        found.update(state.catalogue.bare_of(names.columns(state)))
        found.update(word for word in names.qualifiers(state) if expressions.is_qualifier(state, word))
        if place != "case" and state.fits(is_query=False):
            found |= expressions.functions(state, frame)
        if not state.fits(is_query=False):
            found -= {b"case", b"cast"}
        if not state.fits(is_query=True):
            found -= {b"exists"}
    elif place in ENDS and not state.fits(is_query=False):
        found -= {b"in"}
    else:
        found.update(_names(state))
    return tuple(sorted(found))


@once
def _names(state: State) -> list[bytes]:
    """The names that may stand at a place that takes only those of a certain sort, as bare words."""
    return state.catalogue.bare_of(_sorted_names(state))


def _sorted_names(state: State) -> Iterable[bytes]:
    frame = state.top
    if frame.place == "member":
        return names.members(state, frame.qualifier)  # type: ignore[union-attr]
    if frame.place == "merge":
        return from_clause.columns_to_merge(state.query)
    if isinstance(frame, Query) and frame.place == "table":
        return from_clause.tables_offered(state, frame.link)
    if isinstance(frame, Query) and frame.place == "result":
        return frame.sortable
    return ()


def _word(state: State, part: bytes) -> bool:
    frame = state.top
    words = _words(state)
    index = bisect_left(words, part)
    if index < len(words) and words[index].startswith(part):
        return True
    if isinstance(frame, Definition):
        if frame.place == "column":
            return is_alias(part) and part not in frame.columns
        return frame.place in ("definition or recursive", "name") and is_alias(part) and state.columns_of(part) is None
    if frame.place in STARTS and names.may_be_made_up(state, part):
        return is_alias(part)
    if isinstance(frame, Query) and takes_alias(frame):
        if any(name.startswith(part) for name in clauses.owed_names(frame)):
            return True
        return is_alias(part) and clauses.may_begin_alias(frame, part)
    return False


def takes_alias(query: Query) -> bool:
    """An alias may come next, perhaps among other things."""
    return query.place == "alias" or clauses.may_alias(query)


def _number(state: State, part: bytes) -> bool:
    frame = state.top
    if isinstance(frame, Definition) or not _NUMBER.fullmatch(part):
        return False
    if frame.place in STARTS:
        if frame.is_term:
            return accept(state, part) is not None
        return frame.place != "case"
    return accept(state, part) is not None


def _quoted(state: State, part: bytes) -> bool:
    if _CLOSED.fullmatch(part):
        return accept(state, part) is not None
    frame = state.top
    quote = part[:1]
    place = frame.place
    if isinstance(frame, Definition):
        return False
    if isinstance(frame, Query) and place == "alias":
        return quote in (b"'", b'"')
    if place in STARTS and place != "case" and quote in (b"'", b'"'):
        return True
    if quote == b"'":
        return place == "escape" and len(part[1:].decode(errors="ignore")) <= 1
    part = part.lower()
    return any(name.startswith(part) for name in spelled(state)[quote])


@once
def spelled(state: State) -> dict[bytes, list[bytes]]:
    """The names that may stand here in quotes, by the quote."""
    frame = state.top
    catalogue = state.catalogue
    found: set[bytes] = set()
    if frame.place in STARTS:
        found.update(names.columns(state) & catalogue.columns)
        found.update(names.qualifiers(state) & catalogue.columns_of.keys())
    elif frame.place == "table":
        found.update(set(_sorted_names(state)) & catalogue.columns_of.keys())
    else:
        found.update(set(_sorted_names(state)) & catalogue.columns)
    in_brackets = [b"[" + name + b"]" for name in found if b"]" not in name]
    ticked = [b"`" + name.replace(b"`", b"``") + b"`" for name in found]
    if frame.place == "result":
        in_brackets, ticked = [], []
    return {b'"': [b'"' + name.replace(b'"', b'""') + b'"' for name in found], b"`": ticked, b"[": in_brackets}


def in_quotes(state: State, part: bytes) -> re.Pattern[bytes] | None:
    """What may follow ``part``, a text in quotes that has not come to its end, whatever it is."""
    place = state.top.place
    if _CLOSED.fullmatch(part):
        return None
    if part[:1] == b"'":
        return None if place == "escape" else _IN_TEXT
    is_free = (place in STARTS and place != "case") or place == "alias"
    return _IN_DOUBLE_QUOTES if part[:1] == b'"' and is_free else None


def number(state: State, part: bytes) -> re.Pattern[bytes] | None:
    """Digits, where a number of any value may stand or go on."""
    frame = state.top
    if isinstance(frame, Definition) or state.word is not None or frame.is_term or frame.place == "case":
        return None
    return _DIGITS if frame.place in STARTS and not is_word(part) and part != b"." else None


def is_word(part: bytes) -> bool:
    """An unfinished lexeme that is a bare word."""
    return part[:1].isalpha() or part[:1] == b"_"


def words(state: State, part: bytes) -> Words:
    """How words can go on that may stand here and begin with ``part``; all of them where it is empty."""
    if state.word is not None:
        settled = expressions.settle(state, state.word, part or b"a")
        if settled is None:
            return Words()
        state = settled
    part = part.lower()
    listed = _words(state)
    if part:
        start, end = bisect_left(listed, part), bisect_left(listed, part + b"\x7f")
        listed = tuple(word[len(part) :] for word in listed[start:end] if len(word) > len(part))
    return _made_up(state, part, listed)


def _made_up(state: State, part: bytes, listed: tuple[bytes, ...]) -> Words:
    """The words, and those that begin a name which the query makes up."""
    frame = state.top
    reserved = _reserved_after(part)
    if isinstance(frame, Definition):
        if frame.place not in ("column", "definition or recursive", "name"):
            return Words(listed)
        taken = frame.columns if frame.place == "column" else [name for name, _ in state.tables()]
        return Words(listed, _ANY, reserved | _rests(taken, part))
    if isinstance(frame, Query) and takes_alias(frame):
        if frame.phase != "from":
            return Words(listed, _ANY, reserved)
        if clauses.is_barred(frame, part):
            return Words(listed)
        taken = clauses.taken_names(frame)
        listed = (*listed, *sorted(_rests(clauses.owed_names(frame), part)))
        return Words(listed, _ANY, reserved | _rests(taken, part), _rests(filter(clauses.bars, taken), part))
    if isinstance(frame, Bracket | Query) and frame.place in STARTS and state.query.phase == "select":
        letters = len(part.rstrip(b"0123456789"))
        if letters <= 4 and letters == len(part):
            return Words(listed, _SHORT[4 - letters], reserved)
    return Words(listed)


@lru_cache(maxsize=1024)
def _reserved_after(part: bytes) -> frozenset[bytes]:
    return _rests(_RESERVED, part)


def _rests(names: Iterable[bytes], part: bytes) -> frozenset[bytes]:
    """How those of ``names`` go on that begin with ``part``."""
    return frozenset(name[len(part) :] for name in names if len(name) > len(part) and name.startswith(part))
