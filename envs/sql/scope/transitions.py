"""From one place in a query to the next, lexeme by lexeme."""

from weakref import ref

from envs.sql.scope import brackets, clauses, expressions, from_clause
from envs.sql.scope.catalogue import is_alias
from envs.sql.scope.expressions import ENDS, STARTS
from envs.sql.scope.frames import Bracket, CommonTable, Definition, Query
from envs.sql.scope.lexemes import unquoted
from envs.sql.scope.state import State
from envs.sql.scope.words import JOINS, keywords

_TERM_ENDS = frozenset({"position", "directed", "nulled", "resulted"})
_SOURCE_ENDS = frozenset({"sourced", "joined"})


def accept(state: State, lexeme: bytes) -> State | None:
    """The place after a whole lexeme; None: it may not stand here."""
    after: State | None = None
    if lexeme in state.found:
        found: ref[State] | None = state.found[lexeme]
        if found is None:
            return None
        after = found()
    if after is None:
        after = _accept(state, lexeme)
        if after is not None:
            after = after.unique()
        # Weakly, lest the first place keep all that was ever written.
        state.found[lexeme] = None if after is None else ref(after)
    return after


def _accept(state: State, lexeme: bytes) -> State | None:
    if state.word is not None:
        settled = expressions.settle(state, state.word, lexeme)
        if settled is None or lexeme in (b".", b"(", b" "):
            return settled
        state = settled
    if lexeme == b" ":
        return None if state.top.place in ("member", "closed") else state
    frame = state.top
    if isinstance(frame, Definition):
        return _define(state, frame, lexeme)
    if lexeme == b")":
        return _close(state, frame)
    if frame.place in STARTS:
        return _start(state, frame, lexeme)
    if frame.place in ENDS:
        return _end(state, frame, lexeme)
    if lexeme == b"(" and not (isinstance(frame, Query) and frame.place == "table"):
        return brackets.open_bracket(state, frame)
    if frame.place == "member":
        return expressions.name_member(state, frame, lexeme)
    if isinstance(frame, Query):
        return _in_query(state, frame, lexeme)
    return _in_bracket(state, frame, lexeme)


def _start(state: State, frame: Bracket | Query, lexeme: bytes) -> State | None:
    word = lexeme.lower()
    if word in (b"select", b"distinct", b"all", b"when") and word not in keywords(state):
        return None
    if word == b"select":
        assert isinstance(frame, Bracket)
        role = "in" if frame.kind == "list" else "scalar"
        outer = state.pop(state.frames[-2])
        return clauses.select(outer.push(clauses.start_query(role, 1)), clauses.start_query(role, 1))
    if word in (b"distinct", b"all"):
        if isinstance(frame, Query):
            return clauses.distinct(state, frame)
        return state.put(frame._replace(place="predicate", is_distinct=True))
    if word == b"when":
        assert isinstance(frame, Bracket)
        return brackets.case_word(state, frame, word)
    if lexeme == b"*":
        if isinstance(frame, Query):
            return clauses.star(state, frame)
        function = frame.function
        is_count = frame.place == "first argument" and function is not None and function.sort == "aggregate"
        return state.put(frame._replace(place="starred")) if is_count and function.least == 0 else None  # type: ignore
    return expressions.start_operand(state, frame, lexeme)


def _end(state: State, frame: Bracket | Query, lexeme: bytes) -> State | None:
    word = lexeme.lower()
    if frame.call in ("aggregate", "distinct", "filtered") and word not in (b"over", b"filter"):
        state = brackets.mark(state, is_window=False)
        frame = state.top  # type: ignore[assignment]
    is_word = lexeme[:1].isalpha() or lexeme[:1] == b"_"
    if is_word and word in keywords(state):
        found = expressions.after_operand_word(state, frame, word)
        if found is not None or word in (b"in",):
            return found
        if isinstance(frame, Query):
            return _clause_word(state, frame, word)
        return _bracket_word(state, frame, word)
    if is_word:
        is_alias_here = isinstance(frame, Query) and clauses.may_alias(frame)
        return clauses.name_alias(state, frame, lexeme) if is_alias_here else None  # type: ignore[arg-type]
    if frame.call == "window" or (frame.mode == "low" and lexeme in (b",", b";")):
        return None
    if lexeme == b",":
        if isinstance(frame, Bracket):
            return brackets.comma(state, frame)
        return _query_comma(state, frame)
    if lexeme == b";":
        return _finish(state)
    return expressions.after_operand(state, frame, lexeme)


def _clause_word(state: State, frame: Query, word: bytes) -> State | None:
    if word == b"as":
        return state.put(frame._replace(place="alias"))
    if word in (b"asc", b"desc"):
        return state.put(frame._replace(place="directed"))
    if word == b"nulls":
        return state.put(frame._replace(place="nulls"))
    return clauses.clause(state, frame, word)


def _bracket_word(state: State, frame: Bracket, word: bytes) -> State | None:
    if frame.kind == "case":
        return brackets.case_word(state, frame, word)
    places = {b"as": "type", b"order": "sort by", b"asc": "directed", b"desc": "directed", b"nulls": "nulls"}
    return state.put(frame._replace(place=places[word]))


def _query_comma(state: State, frame: Query) -> State | None:
    if frame.phase == "select":
        return clauses.next_item(state, frame)
    if frame.phase == "from":
        return clauses.link(state, frame, b",")
    return clauses.next_term(state, frame) if frame.phase in ("group", "order") else None


def _close(state: State, frame: Bracket | Query) -> State | None:
    if frame.mode == "low" or frame.call == "window":
        return None
    if frame.call in ("aggregate", "distinct", "filtered"):
        state = brackets.mark(state, is_window=False)
        frame = state.top  # type: ignore[assignment]
    if isinstance(frame, Bracket):
        return brackets.close_bracket(state, frame)
    if len(state.frames) == 1:
        return None
    if frame.role != "definition":
        return clauses.close(state)
    if not clauses.is_complete(state, frame):
        return None
    closed = clauses.close_from(clauses.end_item(frame) if frame.phase == "select" else frame)
    definition, statement = state.frames[-2], state.frames[-3]
    assert isinstance(definition, Definition) and isinstance(statement, Query)
    columns = definition.columns or from_clause.without_repetitions(closed.first or closed.columns)
    common = CommonTable(definition.name, columns)
    return State(
        state.catalogue, (*state.frames[:-3], statement._replace(place="defined")), (*state.common_tables, common)
    )


def _finish(state: State) -> State | None:
    frame = state.top
    if len(state.frames) > 1 or not isinstance(frame, Query) or not clauses.is_complete(state, frame):
        return None
    return state.put(frame._replace(place="closed"))


def _in_query(state: State, frame: Query, lexeme: bytes) -> State | None:
    place = frame.place
    word = lexeme.lower()
    if place == "table":
        return clauses.derive(state, frame) if lexeme == b"(" else clauses.table(state, frame, lexeme)
    if place == "alias":
        return clauses.name_alias(state, frame, lexeme)
    if place == "result":
        return clauses.result_term(state, frame, lexeme)
    if place in ("limit", "offset"):
        after = "limited" if place == "limit" else "offset done"
        return state.put(frame._replace(place=after)) if lexeme.isdigit() and len(lexeme) < 10 else None
    if place == "escape":
        return _escape(state, frame, lexeme)
    if lexeme == b";":
        return _finish(state)
    if lexeme == b",":
        return _comma_between(state, frame)
    if word not in keywords(state):
        is_bare = word[:1].isalpha() or word[:1] == b"_"
        is_alias_here = is_bare and place == "sourced" and clauses.may_alias(frame)
        return clauses.name_alias(state, frame, lexeme) if is_alias_here else None
    return _query_word(state, frame, word)


def _query_word(state: State, frame: Query, word: bytes) -> State | None:
    place = frame.place
    if place in ("start", "defined", "select", "union"):
        if word == b"with":
            return state.push(Definition("definition or recursive"))
        return state.put(frame._replace(place="select")) if word == b"all" else clauses.select(state, frame)
    if place in ("group by", "order by"):
        return clauses.by(state, frame)
    if place in ("natural", "side", "joining"):
        return clauses.join_word(state, frame, word)
    if place in _SOURCE_ENDS and word in JOINS:
        return clauses.link(state, frame, word)
    if word == b"offset":
        return state.put(frame._replace(place="offset"))
    if word == b"collate":
        return state.put(frame._replace(place="collation"))
    if (shared := _test_word(state, frame, word)) is not None:
        return shared
    return _clause_word(state, frame, word)


def _comma_between(state: State, frame: Query) -> State | None:
    place = frame.place
    if place == "defined":
        return state.push(Definition("name"))
    if place == "limited":
        return state.put(frame._replace(place="offset"))
    if place == "aliased":
        return clauses.next_item(state, frame)
    if place in _SOURCE_ENDS:
        return clauses.link(state, frame, b",")
    return clauses.next_term(state, frame) if place in _TERM_ENDS else None


def _test_word(state: State, frame: Bracket | Query, word: bytes) -> State | None:
    """A keyword within a test, or after a term of ORDER BY."""
    place = frame.place
    if place == "not":
        return expressions.after_operand_word(state, frame, word)
    if place == "is":
        return state.put(frame._replace(place="is not" if word == b"not" else "tested"))
    if place == "is not":
        return state.put(frame._replace(place="tested"))
    if place == "collation":
        is_result = isinstance(frame, Query) and frame.phase == "order" and frame.selects > 1
        return state.put(frame._replace(place="resulted" if is_result else "tested"))
    if place == "nulls":
        return state.put(frame._replace(place="nulled"))
    return None


def _escape(state: State, frame: Bracket | Query, lexeme: bytes) -> State | None:
    is_one = lexeme[:1] == b"'" and len(lexeme) > 2 and len(unquoted(lexeme).decode(errors="replace")) == 1
    return state.put(frame._replace(place="tested")) if is_one else None


def _in_bracket(state: State, frame: Bracket, lexeme: bytes) -> State | None:
    place = frame.place
    word = lexeme.lower()
    if place == "merge":
        return _merge(state, lexeme)
    if place == "escape":
        return _escape(state, frame, lexeme)
    if lexeme == b",":
        if place == "merged":
            return state.put(frame._replace(place="merge")) if from_clause.columns_to_merge(state.query) else None
        return brackets.comma(state, frame) if place in ("directed", "nulled") else None
    if word not in keywords(state):
        return None
    if (shared := _test_word(state, frame, word)) is not None:
        return shared
    if place == "condition":
        return state.put(frame._replace(place="predicate"))
    if place == "type":
        return state.put(frame._replace(place="typed"))
    if place == "window":
        return state.put(frame._replace(place=f"{'partition' if word == b'partition' else 'sort'} by"))
    if place in ("partition by", "sort by"):
        stage = "partition" if place == "partition by" else "order"
        return state.put(
            frame._replace(place="predicate", stage=stage, column=None, length=0, mode="", call="", number=0)
        )
    return _bracket_word(state, frame, word)


def _merge(state: State, lexeme: bytes) -> State | None:
    is_quoted = lexeme[:1] in (b'"', b"`", b"[")
    name = (unquoted(lexeme) if is_quoted else lexeme).lower()
    if name not in from_clause.columns_to_merge(state.query):
        return None
    is_known = name in state.catalogue.columns
    is_spelled = is_known if is_quoted else bool(state.catalogue.bare_of([name]))
    return brackets.merge(state, name) if is_spelled else None


def _define(state: State, frame: Definition, lexeme: bytes) -> State | None:
    place = frame.place
    word = lexeme.lower()
    is_word = lexeme[:1].isalpha() or lexeme[:1] == b"_"
    if place == "definition or recursive" and word == b"recursive":
        return state.put(frame._replace(place="name"))
    if place in ("definition or recursive", "name"):
        is_new = is_word and is_alias(word) and state.columns_of(word) is None
        return state.put(frame._replace(place="name columns", name=word)) if is_new else None
    if place == "column":
        is_new = is_word and is_alias(word) and word not in frame.columns
        return state.put(frame._replace(place="column done", columns=(*frame.columns, word))) if is_new else None
    if lexeme == b"(":
        if place == "name columns":
            return state.put(frame._replace(place="column"))
        if place == "open":
            return state.push(clauses.start_query("definition", len(frame.columns) or None))
    if place == "column done" and lexeme in (b",", b")"):
        return state.put(frame._replace(place="column" if lexeme == b"," else "as"))
    return state.put(frame._replace(place="open")) if word == b"as" and word in keywords(state) else None


def is_complete(state: State) -> bool:
    """The text may end here."""
    if state.word is not None:
        settled = expressions.settle(state, state.word, b"")
        if settled is None:
            return False
        state = settled
    frame = state.top
    if len(state.frames) > 1 or not isinstance(frame, Query):
        return False
    return frame.place == "closed" or clauses.is_complete(state, frame)
