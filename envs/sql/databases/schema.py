"""The tables of a database as prompts, grammars and test suites need them: columns, types, keys."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of a table."""

    name: str
    type: str
    """As the schema spells it; empty where it names none."""
    is_primary_key: bool = False
    """It is the primary key, or a part of it."""
    is_nullable: bool = True
    """The schema allows NULL. (SQLite allows it in most primary keys too, by an old mistake; here they are not.)"""


@dataclass(frozen=True, kw_only=True)
class ForeignKey:
    """Columns of a table that refer to columns of another."""

    columns: tuple[str, ...]
    table: str
    references: tuple[str, ...]
    """Empty where the schema leaves it at the other table's primary key."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """One table or view."""

    name: str
    columns: tuple[Column, ...]
    foreign_keys: tuple[ForeignKey, ...] = ()
    unique: tuple[tuple[str, ...], ...] = ()
    """Sets of columns whose values together are unique, the primary key left out."""
    is_view: bool = False
