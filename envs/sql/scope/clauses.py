"""What a lexeme does in the clauses of a query, outside of expressions."""

from envs.sql.scope import from_clause, names
from envs.sql.scope.catalogue import is_alias
from envs.sql.scope.expressions import begun
from envs.sql.scope.frames import Alias, Bracket, Query
from envs.sql.scope.lexemes import unquoted
from envs.sql.scope.state import State
from envs.sql.scope.words import JOINS, has_required, item_count

# Names longer than this may not begin like one that is taken: the grammar bounds how far they could be continued.
_SHORT = 40
_MOST_ITEMS = 60


def start_query(role: str, required: int | None = None) -> Query:
    """A query whose SELECT is to come."""
    return Query(role, "select", required=required)


def select(state: State, query: Query) -> State:
    """After SELECT: of the first query, or of the next in a set operation."""
    return state.put(_item(query._replace(phase="select", place="first term")))


def _item(query: Query) -> Query:
    """At the beginning of an item of the select list."""
    return query._replace(
        column=None,
        length=0,
        mode="",
        call="",
        aggregates=True,
        windows=True,
        item_has_aggregate=False,
        item_has_window=False,
    )


def distinct(state: State, query: Query) -> State:
    """After SELECT DISTINCT."""
    return state.put(query._replace(place="predicate"))


def star(state: State, query: Query) -> State | None:
    """``*`` at the beginning of an item."""
    if query.phase != "select" or query.column is not None or query.place not in ("first term", "predicate"):
        return None
    if query.required is not None and (query.items or not from_clause.reaches(state, query.required)):
        return None
    if not any(columns for _, columns in state.tables()):
        return None
    return state.put(query._replace(place="aliased", items=(*query.items, b"*")))


def end_item(query: Query) -> Query:
    """The item that is being written joins the list, unless its alias has put it there."""
    if query.place == "aliased":
        return query
    return _with_item(query, query.column or None)


def _with_item(query: Query, name: bytes | None) -> Query:
    calls = query.item_has_aggregate or query.item_has_window
    calling = (*query.calling, len(query.items)) if calls else query.calling
    return query._replace(items=(*query.items, name), calling=calling, place="aliased", call="", mode="")


def next_item(state: State, query: Query) -> State | None:
    """A comma in the select list."""
    if query.required is not None and (query.items == (b"*",) or item_count(query) >= query.required):
        return None
    ended = end_item(query)
    if len(ended.items) >= _MOST_ITEMS:
        return None
    return state.put(_item(ended)._replace(place="predicate"))


def may_alias(query: Query) -> bool:
    """An item that has ended, or a source, may get an alias."""
    if query.place == "sourced":
        return not query.is_aliased
    return (
        query.phase == "select"
        and query.place in ("after", "tested", "existed")
        and query.mode != "low"
        and query.call != "window"
    )


def name_alias(state: State, query: Query, lexeme: bytes) -> State | None:
    """An alias of an item of the select list, or of a source."""
    is_quoted = lexeme[:1] in (b'"', b"'")
    if not is_quoted and not (lexeme[:1].isalpha() or lexeme[:1] == b"_"):
        return None
    name = (unquoted(lexeme) if is_quoted else lexeme).lower()
    if not is_quoted and not is_alias(name):
        return None
    if query.phase == "from":
        if not name or not from_clause.may_be_called(query, name):
            return None
        source = query.sources[-1]._replace(name=name)
        return state.put(query._replace(place="sourced", sources=(*query.sources[:-1], source), is_aliased=True))
    alias = Alias(name, query.item_has_aggregate, query.item_has_window)
    return state.put(_with_item(query, name)._replace(aliases=(*query.aliases, alias)))


def taken_names(query: Query) -> list[bytes]:
    """The names that the last source may not have."""
    taken = [source.name for source in query.sources[:-1] if source.name]
    return taken + [owed.name for owed in query.owed if not owed.columns <= query.sources[-1].names]


def owed_names(query: Query) -> list[bytes]:
    """The names that the select list wants, and that the last source may have."""
    if query.phase != "from" or not query.sources:
        return []
    taken = {source.name for source in query.sources[:-1]}
    return [owed.name for owed in query.owed if owed.columns <= query.sources[-1].names and owed.name not in taken]


def bars(name: bytes) -> bool:
    """No alias may begin with this name where it is taken: what wants to end as T2 had better not begin, lest it must
    become T20."""
    return name[-1:].isdigit() or len(name) >= _SHORT


def is_barred(query: Query, part: bytes) -> bool:
    """No alias of the last source may begin with ``part``."""
    return any(bars(name) and part.startswith(name) for name in taken_names(query))


def table(state: State, query: Query, lexeme: bytes) -> State | None:
    """A table in FROM."""
    is_quoted = lexeme[:1] in (b'"', b"`", b"[")
    name = (unquoted(lexeme) if is_quoted else lexeme).lower()
    if name not in from_clause.tables_offered(state, query.link):
        return None
    is_common = any(common.name == name for common in state.common_tables)
    if is_quoted if is_common else not is_quoted and name not in state.catalogue.bare:
        return None
    columns = state.columns_of(name)
    assert columns is not None
    return state.put(from_clause.add_source(query, name, columns))


def derive(state: State, query: Query) -> State | None:
    """A bracket in FROM."""
    if not from_clause.may_derive(state, query.link):
        return None
    required = None
    if query.required is not None and query.items == (b"*",):
        required = query.required - names.width(query)
    return state.push(start_query("derived", required))


def link(state: State, query: Query, word: bytes) -> State | None:
    """A comma, or the first word of a join."""
    kind = {b",": "comma", b"natural": "natural", b"right": "right", b"full": "right"}.get(word, "join")
    if not (from_clause.is_joinable(query) and from_clause.may_link(state, kind)):
        return None
    place = {b",": "table", b"join": "table", b"natural": "natural", b"inner": "joining", b"cross": "joining"}
    return state.put(
        _in_from(query)._replace(
            place=place.get(word, "side"),
            link=kind,
            using=frozenset(),
            was_merged=query.was_merged or kind == "natural",
            was_right=query.was_right or kind == "right",
        )
    )


def _in_from(query: Query) -> Query:
    return query._replace(column=None, length=0, mode="", call="", aggregates=False, windows=False)


def join_word(state: State, query: Query, word: bytes) -> State:
    """A further word of a join."""
    if word == b"join":
        return state.put(query._replace(place="table"))
    if word in (b"inner", b"cross", b"outer"):
        return state.put(query._replace(place="joining"))
    return state.put(query._replace(place="side"))


def clause(state: State, query: Query, word: bytes) -> State | None:
    """A keyword that begins a clause, or the next SELECT; it is one of those that may stand here."""
    if query.phase == "select":
        query = end_item(query)
    if word == b"from":
        return state.put(_in_from(query)._replace(phase="from", place="table", link="first"))
    if word in JOINS:
        return link(state, query, word)
    if word == b"on":
        return state.put(_in_from(query)._replace(place="predicate"))
    if word == b"using":
        return state.put(query._replace(place="using", using=frozenset()))
    closed = close_from(query)
    fresh = closed._replace(column=None, length=0, mode="", call="", aggregates=False, windows=False)
    if word == b"where":
        return state.put(fresh._replace(phase="where", place="predicate"))
    if word == b"group":
        return state.put(fresh._replace(phase="group", place="group by", is_grouped=True))
    if word == b"having":
        return state.put(fresh._replace(phase="having", place="predicate", aggregates=True))
    if word == b"order":
        return state.put(fresh._replace(phase="order", place="order by"))
    if word == b"limit":
        return state.put(fresh._replace(phase="limit", place="limit"))
    return state.put(_next_select(state, fresh, "union" if word == b"union" else "select"))


def close_from(query: Query) -> Query:
    """The sources of the query are known now, and so are its columns."""
    if query.phase not in ("select", "from"):
        return query
    columns = from_clause.expanded(query)
    if query.first is not None:
        return query._replace(columns=columns, phase="where")
    found = names.counts(query)
    aliases = frozenset(alias.name for alias in query.aliases)
    plain = frozenset(column for column in columns if column is not None and found[column] == 1)
    return query._replace(columns=columns, phase="where", first=columns, sortable=aliases | plain)


def _next_select(state: State, query: Query, place: str) -> Query:
    return Query(
        query.role,
        place,
        required=len(query.columns),
        first=query.first,
        sortable=query.sortable,
        selects=query.selects + 1,
    )


def by(state: State, query: Query) -> State:
    """After GROUP BY or ORDER BY."""
    if query.phase == "order" and query.selects > 1:
        return state.put(query._replace(place="result"))
    return state.put(_term(query))


def _term(query: Query) -> Query:
    is_order = query.phase == "order"
    return query._replace(
        place="predicate",
        column=None,
        length=0,
        mode="",
        call="",
        is_term=True,
        aggregates=is_order and (query.is_grouped or (query.has_aggregate and not query.has_window)),
        windows=is_order,
    )


def next_term(state: State, query: Query) -> State:
    """A comma in GROUP BY or ORDER BY."""
    return by(state, query)


def result_term(state: State, query: Query, lexeme: bytes) -> State | None:
    """A term by which the result of a set operation is ordered: a column's name or number."""
    first = lexeme[:1]
    if first.isdigit():
        is_there = lexeme.isdigit() and first != b"0" and len(lexeme) < 4 and int(lexeme) <= len(query.columns)
    elif first == b'"':
        is_there = unquoted(lexeme).lower() in query.sortable & state.catalogue.columns
    elif first.isalpha() or first == b"_":
        name = lexeme.lower()
        is_there = name in query.sortable and bool(state.catalogue.bare_of([name]))
    else:
        is_there = False
    return state.put(query._replace(place="resulted", column=b"")) if is_there else None


def close(state: State) -> State | None:
    """The bracket around a query closes; None: the query may not end here."""
    query = state.top
    assert isinstance(query, Query)
    if not is_complete(state, query):
        return None
    if query.phase == "select":
        query = end_item(query)
    closed = close_from(query)
    columns = closed.first if closed.first is not None else closed.columns
    outer = state.frames[-2]
    if query.role == "derived":
        assert isinstance(outer, Query)
        return state.pop(from_clause.add_source(outer, b"", from_clause.without_repetitions(columns)))
    assert isinstance(outer, Bracket | Query)
    place = {"scalar": "after", "in": "tested", "exists": "existed"}[query.role]
    return state.pop(begun(outer, place))


def is_complete(state: State, query: Query) -> bool:
    """The query may end here."""
    if query.place in ("limited", "offset done", "position", "directed", "nulled", "resulted"):
        return True
    if query.place in ("sourced", "joined") and not from_clause.is_joinable(query):
        return False
    if query.place not in ("after", "tested", "existed", "aliased", "sourced", "joined"):
        return False
    if query.mode == "low" or query.call == "window":
        return False
    if query.phase == "select":
        return has_required(query) and from_clause.is_whole(state)
    return query.phase != "from" or from_clause.is_whole(state)
