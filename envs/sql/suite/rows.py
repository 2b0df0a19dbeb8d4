"""Draws the rows of a small database: keys unique, foreign keys obeyed, values from the columns' domains.

A row that would break a key is left out, so that a table may end with fewer rows than were meant. CHECK constraints are
not known here; the scratch database leaves out the rows that break one.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import Any

from envs.sql.databases.execution import Row
from envs.sql.databases.schema import Table
from envs.sql.suite.domains import Domain, resolve_foreign_key
from envs.sql.suite.literals import Demands
from envs.sql.suite.modes import ASIDE, Mode, spread_out
from envs.sql.suite.query import ColumnKey
from envs.sql.suite.repetition import with_copies, without_clashes, without_repeated_keys

Instance = Mapping[str, Sequence[Row]]
"""The rows of every table that has some."""

MOST_ROWS = 420
"""Of one table, however large the groups are that the gold asks for."""
MOST_PARENTS = 24
"""Rows that are added for such groups to a table that the gold does not name."""


class RowDrawer:
    """Draws instances for one gold query."""

    def __init__(self, tables: Sequence[Table], domains: Mapping[ColumnKey, Domain], demands: Demands) -> None:
        by_name = {table.name.lower(): table for table in tables}
        self._domains = domains
        self._demands = demands
        self._sizes = [size + step for size in demands.group_sizes for step in (0, 1, -1) if size + step > 0]
        self._links = {
            table.name: [
                (key.columns, *target)
                for key in table.foreign_keys
                if (target := resolve_foreign_key(table, key, by_name)) is not None and not target[0].is_view
            ]
            for table in tables
        }
        self._tables = self._parents_first([table for table in tables if not table.is_view])
        self._near = self._with_parents(demands.tables)

    def draw(self, mode: Mode, random: Random) -> Instance:
        """One instance in the way of ``mode``."""
        if random.random() < 0.35:
            mode = replace(mode, meeting=0.3 * mode.meeting)  # what just fails a condition tells as much
        drawn: dict[str, list[Row]] = {}
        for table in self._tables:
            used = mode if table.name in self._near else ASIDE
            is_child = any(parent.name != table.name for _, parent, _ in self._links[table.name])
            is_empty = is_child and random.random() < mode.empty
            drawn[table.name] = [] if is_empty else self._draw_table(table, drawn, used, random)
        self._drop_orphans(drawn)
        return {name: tuple(rows) for name, rows in drawn.items() if rows}

    def _parents_first(self, tables: Sequence[Table]) -> list[Table]:
        """A table after those that it refers to, as far as they do not refer to each other."""
        ordered: list[Table] = []
        seen: set[str] = set()

        def visit(table: Table) -> None:
            if table.name not in seen:
                seen.add(table.name)
                for _, parent, _ in self._links[table.name]:
                    visit(parent)
                ordered.append(table)

        for table in tables:
            visit(table)
        return ordered

    def _with_parents(self, tables: Iterable[str]) -> set[str]:
        """The tables, and those that their foreign keys lead to in one step."""
        return {*tables, *(parent.name for name in tables for _, parent, _ in self._links.get(name, ()))}

    def _count(self, table: Table, mode: Mode, random: Random) -> int:
        count = random.randint(*(mode.children if self._links[table.name] else mode.parents))
        largest = max(self._demands.group_sizes, default=0)
        if table.name in self._near and table.name not in self._demands.tables:
            count = max(count, min(largest + 2, MOST_PARENTS))  # a key of two foreign keys repeats one as often at most
        elif table.name in self._demands.tables and random.random() < 0.75:
            count = max(count, self._demands.limit + 2, 2 * largest + 2 if largest else 0)
        return min(count, MOST_ROWS)

    def _draw_table(self, table: Table, drawn: Mapping[str, list[Row]], mode: Mode, random: Random) -> list[Row]:
        count = self._count(table, mode, random)
        unique = [key for key in (_primary_key(table), *table.unique) if key]
        columns = self._draw_references(table, unique, drawn, count, mode, random)
        for column in table.columns:
            if column.name not in columns:
                columns[column.name] = self._draw_values(table, column.name, unique, count, mode, random)
        for names, parent, references in self._links[table.name]:
            if parent.name == table.name:
                options = list(zip(*(columns[reference] for reference in references), strict=False))
                picks = spread_out(options, count, random.choice(mode.spreads), self._sizes, random)
                if all(self._domains[table.name, name].has_null for name in names):
                    picks = [(None,) * len(names) if random.random() < mode.null else pick for pick in picks]
                columns |= {name: [pick[place] for pick in picks] for place, name in enumerate(names)}
        # The shortest column decides: what refers to an empty table is empty, and a key has only so many values.
        rows = list(zip(*(columns[column.name] for column in table.columns), strict=False))
        places = {column.name: place for place, column in enumerate(table.columns)}
        if mode.copies:
            own = {places[name] for key in unique for name in key}
            own |= {place for name, place in places.items() if (table.name, name) in self._demands.ordering}
            rows = with_copies(rows, own, mode.copies, random)
        return without_repeated_keys(rows, [tuple(places[name] for name in key) for key in unique])

    def _draw_references(
        self,
        table: Table,
        unique: Sequence[tuple[str, ...]],
        drawn: Mapping[str, list[Row]],
        count: int,
        mode: Mode,
        random: Random,
    ) -> dict[str, list[Any]]:
        """The columns of foreign keys whose parents are drawn."""
        columns: dict[str, list[Any]] = {}
        for names, parent, references in self._links[table.name]:
            if parent.name not in drawn or any(name in columns for name in names):
                continue  # a circle, or a second key of the same column: `_drop_orphans` has the last word
            places = [index for ref in references for index, c in enumerate(parent.columns) if c.name == ref]
            options = list(dict.fromkeys(tuple(row[place] for place in places) for row in drawn[parent.name]))
            options = [option for option in options if None not in option]
            options = self._also_in_other_parents(table, names, options, drawn) or options
            is_nullable = all(self._domains[table.name, name].has_null for name in names)
            if not options and is_nullable:
                options = [(None,) * len(names)]
            if any(set(key) <= set(names) for key in unique):
                picks = random.sample(options, min(count, len(options)))
            else:
                picks = spread_out(options, count, random.choice(mode.spreads), self._sizes, random)
                meeting = self._domains[table.name, names[0]].meeting
                if good := [option for option in options if option[0] in meeting]:
                    picks = [random.choice(good) if random.random() < mode.meeting else pick for pick in picks]
                for key in unique:
                    others = [columns[name] for name in key if name not in names and name in columns]
                    if set(names) <= set(key) and len(others) == len(key) - len(names):
                        picks = without_clashes(list(zip(*others, strict=False)), picks, options, random)
                if is_nullable:
                    picks = [(None,) * len(names) if random.random() < mode.null else pick for pick in picks]
            for place, name in enumerate(names):
                columns[name] = [pick[place] for pick in picks]
        return columns

    def _also_in_other_parents(
        self, table: Table, names: tuple[str, ...], options: list[Row], drawn: Mapping[str, list[Row]]
    ) -> list[Row]:
        """The options that a second foreign key of the same column allows too."""
        for other_names, parent, references in self._links[table.name]:
            if len(names) == 1 and other_names == names and parent.name in drawn:
                place = [column.name for column in parent.columns].index(references[0])
                allowed = {row[place] for row in drawn[parent.name]}
                options = [option for option in options if option[0] in allowed]
        return options

    def _draw_values(
        self,
        table: Table,
        name: str,
        unique: Sequence[tuple[str, ...]],
        count: int,
        mode: Mode,
        random: Random,
    ) -> list[Any]:
        key = (table.name, name)
        domain = self._domains[key]
        first = domain.wanted if random.random() < mode.meeting else ()
        if (name,) in unique:
            values = domain.distinct(count, random, first=first)
            return [None if domain.has_null and random.random() < mode.null else value for value in values]
        style = random.random()
        if domain.meeting and random.random() < mode.meeting:
            style = 1.0  # rows that meet the condition are to be several, also of a condition with =
        if any(name in parts for parts in unique):  # of several columns: each may repeat as long as all do not
            is_distinct = random.random() < 0.35
        else:
            is_distinct = style < mode.distinct or (key in self._demands.ordering and random.random() < 0.6)
        if is_distinct:
            values = domain.distinct(count, random, first=first)
            values += random.choices(values, k=count - len(values))  # booleans have only two
            return [None if domain.has_null and random.random() < mode.null else value for value in values]
        if style < mode.distinct + mode.narrow or (key in self._demands.grouping and random.random() < 0.7):
            options = domain.distinct(random.choice((1, 2, 2, 3)), random, first=first[:2])
            values = spread_out(options, count, random.choice(mode.spreads), self._sizes, random)
        else:
            values = [random.choice(domain.near or domain.real) for _ in range(count)]
            values = [random.choice(domain.real) if random.random() < 0.5 else value for value in values]
        if domain.meeting:
            values = [random.choice(domain.meeting) if random.random() < mode.meeting else v for v in values]
        return [None if domain.has_null and random.random() < mode.null else value for value in values]

    def _drop_orphans(self, drawn: dict[str, list[Row]]) -> None:
        """Leaves out rows that refer to none, until none is left: each that goes may orphan others."""
        is_changing = True
        while is_changing:
            is_changing = False
            for table in self._tables:
                for names, parent, references in self._links[table.name]:
                    own, other = _places(table, names), _places(parent, references)
                    known = {tuple(row[place] for place in other) for row in drawn[parent.name]}
                    kept = [
                        row
                        for row in drawn[table.name]
                        if (value := tuple(row[place] for place in own)) in known or None in value
                    ]
                    is_changing |= len(kept) < len(drawn[table.name])
                    drawn[table.name] = kept


def _primary_key(table: Table) -> tuple[str, ...]:
    return tuple(column.name for column in table.columns if column.is_primary_key)


def _places(table: Table, names: Sequence[str]) -> list[int]:
    columns = [column.name for column in table.columns]
    return [columns.index(name) for name in names]
