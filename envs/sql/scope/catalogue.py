"""What a tracker knows of a database: the names of its tables and columns, folded as SQLite folds them."""

from collections import deque
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from weakref import WeakValueDictionary

from envs.sql.identifiers import JOIN_WORDS, RESERVED, is_plain_name
from envs.sql.scope.functions import Function, known_functions

NO_ALIASES = (
    RESERVED | JOIN_WORDS | frozenset("asc by desc end filter glob like offset over recursive window with".split())
)
"""Words that may not be aliases, because the grammar expects them where an alias could stand."""

_KEPT_PLACES = 4096

MOST_CHARACTERS = 61
"""How long a bare name may be that a query makes up."""

_NO_ALIAS_NAMES = frozenset(word.encode() for word in NO_ALIASES)


def folded(name: str) -> bytes:
    """A name as SQLite compares it: without regard to the case of ASCII letters."""
    return name.encode().lower()


def is_alias(word: bytes) -> bool:
    """A bare word, in lower case, may name what a query defines."""
    return word not in _NO_ALIAS_NAMES


def is_bare(name: bytes) -> bool:
    """A name that a query has defined can be written without quotes."""
    return is_alias(name) and is_plain_name(name.decode())


@dataclass(frozen=True)
class Catalogue:
    """Tables and their columns, as the schema spells them. Hashable, compared by content."""

    tables: tuple[tuple[str, tuple[str, ...]], ...]

    @cached_property
    def columns_of(self) -> Mapping[bytes, tuple[bytes, ...]]:
        """The columns of each table, in order."""
        return {folded(table): tuple(map(folded, columns)) for table, columns in self.tables}

    @cached_property
    def names(self) -> frozenset[bytes]:
        """The tables that have columns."""
        return frozenset(name for name, columns in self.columns_of.items() if columns)

    @cached_property
    def columns(self) -> frozenset[bytes]:
        """The columns of all tables."""
        return frozenset(column for columns in self.columns_of.values() for column in columns)

    @cached_property
    def bare(self) -> frozenset[bytes]:
        """The names of tables and columns that can be written without quotes."""
        names = {table for table, _ in self.tables} | {column for _, columns in self.tables for column in columns}
        return frozenset(folded(name) for name in names if is_plain_name(name))

    @cached_property
    def functions(self) -> Mapping[bytes, Function]:
        """What may be called."""
        return {name.encode(): function for name, function in known_functions().items() if name.isidentifier()}

    def of_sorts(self, *, aggregates: bool, windows: bool) -> frozenset[bytes]:
        """The functions that may be called where aggregates and window functions are, or are not, allowed."""
        return self._of_sorts[aggregates, windows]

    @cached_property
    def _of_sorts(self) -> Mapping[tuple[bool, bool], frozenset[bytes]]:
        return {
            (aggregates, windows): frozenset(
                name
                for name, function in self.functions.items()
                if function.sort == "scalar"
                or (function.sort == "aggregate" and (aggregates or function.most is None))
                or (function.sort == "window" and windows)
            )
            for aggregates in (False, True)
            for windows in (False, True)
        }

    def bare_of(self, names: Iterable[bytes]) -> list[bytes]:
        """Those of ``names`` that can be written without quotes."""
        return [name for name in names if name in self.bare or (name not in self._quoted and is_bare(name))]

    @cached_property
    def states(self) -> "WeakValueDictionary[Hashable, Any]":
        """Places in queries over these tables that are in use, so that equal ones are the same."""
        return WeakValueDictionary()

    @cached_property
    def recent(self) -> "deque[Any]":
        """Places that were made last, which keeps what has been found out about them."""
        return deque(maxlen=_KEPT_PLACES)

    @cached_property
    def _quoted(self) -> frozenset[bytes]:
        return frozenset(set(self.columns) | set(self.columns_of)) - self.bare
