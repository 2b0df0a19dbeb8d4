"""A place in a query between two lexemes. Immutable: transitions make new states."""

from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from typing import Any, NamedTuple, TypeVar

from envs.sql.scope.catalogue import Catalogue
from envs.sql.scope.frames import Bracket, CommonTable, Frame, Query

# SQLite's parser has a stack of 100 symbols; a query takes about twice as many of them as a bracket.
_DEPTH = 60
_QUERY_DEPTH, _BRACKET_DEPTH = 10, 5

CLOSED_FROM = frozenset({"where", "group", "having", "order", "limit"})
"""The clauses in which the sources of a query are known."""


class Word(NamedTuple):
    """A name whose part the next lexeme decides: a column, a function before a bracket, a qualifier before a dot."""

    name: bytes
    is_column: bool = False
    is_function: bool = False
    is_qualifier: bool = False
    is_text: bool = False
    """In double quotes, and no name of anything: SQLite takes it as text."""


class State:
    """What is open, innermost last; common tables; and a name that has just been written."""

    __slots__ = ("__weakref__", "catalogue", "common_tables", "found", "frames", "word")

    def __init__(
        self,
        catalogue: Catalogue,
        frames: tuple[Frame, ...],
        common_tables: tuple[CommonTable, ...] = (),
        word: Word | None = None,
    ) -> None:
        self.catalogue = catalogue
        self.frames = frames
        self.common_tables = common_tables
        self.word = word
        self.found: dict[Any, Any] = {}
        """What has been found out about this place."""

    def unique(self) -> "State":
        """The one state that is equal to this one and in use."""
        state: State = self.catalogue.states.setdefault((self.frames, self.common_tables, self.word), self)
        self.catalogue.recent.append(state)
        return state

    @property
    def top(self) -> Frame:
        """The innermost frame."""
        return self.frames[-1]

    @property
    def query(self) -> Query:
        """The innermost query."""
        return next(frame for frame in reversed(self.frames) if isinstance(frame, Query))

    def put(self, frame: Frame) -> "State":
        """With another innermost frame, and no word."""
        return State(self.catalogue, (*self.frames[:-1], frame), self.common_tables)

    def push(self, frame: Frame) -> "State":
        """With one frame more."""
        return State(self.catalogue, (*self.frames, frame), self.common_tables)

    def pop(self, frame: Frame) -> "State":
        """Without the innermost frame, and with another one in place of the next."""
        return State(self.catalogue, (*self.frames[:-2], frame), self.common_tables)

    def with_word(self, word: Word | None) -> "State":
        """With another word."""
        return State(self.catalogue, self.frames, self.common_tables, word)

    def with_query(self, query: Query) -> "State":
        """With another innermost query."""
        frames = list(self.frames)
        place = max(index for index, frame in enumerate(frames) if isinstance(frame, Query))
        frames[place] = query
        return State(self.catalogue, tuple(frames), self.common_tables)

    def fits(self, *, is_query: bool) -> bool:
        """Another bracket, or query, may be opened here."""
        depth = sum(_BRACKET_DEPTH if isinstance(frame, Bracket) else _QUERY_DEPTH for frame in self.frames)
        return depth + (_QUERY_DEPTH if is_query else _BRACKET_DEPTH) <= _DEPTH

    def outward(self) -> Iterator[Query]:
        """The queries around the innermost one whose columns it may see, from within."""
        queries: Sequence[Query] = [frame for frame in self.frames if isinstance(frame, Query)]
        for inner, query in zip(reversed(queries), reversed(queries[:-1]), strict=False):
            if inner.role in ("derived", "definition", "statement"):
                return
            yield query

    def tables(self) -> Iterator[tuple[bytes, tuple[bytes | None, ...]]]:
        """The tables that FROM may name, with their columns."""
        yield from self.catalogue.columns_of.items()
        for table in self.common_tables:
            yield table.name, table.columns

    def columns_of(self, table: bytes) -> tuple[bytes | None, ...] | None:
        """The columns of a table that FROM may name; None: there is none of that name."""
        columns = self.catalogue.columns_of.get(table)
        if columns is not None:
            return columns
        return next((common.columns for common in self.common_tables if common.name == table), None)


Result = TypeVar("Result")


def once(function: Callable[[State], Result]) -> Callable[[State], Result]:
    """Computes a function of a state once for each state."""

    @wraps(function)
    def remembered(state: State) -> Result:
        found = state.found
        if function not in found:
            found[function] = function(state)
        return found[function]

    return remembered
