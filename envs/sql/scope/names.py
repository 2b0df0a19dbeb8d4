"""Which columns and qualifiers an expression may name, and what naming one asks of the FROM that is still to come.

As SQLite resolves them: the sources of the query itself first, then its aliases, then the queries around it; a name
that two sources of one query have is ambiguous. A select list stands before its FROM: what it names is wanted of it. An
aggregate belongs to the query whose columns it reads, so within one the columns must be those of the query itself.
"""

import re
from collections import Counter
from typing import NamedTuple

from envs.sql.scope.frames import Bracket, Owed, Query
from envs.sql.scope.state import CLOSED_FROM, State, once

SHORT_ALIAS = re.compile(rb"[a-z]{1,4}[0-9]{0,2}")
"""Aliases by which a select list may qualify columns before FROM has introduced them."""


class Outer(NamedTuple):
    """What the queries around one offer."""

    columns: frozenset[bytes]
    ambiguous: frozenset[bytes]
    aliases: frozenset[bytes]
    is_open: bool
    """The FROM of one of them is not written yet, so that what lies further out is not known."""


def counts(query: Query) -> Counter[bytes]:
    """How many sources answer to each unqualified name."""
    found: Counter[bytes] = Counter()
    for source in query.sources:
        found.update(source.names - source.merged)
    return found


@once
def outer_names(state: State) -> Outer:
    """The names of the queries around the innermost one."""
    columns: set[bytes] = set()
    ambiguous: set[bytes] = set()
    aliases: set[bytes] = set()
    for query in state.outward():
        aliases.update(alias.name for alias in query.aliases)
        if query.phase not in CLOSED_FROM:
            return Outer(frozenset(columns), frozenset(ambiguous), frozenset(aliases), True)
        for name, count in counts(query).items():
            if name not in columns and name not in ambiguous:
                (columns if count == 1 else ambiguous).add(name)
    return Outer(frozenset(columns), frozenset(ambiguous), frozenset(aliases), False)


@once
def known_columns(state: State) -> frozenset[bytes]:
    """The columns that a FROM could offer."""
    common = {column for table in state.common_tables for column in table.columns if column is not None}
    return state.catalogue.columns | common if common else state.catalogue.columns


@once
def columns(state: State) -> frozenset[bytes]:
    """The names that may stand here as unqualified columns."""
    frame = state.top
    assert isinstance(frame, Bracket | Query)
    query = state.query
    outer = frozenset() if frame.is_local else outer_names(state).columns
    if query.phase == "select":
        return known_columns(state) | outer
    found = counts(query)
    own = frozenset(name for name, count in found.items() if count == 1)
    if query.phase == "from":
        if lacks_columns(query):
            return frozenset()
        return own | (outer - found.keys())
    aliases = {
        alias.name
        for alias in query.aliases
        if found[alias.name] == 0
        and not frame.is_local
        and (frame.aggregates or not alias.has_aggregate)
        and (frame.windows or not alias.has_window)
    }
    hidden = {alias.name for alias in query.aliases}
    return own | aliases | (outer - found.keys() - hidden)


def lacks_columns(query: Query) -> bool:
    """A ``SELECT *`` of a given number of columns needs further sources."""
    return query.required is not None and query.items == (b"*",) and width(query) < query.required


def width(query: Query) -> int:
    """How many columns the sources have."""
    return sum(len(source.columns) for source in query.sources)


def name_column(state: State, name: bytes) -> State:
    """After an unqualified column that may stand here."""
    frame = state.top
    query = state.query
    assert isinstance(frame, Bracket | Query)
    if query.phase == "select":
        is_outer = not frame.is_local and name in outer_names(state).columns
    elif query.phase == "from":
        is_outer = counts(query)[name] == 0
    else:
        return state
    if is_outer:
        return state.with_query(query._replace(tolerated=query.tolerated | {name}))
    return state.with_query(query._replace(wanted=query.wanted | {name}))


def may_be_text(state: State, name: bytes) -> bool:
    """A name in double quotes that may not stand here as a column: SQLite would take it as text, whatever follows."""
    query = state.query
    outer = outer_names(state)
    if outer.is_open and name in known_columns(state):
        return False
    if query.phase != "select":
        if any(alias.name == name for alias in query.aliases) or counts(query)[name]:
            return False
        if query.phase == "from" and lacks_columns(query) and name in known_columns(state):
            return False
    return name not in outer.columns | outer.ambiguous | outer.aliases


def name_text(state: State, name: bytes) -> State:
    """After a text in double quotes: no two sources of a FROM that is still open may come to have that name.

    Names that only the query itself makes up are left out of this.
    """
    if name not in known_columns(state):
        return state
    seen = {id(state.query), *map(id, state.outward())}
    frames = tuple(
        frame._replace(tolerated=frame.tolerated | {name})
        if isinstance(frame, Query) and id(frame) in seen and frame.phase not in CLOSED_FROM
        else frame
        for frame in state.frames
    )
    return State(state.catalogue, frames, state.common_tables)


@once
def qualifiers(state: State) -> frozenset[bytes]:
    """The names that may qualify a column here, but for short aliases that FROM will introduce."""
    frame = state.top
    query = state.query
    assert isinstance(frame, Bracket | Query)
    found = {source.name for source in query.sources if source.names}
    if query.phase == "select":
        found = {name for name, _ in state.tables()}
    if not frame.is_local:
        found.update(_outer_sources(state))
    return frozenset(found - {b""})


def may_be_made_up(state: State, name: bytes) -> bool:
    """A qualifier that no table has, but that FROM may introduce as an alias."""
    return state.query.phase == "select" and SHORT_ALIAS.fullmatch(name) is not None


def _outer_sources(state: State) -> dict[bytes, frozenset[bytes]]:
    found: dict[bytes, frozenset[bytes]] = {}
    for query in state.outward():
        if query.phase not in CLOSED_FROM:
            break
        for source in query.sources:
            if source.names:
                found.setdefault(source.name, source.names)
    return found


def owed_to(query: Query, name: bytes) -> Owed:
    """What is wanted of the source ``name``, so far."""
    return next((owed for owed in query.owed if owed.name == name), Owed(name, frozenset(), False))


def members(state: State, qualifier: bytes) -> frozenset[bytes]:
    """The columns that may follow a qualifier."""
    frame = state.top
    query = state.query
    assert isinstance(frame, Bracket | Query)
    outer = {} if frame.is_local else _outer_sources(state)
    if query.phase != "select":
        own = next((source.names for source in query.sources if source.name == qualifier), None)
        return outer.get(qualifier, frozenset()) if own is None else own
    owed = owed_to(query, qualifier)
    found: set[bytes] = set()
    for names in _candidates(state, owed):
        found |= names
    if not owed.is_local and owed.columns <= outer.get(qualifier, frozenset()):
        found |= outer.get(qualifier, frozenset())
    return frozenset(found)


def _candidates(state: State, owed: Owed) -> list[frozenset[bytes]]:
    """The columns of the tables that can be the source that is owed."""
    named = state.columns_of(owed.name)
    tables = [named] if named is not None else [columns for _, columns in state.tables()]
    names = [frozenset(column for column in columns if column is not None) for columns in tables]
    return [each for each in names if each and owed.columns <= each]


def may_star(state: State, qualifier: bytes) -> bool:
    """``qualifier.*`` may stand here."""
    query = state.query
    return query.required is None and bool(_candidates(state, owed_to(query, qualifier)))


def name_member(state: State, qualifier: bytes, column: bytes | None) -> State:
    """After a qualified column that may stand here; None: the star of that source."""
    frame = state.top
    query = state.query
    assert isinstance(frame, Bracket | Query)
    if query.phase in CLOSED_FROM or (
        query.phase == "from" and any(source.name == qualifier for source in query.sources)
    ):
        return state
    owed = owed_to(query, qualifier)
    is_local = owed.is_local or frame.is_local or column is None
    added = owed.columns if column is None else owed.columns | {column}
    others = tuple(each for each in query.owed if each.name != qualifier)
    return state.with_query(query._replace(owed=(*others, Owed(qualifier, added, is_local))))


def is_met(state: State, owed: Owed) -> bool:
    """The innermost query, or one around it, has the source that is owed."""
    if any(source.name == owed.name for source in state.query.sources):
        return True
    return not owed.is_local and owed.columns <= _outer_sources(state).get(owed.name, frozenset())
