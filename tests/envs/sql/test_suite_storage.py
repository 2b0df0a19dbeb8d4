"""Suites on disk."""

import datetime
import math
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from envs.sql.databases.database import Database
from envs.sql.databases.execution import ExecutionLimits
from envs.sql.databases.kinds import open_connection
from envs.sql.suite import storage
from envs.sql.suite.build import SuiteBuilder
from envs.sql.suite.certainty import Certainty
from envs.sql.suite.settings import SuiteSettings
from envs.sql.suite.suite import TestSuite

LIMITS = ExecutionLimits(seconds=2.0)
GOLD = "SELECT name FROM t WHERE age > 3"
CERTAIN = Certainty()
values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.text(),
    st.sampled_from(["\ud800", "\x00", "é"]),
    st.binary(),
    st.decimals(allow_nan=False),
    st.dates(),
    st.datetimes(),
    st.times(),
)


@pytest.fixture
def builder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SuiteBuilder]:
    monkeypatch.setenv("STRUCTRL_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "small.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("CREATE TABLE t (name TEXT, age INT); INSERT INTO t VALUES ('a', 1), ('b', 5);")
    yield from opened(path)


def opened(path: Path, **chosen: int) -> Iterator[SuiteBuilder]:
    database = Database.at(path)
    with closing(open_connection(database, LIMITS)) as connection:
        made = SuiteBuilder(database, SuiteSettings(**{"instances": 2, "candidates": 7, **chosen}), connection, LIMITS)
        yield made
        made.close()


def suite(*rows: tuple[object, ...], certainty: Certainty = CERTAIN) -> TestSuite:
    return TestSuite(gold=GOLD, instances=({"t": rows},), is_ordered=True, certainty=certainty, null_columns=(True,))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(rows=st.lists(st.tuples(values, values), min_size=1, max_size=5))
def test_every_value_comes_back_as_it_was(rows: list[tuple[object, ...]], tmp_path: Path) -> None:
    saved = suite(*rows, certainty=Certainty(ranks=(0, 0, 1), rows=2))
    storage.save(tmp_path / "x.suite", saved)
    loaded = storage.load(tmp_path / "x.suite", GOLD)
    assert loaded == saved
    assert loaded is not None
    kinds = [[type(value) for value in row] for row in loaded.instances[0]["t"]]
    assert kinds == [[type(value) for value in row] for row in rows]


def test_signed_zero_and_infinity_come_back(tmp_path: Path) -> None:
    storage.save(tmp_path / "x.suite", suite((-0.0, math.inf)))
    loaded = storage.load(tmp_path / "x.suite", GOLD)
    assert loaded is not None
    zero, infinity = loaded.instances[0]["t"][0]
    assert math.copysign(1, zero) == -1
    assert infinity == math.inf


def test_a_value_of_an_unknown_type_is_refused_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="timedelta"):
        storage.save(tmp_path / "folder" / "x.suite", suite((datetime.timedelta(1),)))
    assert not list(tmp_path.rglob("*.*"))


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[: len(data) // 2],
        lambda data: data[:-1],
        lambda data: b"\0" + data[1:],
        lambda data: bytes(reversed(data)),
        lambda data: storage.zlib.compress(b"[1]"),
        lambda data: storage.zlib.compress(b'{"certainty": {"ranks": null}, "instances": []}'),
        lambda data: storage.zlib.compress(b"[" * 100_000),
    ],
)
def test_a_damaged_file_is_built_anew(damage: object, builder: SuiteBuilder) -> None:
    assert callable(damage)
    built = storage.load_or_build(builder, GOLD)
    path = storage.suite_path(builder, GOLD)
    path.write_bytes(damage(path.read_bytes()))
    assert storage.load(path, GOLD) is None
    assert storage.load_or_build(builder, GOLD) == built
    assert storage.load(path, GOLD) == built


def test_a_suite_is_built_once(builder: SuiteBuilder, monkeypatch: pytest.MonkeyPatch) -> None:
    built = storage.load_or_build(builder, GOLD)
    monkeypatch.setattr(SuiteBuilder, "build", None)
    assert storage.load_or_build(builder, GOLD) == built


def test_the_suite_of_another_gold_is_not_taken_for_this_one(builder: SuiteBuilder) -> None:
    storage.load_or_build(builder, GOLD)
    assert storage.load(storage.suite_path(builder, GOLD), "SELECT 1") is None


def test_the_place_depends_on_gold_settings_and_rows_but_not_on_where_the_database_lies(
    builder: SuiteBuilder, tmp_path: Path
) -> None:
    path = storage.suite_path(builder, GOLD)
    assert storage.suite_path(builder, GOLD + " ") != path
    moved = tmp_path / "elsewhere.sqlite"
    moved.write_bytes(Path(builder.database.location).read_bytes())
    for copy in opened(moved):
        assert storage.suite_path(copy, GOLD) == path
    for other in opened(moved, seed=7):
        assert storage.suite_path(other, GOLD) != path
    with closing(sqlite3.connect(moved)) as connection:
        connection.execute("INSERT INTO t VALUES ('c', 9)")
        connection.commit()
    for changed in opened(moved):
        assert storage.suite_path(changed, GOLD) != path


def test_writers_at_the_same_time_leave_one_whole_file(tmp_path: Path) -> None:
    suites = [suite((number, Decimal(number))) for number in range(40)]
    path = tmp_path / "x.suite"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda each: storage.save(path, each), suites))
    assert storage.load(path, GOLD) in suites
    assert [file.name for file in tmp_path.iterdir()] == ["x.suite"]


def test_a_cache_that_cannot_be_written_costs_nothing_but_time(builder: SuiteBuilder, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert storage.load_or_build(builder, GOLD) == builder.build(GOLD)
