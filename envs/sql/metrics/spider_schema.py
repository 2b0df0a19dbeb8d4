"""What Spider's exact-set match knows of a database: its tables, their columns, and which columns are one by a key."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from envs.sql.databases.schema import Table


@dataclass(frozen=True, kw_only=True)
class SpiderSchema:
    """Tables and foreign keys. Names may be in any case; a column is identified as ``table.column`` in lower case.

    Raises:
        ValueError: a foreign key names a column that no table has.
    """

    tables: Mapping[str, Sequence[str]]
    """The column names of each table. The order decides which of several linked columns represents the others."""
    foreign_keys: Sequence[tuple[str, str]] = ()
    """Pairs of linked columns, ``table.column`` each, in the order of the dataset's file."""

    def __post_init__(self) -> None:
        unknown = {name.lower() for pair in self.foreign_keys for name in pair}.difference(self._column_positions)
        if unknown:
            raise ValueError(f"foreign keys name columns that no table has: {', '.join(sorted(unknown))}")

    @cached_property
    def columns(self) -> Mapping[str, frozenset[str]]:
        """The columns of each table, all in lower case."""
        return {table.lower(): frozenset(name.lower() for name in names) for table, names in self.tables.items()}

    @cached_property
    def identifiers(self) -> frozenset[str]:
        """Everything that a name in a query can come to: ``*``, ``table`` or ``table.column``."""
        return frozenset({"*", *self.columns, *self._column_positions})

    @cached_property
    def representatives(self) -> Mapping[str, str]:
        """For each column of a foreign key the first of the columns that are linked with it.

        Two keys end in one group when they share a column and come in an order that shows it: a later key that would
        connect two groups joins the earlier group only, as in the official script.
        """
        positions = self._column_positions
        groups: list[set[str]] = []
        for pair in self.foreign_keys:
            keys = {name.lower() for name in pair}
            group = next((group for group in groups if group & keys), None)
            if group is None:
                groups.append(keys)
            else:
                group |= keys
        return {name: min(group, key=positions.__getitem__) for group in groups for name in group}

    @cached_property
    def _column_positions(self) -> Mapping[str, int]:
        names = [f"{table}.{column}".lower() for table, columns in self.tables.items() for column in columns]
        return {name: position for position, name in enumerate(names)}


def schema_from_tables_entry(entry: Mapping[str, Any]) -> SpiderSchema:
    """The schema of one entry of Spider's ``tables.json``.

    Raises:
        KeyError, IndexError: the entry lacks ``table_names_original``, ``column_names_original`` or ``foreign_keys``,
            or they do not fit each other.
    """
    tables: dict[str, list[str]] = {name: [] for name in entry["table_names_original"]}
    names = list(tables)
    identifiers: list[str] = []
    for table, column in entry["column_names_original"]:
        identifiers.append("*" if table < 0 else f"{names[table]}.{column}")
        if table >= 0:
            tables[names[table]].append(column)
    keys = [(identifiers[first], identifiers[second]) for first, second in entry["foreign_keys"]]
    return SpiderSchema(tables=tables, foreign_keys=keys)


def schema_from_tables(tables: Sequence[Table]) -> SpiderSchema:
    """The schema of a database, from its catalogue. A key without named columns refers to the other's primary key; one
    that names what is not there is left out.
    """
    columns = {table.name: tuple(column.name for column in table.columns) for table in tables}
    known = {f"{table}.{column}".lower() for table, names in columns.items() for column in names}
    primary = {
        table.name.lower(): tuple(column.name for column in table.columns if column.is_primary_key) for table in tables
    }
    pairs = [
        (f"{table.name}.{source}".lower(), f"{key.table}.{target}".lower())
        for table in tables
        for key in table.foreign_keys
        for source, target in zip(key.columns, key.references or primary.get(key.table.lower(), ()), strict=False)
    ]
    return SpiderSchema(tables=columns, foreign_keys=[pair for pair in pairs if known.issuperset(pair)])
