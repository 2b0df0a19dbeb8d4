"""What a lexeme does at the ends of brackets and CASE, and between the elements within them."""

from envs.sql.scope import from_clause
from envs.sql.scope.clauses import start_query
from envs.sql.scope.expressions import Open, begun, within
from envs.sql.scope.frames import Bracket, Query
from envs.sql.scope.state import State

_MOST_ELEMENTS = 60


def open_bracket(state: State, frame: Open) -> State | None:
    """A bracket after a keyword that needs one."""
    place = frame.place
    if place == "exists":
        return state.push(start_query("exists"))
    if place == "in":
        return state.push(within(frame, Bracket("list", "opened")))
    if place == "cast":
        return state.push(within(frame, Bracket("cast", "predicate")))
    if place == "filter":
        return state.push(Bracket("filter", "condition", is_local=True))
    if place == "over":
        return state.push(within(frame, Bracket("over", "window"))._replace(windows=False))
    if place == "using":
        return state.push(Bracket("using", "merge"))
    return None


def comma(state: State, frame: Bracket) -> State | None:
    """A comma within a bracket, after an expression."""
    if frame.kind == "arguments":
        assert frame.function is not None
        most = frame.function.most
        if frame.is_distinct or (most is not None and frame.number + 1 >= most):
            return None
    elif frame.kind not in ("list", "over"):
        return None
    if frame.number >= _MOST_ELEMENTS:
        return None
    return state.put(_element(frame)._replace(number=frame.number + 1))


def _element(frame: Bracket, place: str = "predicate") -> Bracket:
    return frame._replace(place=place, mode="", call="", column=None, length=0)


def close_bracket(state: State, frame: Bracket) -> State | None:
    """A closing bracket after an expression, or where there is none."""
    if frame.kind == "using":
        return _close_using(state, frame) if frame.place == "merged" else None
    outer = state.frames[-2]
    assert isinstance(outer, Bracket | Query)
    if frame.kind == "arguments":
        return _close_arguments(state, frame, outer)
    if frame.kind == "cast":
        return state.pop(begun(outer)) if frame.place == "typed" else None
    if frame.kind == "over":
        if frame.place not in ("window", "after", "tested", "existed", "directed", "nulled"):
            return None
        return mark(state.pop(begun(outer)), is_window=True)
    if frame.place not in ("after", "tested", "existed"):
        return None
    if frame.kind == "group":
        column = frame.column if outer.column is None else b""
        return state.pop(outer._replace(place="after", column=column, is_term=False, call=""))
    if frame.kind == "list":
        return state.pop(begun(outer, "tested"))
    if frame.kind == "filter":
        return state.pop(begun(outer)._replace(call="filtered"))
    return None


def _close_arguments(state: State, frame: Bracket, outer: Open) -> State | None:
    function = frame.function
    assert function is not None
    if frame.place in ("first argument", "no argument"):
        count = 0
    elif frame.place in ("after", "tested", "existed", "starred"):
        count = frame.number + 1
    else:
        return None
    if count < function.least:
        return None
    call = ""
    if function.sort == "window":
        call = "window"
    elif function.sort == "aggregate" and (function.most is not None or count == 1):
        call = "distinct" if frame.is_distinct else "aggregate"
    return state.pop(begun(outer)._replace(call=call))


def _close_using(state: State, frame: Bracket) -> State | None:
    query = state.query
    if not from_clause.conflicts(query) <= query.using:
        return None
    source = query.sources[-1]._replace(merged=query.using)
    return state.pop(query._replace(place="joined", was_merged=True, sources=(*query.sources[:-1], source)))


def merge(state: State, name: bytes) -> State:
    """A column in USING."""
    query = state.query
    merged = state.with_query(query._replace(using=query.using | {name}))
    return merged.put(merged.top._replace(place="merged"))


def mark(state: State, *, is_window: bool) -> State:
    """An item of the select list has called an aggregate, or a window function."""
    query = state.query
    if query.phase != "select":
        return state
    if is_window:
        return state.with_query(query._replace(item_has_window=True, has_window=True))
    return state.with_query(query._replace(item_has_aggregate=True, has_aggregate=True))


def case_word(state: State, frame: Bracket, word: bytes) -> State:
    """WHEN, THEN, ELSE or END of a CASE, where it may stand."""
    if word != b"end":
        return state.put(_element(frame)._replace(stage=word.decode()))
    outer = state.frames[-2]
    assert isinstance(outer, Bracket | Query)
    return state.pop(begun(outer))
