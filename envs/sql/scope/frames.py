"""What is open at a place of a query: the queries around it, and the brackets within them."""

from typing import NamedTuple

from envs.sql.scope.functions import Function


class Source(NamedTuple):
    """A table, or a query, in FROM."""

    name: bytes
    """Its alias, or its own name; empty for a query without an alias."""
    columns: tuple[bytes | None, ...]
    """In order; None for one that has no name."""
    names: frozenset[bytes]
    merged: frozenset[bytes] = frozenset()
    """Columns that NATURAL or USING made one with those of the sources before it."""


class Owed(NamedTuple):
    """What a select list wants of a source that FROM has still to name."""

    name: bytes
    columns: frozenset[bytes]
    is_local: bool
    """No query around this one may have it instead."""


class Alias(NamedTuple):
    """A name that the select list gives to one of its expressions."""

    name: bytes
    has_aggregate: bool
    has_window: bool


class Bracket(NamedTuple):
    """An open bracket, or a CASE, within an expression."""

    kind: str
    """group, arguments, list, case, cast, filter, over, using."""
    place: str
    """What is expected next (see ``envs.sql.scope.words``)."""
    mode: str = ""
    """low: the lower end of BETWEEN, which AND must follow; like: ESCAPE may follow."""
    call: str = ""
    """The operand that has just ended is a call that may be followed by OVER or FILTER: which of them."""
    qualifier: bytes = b""
    column: bytes | None = None
    """The expression so far is this column and nothing else; None: nothing so far; empty: something else."""
    length: int = 0
    """Operators of the expression so far."""
    is_term: bool = False
    """Nothing but signs and brackets of a term of ORDER BY or GROUP BY so far; a number would be a position."""
    aggregates: bool = False
    windows: bool = False
    is_local: bool = False
    """Within an aggregate: what is named must be found in the query itself."""
    stage: str = ""
    """The clause of CASE or OVER."""
    function: Function | None = None
    number: int = 0
    """Arguments, or elements, so far."""
    is_distinct: bool = False


class Query(NamedTuple):
    """A SELECT that has been begun, with those before it in the same set operation."""

    role: str
    """statement, definition, derived, scalar, in, exists."""
    place: str = "select"
    mode: str = ""
    call: str = ""
    qualifier: bytes = b""
    column: bytes | None = None
    length: int = 0
    is_term: bool = False
    aggregates: bool = False
    windows: bool = False
    is_local: bool = False
    phase: str = "select"
    """The clause: select, from, where, group, having, order, limit."""
    required: int | None = None
    """How many columns it must have."""
    items: tuple[bytes | None, ...] = ()
    """The select list so far: names, None for an expression without one; ``*`` and ``name.*`` for stars."""
    calling: tuple[int, ...] = ()
    """The items that call an aggregate or a window function, by their numbers from 0."""
    aliases: tuple[Alias, ...] = ()
    has_aggregate: bool = False
    """The select list has."""
    has_window: bool = False
    item_has_aggregate: bool = False
    item_has_window: bool = False
    is_grouped: bool = False
    wanted: frozenset[bytes] = frozenset()
    """Unqualified columns that exactly one source must have."""
    tolerated: frozenset[bytes] = frozenset()
    """Unqualified names that at most one source may have."""
    owed: tuple[Owed, ...] = ()
    sources: tuple[Source, ...] = ()
    link: str = ""
    """How the source that is being written is joined: first, comma, join, natural, right."""
    is_aliased: bool = False
    """The last source has its alias."""
    was_merged: bool = False
    """NATURAL or USING has occurred in this FROM."""
    was_right: bool = False
    """RIGHT or FULL has occurred in this FROM."""
    using: frozenset[bytes] = frozenset()
    columns: tuple[bytes | None, ...] = ()
    """The columns of the finished select list."""
    first: tuple[bytes | None, ...] | None = None
    """The columns of the first SELECT of a set operation."""
    sortable: frozenset[bytes] = frozenset()
    """Names by which the result of a set operation can be ordered."""
    selects: int = 1
    """SELECTs so far."""


class Definition(NamedTuple):
    """A common table expression that is being written."""

    place: str
    name: bytes = b""
    columns: tuple[bytes, ...] = ()


Frame = Bracket | Query | Definition


class CommonTable(NamedTuple):
    """A common table expression that has been written."""

    name: bytes
    columns: tuple[bytes | None, ...]
