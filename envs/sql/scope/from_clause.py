"""FROM: which tables and aliases may come next, and whether it may end.

It may end when every column that the select list wanted is in exactly one source, and every qualifier is there. Two
sources with a wanted column are joined by NATURAL, or by USING that column: that way FROM can always go on to its end.
"""

from envs.sql.scope.frames import Query, Source
from envs.sql.scope.names import counts, is_met, lacks_columns, width
from envs.sql.scope.state import State, once

_MOST_SOURCES = 12


def tables_offered(state: State, link: str) -> frozenset[bytes]:
    """The tables that may come next where ``link`` (first, comma, join, natural, right) joins them."""
    return _tables_joined(state) if link == "join" else _tables(state, link)


@once
def _tables_joined(state: State) -> frozenset[bytes]:
    return _tables(state, "join")


def _tables(state: State, link: str) -> frozenset[bytes]:
    query = state.query
    taken = _claimed(query)
    is_starred = query.required is not None and query.items == (b"*",)
    if not is_starred and (not taken or _may_meet(query, link, taken)):
        return state.catalogue.names | {common.name for common in state.common_tables if common.columns}
    return frozenset(
        name
        for name, columns in state.tables()
        if columns and _may_meet(query, link, taken.intersection(columns)) and _fits_width(state, len(columns))
    )


def may_derive(state: State, link: str) -> bool:
    """A query in brackets may come next."""
    query = state.query
    if not state.fits(is_query=True):
        return False
    # Its columns are not known yet: any of them could be a claimed one.
    return not _claimed(query) or _may_meet(query, link, _claimed(query))


def may_link(state: State, link: str) -> bool:
    """Another source may be joined in this way."""
    query = state.query
    is_starred = query.required is not None and query.items == (b"*",)
    if is_starred and (not lacks_columns(query) or link == "natural"):
        return False
    if len(query.sources) >= _MOST_SOURCES and is_whole(state):
        return False
    if link == "natural" and query.was_right:
        return False
    if link == "right" and (query.was_merged or is_starred or not is_whole(state)):
        return False
    return bool(tables_offered(state, link)) or may_derive(state, link)


def reaches(state: State, columns: int) -> bool:
    """Tables can be joined that have so many columns together."""
    widths = {len(each) for _, each in state.tables() if each}
    sums = {0}
    for total in range(1, columns + 1):
        if any(total - width in sums for width in widths):
            sums.add(total)
    return columns in sums


def conflicts(query: Query) -> frozenset[bytes]:
    """Wanted columns that two sources have; USING must make them one."""
    found = counts(query)
    return frozenset(name for name in query.wanted | query.tolerated if found[name] > 1)


def is_named(query: Query) -> bool:
    """The last source may do without an alias of its own."""
    return query.is_aliased or may_be_called(query, query.sources[-1].name)


def may_be_called(query: Query, name: bytes) -> bool:
    """The last source may have this name."""
    if any(source.name == name for source in query.sources[:-1] if name):
        return False
    owed = next((owed for owed in query.owed if owed.name == name), None)
    return owed is None or owed.columns <= query.sources[-1].names


def is_joinable(query: Query) -> bool:
    """Something may follow the last source."""
    return is_named(query) and not conflicts(query)


def is_whole(state: State) -> bool:
    """FROM has all that the query wants of it; or there is none, and nothing is wanted."""
    query = state.query
    found = counts(query)
    if any(found[name] != 1 for name in query.wanted) or any(found[name] > 1 for name in query.tolerated):
        return False
    if not all(is_met(state, owed) for owed in query.owed):
        return False
    if query.sources:
        return not lacks_columns(query)
    return not any(item is not None and item.endswith(b"*") for item in query.items)


def columns_to_merge(query: Query) -> frozenset[bytes]:
    """The columns that USING may name."""
    left = frozenset(name for source in query.sources[:-1] for name in source.names)
    return (query.sources[-1].names & left) - query.using


def may_merge(query: Query) -> bool:
    """USING may follow the last source."""
    is_starred = query.required is not None and query.items == (b"*",)
    return query.link == "join" and not query.was_right and not is_starred and bool(columns_to_merge(query))


def add_source(query: Query, name: bytes, columns: tuple[bytes | None, ...]) -> Query:
    """With one source more."""
    names = frozenset(column for column in columns if column is not None)
    merged: frozenset[bytes] = frozenset()
    if query.link == "natural":
        merged = names & frozenset(name for source in query.sources for name in source.names)
    source = Source(name, columns, names, merged)
    return query._replace(sources=(*query.sources, source), is_aliased=False, place="sourced")


def expanded(query: Query) -> tuple[bytes | None, ...]:
    """The columns of the select list, stars replaced by what they stand for."""
    found: list[bytes | None] = []
    for item in query.items:
        if item is None or not item.endswith(b"*"):
            found.append(item)
            continue
        for source in query.sources:
            if item == b"*":
                found.extend(column for column in source.columns if column not in source.merged)
            elif item == source.name + b".*":
                found.extend(source.columns)
    return tuple(found)


def without_repetitions(columns: tuple[bytes | None, ...]) -> tuple[bytes | None, ...]:
    """As SQLite names the columns of a query in FROM: the second of the same name gets another one."""
    seen: set[bytes] = set()
    found: list[bytes | None] = []
    for column in columns:
        found.append(None if column is None or column in seen else column)
        if column is not None:
            seen.add(column)
    return tuple(found)


def _claimed(query: Query) -> frozenset[bytes]:
    """Wanted columns that a source has already."""
    found = counts(query)
    return frozenset(name for name in query.wanted | query.tolerated if found[name])


def _may_meet(query: Query, link: str, shared: frozenset[bytes]) -> bool:
    """A source with these claimed columns may come next."""
    if not shared or link == "natural":
        return True
    is_starred = query.required is not None and query.items == (b"*",)
    return link == "join" and not query.was_right and not is_starred


def _fits_width(state: State, columns: int) -> bool:
    query = state.query
    if query.required is None or query.items != (b"*",):
        return True
    rest = query.required - width(query) - columns
    return rest == 0 or (rest > 0 and reaches(state, rest))
