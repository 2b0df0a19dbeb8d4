"""What the drawn databases hold."""

from collections.abc import Mapping
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.sql.databases.schema import Column, ForeignKey, Table
from envs.sql.suite.domains import make_domains, render
from envs.sql.suite.literals import gather_demands
from envs.sql.suite.modes import MODES, spread_out
from envs.sql.suite.neighbours import above, below, matches, near_matches, neighbours, numbered
from envs.sql.suite.profile import ColumnProfile, ValueKind, declared_kind
from envs.sql.suite.query import ParsedQuery
from envs.sql.suite.rows import Instance, RowDrawer

TABLES = (
    Table(
        name="likes",  # before the tables that it refers to
        columns=(
            Column(name="fan", type="INT", is_primary_key=True),
            Column(name="idol", type="INT", is_primary_key=True),
        ),
        foreign_keys=(
            ForeignKey(columns=("fan",), table="PERSON", references=("ID",)),
            ForeignKey(columns=("idol",), table="person", references=()),
        ),
    ),
    Table(
        name="person",
        columns=(
            Column(name="id", type="INTEGER", is_primary_key=True, is_nullable=False),
            Column(name="name", type="TEXT"),
            Column(name="email", type="TEXT"),
            Column(name="boss", type="INT"),
            Column(name="height", type="REAL"),
        ),
        foreign_keys=(
            ForeignKey(columns=("boss",), table="person", references=("id",)),
            ForeignKey(columns=("height",), table="gone", references=("x",)),
        ),
        unique=(("email",),),
    ),
    Table(
        name="passport",
        columns=(Column(name="id", type="INTEGER", is_primary_key=True), Column(name="country", type="TEXT")),
        foreign_keys=(ForeignKey(columns=("id",), table="person", references=("id",)),),
    ),
)
KINDS: Mapping[str, ValueKind] = {"INT": "integer", "INTEGER": "integer", "TEXT": "text", "REAL": "real"}
VALUES: Mapping[str, tuple[Any, ...]] = {"integer": (1, 2, 30), "text": ("Ada", "Ben"), "real": (1.5, 1.8)}


def profile(column: Column, null_columns: frozenset[str]) -> ColumnProfile:
    kind = KINDS[column.type]
    return ColumnProfile(kind=kind, values=VALUES[kind], rows=9, nulls=column.name in null_columns)


def draw(
    gold: str, seed: int, mode: int, *, null_columns: frozenset[str] = frozenset(), nulls_of_schema: bool = False
) -> Instance:
    demands = gather_demands(ParsedQuery(gold, "sqlite", TABLES))
    profiles = {(table.name, c.name): profile(c, null_columns) for table in TABLES for c in table.columns}
    random = Random(seed)
    domains = make_domains(TABLES, profiles, demands, random, nulls_of_schema=nulls_of_schema)
    return RowDrawer(TABLES, domains, demands).draw(MODES[mode], random)


GOLD = "SELECT name FROM person JOIN likes ON id = fan WHERE height > 1.7 AND name = 'Cid'"
drawn = {"seed": st.integers(0, 10_000), "mode": st.integers(0, len(MODES) - 1)}


@settings(deadline=None, max_examples=150)
@given(**drawn)
def test_keys_are_unique_and_refer_to_rows_that_exist(seed: int, mode: int) -> None:
    instance = draw(GOLD, seed, mode, null_columns=frozenset({"boss", "email"}))
    people = {row[0] for row in instance["person"]}
    emails = [row[2] for row in instance["person"] if row[2] is not None]
    likes, passports = instance.get("likes", ()), [row[0] for row in instance.get("passport", ())]
    assert len(people) == len(instance["person"])
    assert len(set(emails)) == len(emails)
    assert len(set(likes)) == len(likes)
    assert len(set(passports)) == len(passports)
    assert {key for row in likes for key in row} | set(passports) <= people
    assert {row[3] for row in instance["person"]} <= people | {None}


@settings(deadline=None, max_examples=60)
@given(**drawn)
def test_null_stands_only_where_the_real_rows_hold_it(seed: int, mode: int) -> None:
    instance = draw(GOLD, seed, mode, null_columns=frozenset({"name", "id"}))
    for table in TABLES:
        for place, column in enumerate(table.columns):
            if column.name != "name":
                assert None not in [row[place] for row in instance.get(table.name, ())]


def test_null_stands_wherever_the_schema_allows_it_when_asked_to() -> None:
    instances = [draw(GOLD, seed, 0, nulls_of_schema=True) for seed in range(20)]
    rows = [row for instance in instances for row in instance["person"]]
    assert all(any(row[place] is None for row in rows) for place in (1, 2, 3, 4))
    assert not any(row[0] is None for row in rows)


@settings(deadline=None, max_examples=30)
@given(**drawn)
def test_the_same_seed_draws_the_same_rows(seed: int, mode: int) -> None:
    assert draw(GOLD, seed, mode) == draw(GOLD, seed, mode)


def test_the_gold_s_constants_and_their_neighbours_are_drawn() -> None:
    rows = [row for seed in range(30) for row in draw(GOLD, seed, seed % len(MODES))["person"]]
    assert {"Cid", "cid", "Cids"} <= {row[1] for row in rows}
    assert {1.7, 2.7, 0.7} <= {row[4] for row in rows}


def test_groups_become_as_large_as_having_asks_for() -> None:
    gold = "SELECT fan FROM likes GROUP BY fan HAVING count(*) > 5"
    largest = 0
    for seed in range(30):
        fans = [row[0] for row in draw(gold, seed, seed % len(MODES)).get("likes", ())]
        largest = max([largest, *(fans.count(fan) for fan in fans)])
    assert largest > 5


@given(st.sampled_from(["even", "skewed", "ranked", "demanded"]), st.integers(1, 30), st.integers(0, 99))
def test_a_spread_picks_as_often_as_asked(spread: Any, count: int, seed: int) -> None:
    picks = spread_out([1, 2, 3], count, spread, [4, 5], Random(seed))
    assert len(picks) == count
    assert set(picks) <= {1, 2, 3}


def test_ranked_picks_tell_every_option_from_every_other() -> None:
    picks = spread_out("abc", 6, "ranked", [], Random(0))
    assert sorted(picks.count(option) for option in "abc") == [1, 2, 3]


@pytest.mark.parametrize(
    ("value", "next_one"),
    [(3, 4), (2.5, 3.5), ("009", "010"), ("2.50", "3.50"), ("2020-12-31", "2021-01-01"), ("Ada", "Adaa")],
)
def test_the_value_above_keeps_the_format(value: Any, next_one: Any) -> None:
    assert above(value) == next_one
    assert below(value) != value


def test_a_date_with_a_time_moves_by_a_day() -> None:
    assert above("2008-02-29 10:00:00") == "2008-03-01 10:00:00"
    assert isinstance(above("2008-02-31"), str)


@given(st.one_of(st.integers(), st.floats(-1e6, 1e6), st.text(), st.booleans(), st.binary()))
def test_no_neighbour_is_the_value_itself(value: Any) -> None:
    assert value not in neighbours(value)


@given(st.one_of(st.integers(-9, 9), st.text(max_size=4)), st.integers(1, 60), st.integers(1, 60))
def test_numbered_values_are_all_different(value: Any, one: int, other: int) -> None:
    assert (numbered(value, one) == numbered(value, other)) == (one == other)


def test_near_matches_do_not_match_an_anchored_pattern() -> None:
    assert all(text.startswith("Ab") for text in matches("Ab%"))
    assert not all(text.startswith("Ab") for text in near_matches("Ab%"))


@given(
    st.one_of(st.integers(), st.floats(), st.text(), st.none()), st.sampled_from(["integer", "real", "text", "decimal"])
)
def test_a_value_is_rendered_as_its_column_s_kind_or_not_at_all(value: Any, kind: ValueKind) -> None:
    rendered = render(value, kind)
    names = {"integer": "int", "real": "float", "text": "str", "decimal": "Decimal"}
    assert rendered is None or type(rendered).__name__ == names[kind]


@pytest.mark.parametrize(
    ("declared", "kind"),
    [("BIGINT", "integer"), ("varchar(20)", "text"), ("DOUBLE", "real"), ("bool", "boolean"), ("", "text")],
)
def test_a_declared_type_promises_a_kind(declared: str, kind: str) -> None:
    assert declared_kind(declared) == kind
