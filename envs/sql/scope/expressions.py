"""What a lexeme does within an expression."""

from envs.sql.scope import names
from envs.sql.scope.catalogue import is_bare
from envs.sql.scope.frames import Bracket, Query
from envs.sql.scope.functions import Function
from envs.sql.scope.lexemes import unquoted
from envs.sql.scope.state import State, Word
from envs.sql.scope.words import CONSTANTS, MOST_OPERATORS

STARTS = frozenset({"predicate", "negated", "operand", "signed", "opened", "first argument", "first term", "case"})
"""Places where an operand may begin."""
ENDS = frozenset({"after", "tested", "existed"})
"""Places where an expression may end."""

_COMPARISONS = frozenset({b"=", b"==", b"<", b"<=", b">", b">=", b"<>", b"!="})
_ARITHMETIC = frozenset({b"+", b"-", b"*", b"/", b"%", b"||"})

Open = Bracket | Query


def begun(frame: Open, place: str = "after") -> Open:
    """A frame whose expression is more than a column from now on."""
    return frame._replace(place=place, column=b"", is_term=False, call="")


def within(frame: Open, inner: Bracket) -> Bracket:
    """A bracket in which the same may be called as around it."""
    return inner._replace(aggregates=frame.aggregates, windows=frame.windows, is_local=frame.is_local)


def start_operand(state: State, frame: Open, lexeme: bytes) -> State | None:
    """A lexeme where an operand may begin; None: it may not stand here."""
    first = lexeme[:1]
    if first.isalpha() or first == b"_":
        return _word(state, frame, lexeme.lower())
    if first in (b'"', b"`", b"["):
        return _quoted(state, frame, lexeme)
    if first == b"(":
        if not state.fits(is_query=False):
            return None
        place = "predicate" if frame.place == "case" else "opened"
        return state.push(within(frame, Bracket("group", place, is_term=frame.is_term)))
    if frame.place == "case":
        return None
    if first == b"'":
        return state.put(begun(frame))
    if first.isdigit() or (first == b"." and len(lexeme) > 1):
        if not frame.is_term:
            return state.put(begun(frame))
        if isinstance(frame, Query) and frame.place == "predicate" and is_position(frame, lexeme):
            return state.put(begun(frame, "position"))
        return None
    if lexeme in (b"-", b"+") and frame.place != "signed":
        return state.put(frame._replace(place="signed", column=b""))
    return None


def is_position(query: Query, lexeme: bytes) -> bool:
    """A number is that of a column of the result."""
    if not lexeme.isdigit() or lexeme[:1] == b"0" or len(lexeme) > 3 or int(lexeme) > len(query.columns):
        return False
    if query.phase == "order" or not query.calling:
        return True
    # Aggregates cannot be grouped by. Behind a star positions are not those of items any more.
    number = int(lexeme) - 1
    before = query.items[: number + 1]
    return number not in query.calling and not any(item is not None and item.endswith(b"*") for item in before)


def _word(state: State, frame: Open, word: bytes) -> State | None:
    if word in CONSTANTS:
        return None if frame.place == "case" else state.put(begun(frame))
    if word == b"not":
        return state.put(begun(frame, "negated"))
    if word == b"exists":
        return state.put(begun(frame, "exists")) if state.fits(is_query=True) else None
    if word == b"cast" and frame.place != "case":
        return state.put(begun(frame, "cast")) if state.fits(is_query=False) else None
    if word == b"case" and frame.place != "case":
        if not state.fits(is_query=False):
            return None
        inner = Bracket("case", "case", stage="operand")
        return state.put(begun(frame)).push(within(frame, inner))
    columns = names.columns(state)
    found = Word(
        word,
        is_column=word in columns and bool(state.catalogue.bare_of([word])),
        is_function=frame.place != "case" and state.fits(is_query=False) and word in functions(state, frame),
        is_qualifier=is_qualifier(state, word),
    )
    return state.with_word(found) if any(found[1:]) else None


def is_qualifier(state: State, word: bytes) -> bool:
    """A bare word may qualify a column here."""
    if word in names.qualifiers(state):
        return bool(state.catalogue.bare_of([word])) and bool(names.members(state, word))
    return names.may_be_made_up(state, word) and is_bare(word)


def functions(state: State, frame: Open) -> frozenset[bytes]:
    """What may be called here."""
    return state.catalogue.of_sorts(aggregates=frame.aggregates, windows=frame.windows)


def _quoted(state: State, frame: Open, lexeme: bytes) -> State | None:
    name = unquoted(lexeme).lower()
    is_column = name in names.columns(state)
    is_known = name in state.catalogue.columns
    is_qualifier = name in state.catalogue.columns_of and name in names.qualifiers(state)
    is_text = False
    if lexeme[:1] == b'"':
        is_text = frame.place != "case" and not is_column and names.may_be_text(state, name)
        is_column = is_column and (is_known or frame.place != "case")
    else:
        is_column = is_column and is_known
    found = Word(name, is_column=is_column, is_qualifier=is_qualifier, is_text=is_text)
    return state.with_word(found) if any(found[1:]) else None


def settle(state: State, word: Word, lexeme: bytes) -> State | None:
    """The state before ``lexeme``, which has decided what the word before it was; after it, for brackets and dots."""
    frame = state.top
    assert isinstance(frame, Bracket | Query)
    if lexeme == b".":
        if not word.is_qualifier:
            return None
        return state.put(frame._replace(place="member", qualifier=word.name))
    if lexeme == b"(":
        return _call(state, frame, state.catalogue.functions[word.name]) if word.is_function else None
    if lexeme == b" ":
        rest = word._replace(is_qualifier=False)
        return state.with_word(rest) if any(rest[1:]) else None
    if word.is_column:
        return name_column(names.name_column(state, word.name), word.name)
    if word.is_text:
        settled = names.name_text(state, word.name)
        return settled.put(begun(settled.top))  # type: ignore[arg-type]
    return None


def name_column(state: State, name: bytes) -> State:
    """After a column."""
    frame = state.top
    assert isinstance(frame, Bracket | Query)
    column = name if frame.column is None else b""
    return state.put(frame._replace(place="after", column=column, is_term=False, call=""))


def name_member(state: State, frame: Open, lexeme: bytes) -> State | None:
    """A lexeme after ``qualifier.``."""
    qualifier = frame.qualifier
    if lexeme == b"*":
        # The column is None only where the item has just begun.
        if not (isinstance(frame, Query) and frame.phase == "select" and frame.column is None):
            return None
        if not names.may_star(state, qualifier):
            return None
        starred = names.name_member(state, qualifier, None)
        query = starred.query
        return starred.put(query._replace(place="aliased", items=(*query.items, qualifier + b".*")))
    members = names.members(state, qualifier)
    if lexeme[:1] in (b'"', b"`", b"["):
        name = unquoted(lexeme).lower()
        is_there = name in members and name in state.catalogue.columns
    else:
        name = lexeme.lower()
        is_there = name in members and bool(state.catalogue.bare_of([name]))
    return name_column(names.name_member(state, qualifier, name), name) if is_there else None


def _call(state: State, frame: Open, function: Function) -> State | None:
    is_aggregate = function.sort == "aggregate"
    if is_aggregate and not frame.aggregates:
        function = Function("scalar", 2, None)  # max and min
        is_aggregate = False
    state = state.put(begun(frame))
    return state.push(
        Bracket(
            "arguments",
            "no argument" if function.most == 0 else "first argument",
            aggregates=frame.aggregates and function.sort == "scalar",
            windows=frame.windows and function.sort == "scalar",
            is_local=frame.is_local or is_aggregate,
            function=function,
        )
    )


def after_operand(state: State, frame: Open, lexeme: bytes) -> State | None:
    """An operator or comma after an operand, within the same expression; None: it may not stand here."""
    if lexeme in _ARITHMETIC or lexeme in _COMPARISONS:
        is_arithmetic = lexeme in _ARITHMETIC
        if is_arithmetic and frame.place != "after":
            return None
        if frame.place == "existed" or frame.call == "window" or (frame.mode == "low" and not is_arithmetic):
            return None
        if frame.length >= MOST_OPERATORS or (
            isinstance(frame, Bracket) and frame.kind == "case" and frame.stage == "operand"
        ):
            return None
        mode = frame.mode if is_arithmetic else ""
        return state.put(begun(frame, "operand")._replace(mode=mode, length=frame.length + 1))
    return None


def after_operand_word(state: State, frame: Open, word: bytes) -> State | None:
    """A keyword after an operand that does not end the expression; it is one of those that may stand here."""
    longer = begun(frame)._replace(length=frame.length + 1)
    if word == b"and" and frame.mode == "low":
        return state.put(longer._replace(place="operand", mode=""))
    if word in (b"and", b"or"):
        return state.put(longer._replace(place="predicate", mode=""))
    if word == b"not":
        return state.put(longer._replace(place="not", mode=""))
    if word in (b"like", b"glob"):
        return state.put(longer._replace(place="operand", mode="like" if word == b"like" else ""))
    if word == b"escape":
        return state.put(longer._replace(place="escape", mode=""))
    if word == b"between":
        return state.put(longer._replace(place="operand", mode="low"))
    if word == b"in":
        return state.put(longer._replace(place="in", mode="")) if state.fits(is_query=False) else None
    if word == b"is":
        return state.put(longer._replace(place="is", mode=""))
    if word in (b"isnull", b"notnull"):
        return state.put(longer._replace(place="tested", mode=""))
    if word == b"collate":
        return state.put(frame._replace(place="collation", mode="", call=""))
    if word in (b"over", b"filter"):
        return state.put(longer._replace(place=word.decode(), mode=frame.mode))
    return None
