"""The keywords that may come next, by place."""

from envs.sql.scope import from_clause
from envs.sql.scope.frames import Bracket, Definition, Query
from envs.sql.scope.state import State, once

CONSTANTS = frozenset(b"null true false current_date current_time current_timestamp".split())
_OPERAND = CONSTANTS | {b"case", b"cast"}
_NEGATED = _OPERAND | {b"exists"}
_PREDICATE = _NEGATED | {b"not"}
_TESTS = frozenset(b"not like glob between in is isnull notnull collate".split())
_SETS = frozenset(b"union intersect except".split())
COLLATIONS = frozenset(b"nocase binary rtrim".split())
TYPES = frozenset(
    b"bigint bool boolean blob char date datetime decimal double float int integer numeric real signed smallint string"
    b" text time timestamp tinyint unsigned varchar".split()
)
JOINS = frozenset(b"natural inner cross left right full join".split())

# Operators of one expression: SQLite bounds the depth of its tree.
MOST_OPERATORS = 40
_MOST_SELECTS = 8

_FIXED: dict[str, frozenset[bytes]] = {
    "predicate": _PREDICATE,
    "negated": _NEGATED,
    "operand": _OPERAND,
    "signed": _OPERAND,
    "case": frozenset({b"when"}),
    "not": frozenset(b"like glob between in".split()),
    "is": frozenset(b"not null".split()),
    "is not": frozenset({b"null"}),
    "collation": COLLATIONS,
    "condition": frozenset({b"where"}),
    "type": TYPES,
    "window": frozenset(b"partition order".split()),
    "partition by": frozenset({b"by"}),
    "sort by": frozenset({b"by"}),
    "nulls": frozenset(b"first last".split()),
    "start": frozenset(b"select with".split()),
    "select": frozenset({b"select"}),
    "union": frozenset(b"all select".split()),
    "first term": _PREDICATE | {b"distinct", b"all"},
    "natural": JOINS - {b"natural", b"right", b"full"},
    "joining": frozenset({b"join"}),
    "side": frozenset(b"outer join".split()),
    "group by": frozenset({b"by"}),
    "order by": frozenset({b"by"}),
    "name columns": frozenset({b"as"}),
    "as": frozenset({b"as"}),
    "defined": frozenset({b"select"}),
    "definition or recursive": frozenset({b"recursive"}),
}
_NONE: frozenset[bytes] = frozenset()


@once
def keywords(state: State) -> frozenset[bytes]:
    """The keywords that may come next, in lower case."""
    frame = state.top
    place = frame.place
    if place == "opened":
        return _PREDICATE | {b"select"} if state.fits(is_query=True) else _PREDICATE
    if place == "first argument":
        assert isinstance(frame, Bracket) and frame.function is not None
        is_aggregate = frame.function.sort == "aggregate" and frame.function.least < 2
        return _PREDICATE | {b"distinct"} if is_aggregate else _PREDICATE
    if isinstance(frame, Definition):
        return _FIXED.get(place, _NONE)
    if place in ("after", "tested", "existed"):
        return _after(state, frame)
    if isinstance(frame, Query):
        if place == "aliased":
            return _select_ends(state, frame)
        if place in ("sourced", "joined"):
            return _source_ends(state, frame)
        if place in ("position", "directed", "nulled", "resulted"):
            return _term_ends(state, frame)
        if place in ("limited", "offset done"):
            return frozenset({b"offset"}) if place == "limited" else _NONE
    elif place in ("directed", "nulled"):
        return frozenset({b"nulls"}) if place == "directed" else _NONE
    return _FIXED.get(place, _NONE)


def _after(state: State, frame: Bracket | Query) -> frozenset[bytes]:
    """After an operand, a test, or EXISTS."""
    if frame.call == "window":
        return frozenset({b"over"})
    if frame.mode == "low":
        return frozenset({b"and"})
    found: set[bytes] = set()
    if frame.call:
        if frame.call != "filtered":
            found.add(b"filter")
        if frame.windows and frame.call != "distinct":
            found.add(b"over")
    if isinstance(frame, Bracket) and frame.kind == "case" and frame.stage == "operand":
        return frozenset({b"when"})
    if frame.length < MOST_OPERATORS:
        found |= {b"and", b"or"}
        if frame.place != "existed":
            found |= _TESTS
    if frame.mode == "like":
        found.add(b"escape")
    return frozenset(found) | (_bracket_ends(frame) if isinstance(frame, Bracket) else _clause_ends(state, frame))


def _bracket_ends(frame: Bracket) -> frozenset[bytes]:
    if frame.kind == "cast":
        return frozenset({b"as"})
    if frame.kind == "case":
        ends = {"when": b"then", "then": b"when else end", "else": b"end"}
        return frozenset(ends[frame.stage].split())
    if frame.kind == "over":
        return frozenset({b"order"} if frame.stage == "partition" else {b"asc", b"desc", b"nulls"})
    return _NONE


def _clause_ends(state: State, frame: Query) -> frozenset[bytes]:
    """After an expression that may end."""
    if frame.phase == "select":
        return _select_ends(state, frame) | {b"as"}
    if frame.phase == "from":
        return _source_ends(state, frame)
    if frame.phase == "order":
        return _term_ends(state, frame)
    return _clauses(state, frame)


def _select_ends(state: State, frame: Query) -> frozenset[bytes]:
    """After an item of the select list, or its alias."""
    found: set[bytes] = set()
    if has_required(frame):
        if from_clause.tables_offered(state, "first") or from_clause.may_derive(state, "first"):
            found.add(b"from")
        if from_clause.is_whole(state):
            found |= _result_ends(frame)
    return frozenset(found)


def item_count(query: Query) -> int:
    """How many items the select list has, the one that is being written included."""
    return len(query.items) + (query.place != "aliased")


def has_required(query: Query) -> bool:
    """The select list may end here: it has as many columns as it must have, or its one star."""
    return query.required is None or query.items == (b"*",) or item_count(query) == query.required


def _source_ends(state: State, frame: Query) -> frozenset[bytes]:
    found: set[bytes] = set()
    is_in_source = frame.place == "sourced"
    if is_in_source and not frame.is_aliased:
        found.add(b"as")
    if is_in_source and from_clause.is_named(frame) and from_clause.may_merge(frame):
        found.add(b"using")
    if not from_clause.is_joinable(frame):
        return frozenset(found)
    if is_in_source and frame.link in ("comma", "join", "right"):
        found.add(b"on")
    if from_clause.may_link(state, "natural"):
        found.add(b"natural")
    if from_clause.may_link(state, "join"):
        found |= {b"join", b"inner", b"cross", b"left"}
    if from_clause.may_link(state, "right"):
        found |= {b"right", b"full"}
    if from_clause.is_whole(state):
        found |= {b"where"} | _clauses(state, frame)
    return frozenset(found)


def _clauses(state: State, frame: Query) -> frozenset[bytes]:
    """What may follow FROM, WHERE, GROUP BY and HAVING, after each of them."""
    found = _result_ends(frame)
    if frame.phase in ("from", "where"):
        found = found | {b"group"}
    if frame.phase != "having" and (frame.is_grouped or (frame.has_aggregate and not frame.has_window)):
        found = found | {b"having"}
    return found


def _result_ends(frame: Query) -> frozenset[bytes]:
    found = {b"limit", b"order"}
    if frame.selects < _MOST_SELECTS:
        found |= _SETS
    return frozenset(found)


def _term_ends(state: State, frame: Query) -> frozenset[bytes]:
    found = {b"limit"}
    if frame.phase == "group":
        return _clauses(state, frame)
    if frame.place in ("directed",):
        found |= {b"nulls"}
    elif frame.place != "nulled":
        found |= {b"asc", b"desc", b"nulls"}
        if frame.place == "resulted":
            found |= {b"collate"}
    return frozenset(found)
