"""Whether an unfinished lexeme can still become one that may stand at a place."""

import re
from bisect import bisect_left
from collections.abc import Iterable

from envs.grammar import Words
from envs.sql.scope import clauses, expressions, from_clause, names
from envs.sql.scope.catalogue import MOST_CHARACTERS
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
_SIGNS = {
    (False, False): None,
    (False, True): re.compile(rb"[ \t\r\n]+"),
    (True, False): re.compile(rb"[0-9]+"),
    (True, True): re.compile(rb"[0-9]+|[ \t\r\n]+"),
}
_ANY = re.compile(rb"[a-z0-9_]+")
# What may follow the letters of a short alias, by how many more letters it may have.
_SHORT = [re.compile(rb"[a-z]{0,%d}[0-9]{0,2}" % letters) for letters in range(5)]


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
        if frame.place not in ("column", "definition or recursive", "name"):
            return False
        is_taken = part in frame.columns if frame.place == "column" else state.columns_of(part) is not None
        return _grows(part) or not is_taken
    if frame.place in STARTS and names.may_be_made_up(state, part):
        return not part[-2:].isdigit() or expressions.is_qualifier(state, part)
    if isinstance(frame, Query) and takes_alias(frame):
        if any(name.startswith(part) for name in clauses.owed_names(frame)):
            return True
        if frame.phase == "from" and clauses.is_barred(frame, part):
            return False
        return _grows(part) or frame.phase != "from" or part not in clauses.taken_names(frame)
    return False


def _grows(part: bytes) -> bool:
    """A name may begin with ``part``, so that it need not be one itself: ``as`` begins ``assets``."""
    return len(part) < MOST_CHARACTERS


def takes_alias(query: Query) -> bool:
    """An alias may come next, perhaps among other things."""
    return query.place == "alias" or clauses.may_alias(query)


def _number(state: State, part: bytes) -> bool:
    frame = state.top
    if isinstance(frame, Definition) or not _NUMBER.fullmatch(part):
        return False
    if frame.place in STARTS and not frame.is_term:
        return frame.place != "case"
    if accept(state, part) is not None:
        return True
    # A position that may not be named can begin one that may: 1 is an aggregate's, 12 is not.
    return part.isdigit() and len(part) < 3 and any(_number(state, part + b"%d" % digit) for digit in range(10))


def _quoted(state: State, part: bytes) -> bool:
    frame = state.top
    if isinstance(frame, Definition):
        return False
    if _CLOSED.fullmatch(part) and accept(state, part) is not None:
        return True
    lower = part.lower()
    if part[:1] != b"'" and any(len(name) > len(part) and name.startswith(lower) for name in spelled(state)[part[:1]]):
        return True
    if _CLOSED.fullmatch(part):
        return False
    return _is_free(state, part) or (frame.place == "escape" and part[:1] == b"'" and _begins_character(part[1:]))


def _begins_character(text: bytes) -> bool:
    """At most one character, perhaps unfinished."""
    return text[:1] not in (b"\x00", b"'") and len(text.decode(errors="ignore")) <= 1 and len(text) <= 4


def _is_free(state: State, part: bytes) -> bool:
    """``part``, a text in quotes that has not come to its end, may go on as it likes."""
    place = state.top.place
    quote = part[:1]
    if quote not in (b"'", b'"') or not ((place in STARTS and place != "case") or place == "alias"):
        return False
    # A doubled quote first looked like the end of the text: where that was refused, it could not come so far.
    ends = [found.end() for found in re.finditer(quote, part[1:])][::2]
    return all(accept(state, part[: end + 1]) is not None for end in ends)


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
    if isinstance(state.top, Definition) or not is_open(part) or not _is_free(state, part):
        return None
    return _IN_TEXT if part[:1] == b"'" else _IN_DOUBLE_QUOTES


def is_open(part: bytes) -> bool:
    """A text in quotes that has not come to its end."""
    return part[:1] in (b"'", *_QUOTES) and _CLOSED.fullmatch(part) is None


def number(state: State, part: bytes) -> bool:
    """Digits may follow ``part``, for a number of any value may stand or go on here."""
    frame = state.top
    if isinstance(frame, Definition) or state.word is not None or frame.is_term or frame.place == "case":
        return False
    return frame.place in STARTS and not is_word(part) and part != b"."


def signs(*, is_number: bool, is_spaced: bool) -> re.Pattern[bytes] | None:
    """Digits, white space, both or neither."""
    return _SIGNS[is_number, is_spaced]


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
    if isinstance(frame, Definition):
        if frame.place not in ("column", "definition or recursive", "name"):
            return Words(listed)
        taken = list(frame.columns) if frame.place == "column" else [name for name, _ in state.tables()]
        return Words(listed, _ANY, _rests(filter(_is_longest, taken), part))
    if isinstance(frame, Query) and takes_alias(frame):
        if frame.phase != "from":
            return Words(listed, _ANY)
        if clauses.is_barred(frame, part):
            return Words(listed)
        taken = clauses.taken_names(frame)
        listed = (*listed, *sorted(_rests(clauses.owed_names(frame), part)))
        return Words(listed, _ANY, barred=_rests(filter(clauses.bars, taken), part))
    if isinstance(frame, Bracket | Query) and frame.place in STARTS and state.query.phase == "select":
        letters = len(part)
        if letters <= 4 and not part[-1:].isdigit():
            return Words(listed, _SHORT[4 - letters], _two_digits(state, part))
    return Words(listed)


def _is_longest(name: bytes) -> bool:
    return not _grows(name)


def _two_digits(state: State, part: bytes) -> frozenset[bytes]:
    """The rests of qualifiers that nothing could follow: tables without columns, whose names cannot be lengthened."""
    empty = [name for name, columns in state.tables() if name[-2:].isdigit() and not columns]
    return _rests(empty, part)


def _rests(names: Iterable[bytes], part: bytes) -> frozenset[bytes]:
    """How those of ``names`` go on that begin with ``part``."""
    return frozenset(name[len(part) :] for name in names if len(name) > len(part) and name.startswith(part))
