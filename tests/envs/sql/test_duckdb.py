"""What a DuckDB connection returns: values, errors by category, faults, the catalogue; and scratch databases."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

duckdb = pytest.importorskip("duckdb", reason="needs duckdb: pip install 'structrl[databases]'")

from envs.sql.databases.database import Database  # noqa: E402
from envs.sql.databases.duckdb import DuckdbConnection, DuckdbScratch  # noqa: E402
from envs.sql.databases.execution import (  # noqa: E402
    DatabaseFault,
    DatabaseFaultError,
    Execution,
    ExecutionLimits,
    QueryError,
    QueryResult,
)
from envs.sql.databases.schema import ForeignKey  # noqa: E402

LIMITS = ExecutionLimits(seconds=2.0, rows=1_000, result_bytes=1_000_000, memory_bytes=64 * 2**20)


@pytest.fixture
def connection(duckdb_file: Path) -> Iterator[DuckdbConnection]:
    opened = DuckdbConnection(Database.at(duckdb_file), LIMITS)
    yield opened
    opened.close()


@pytest.fixture
def scratch(duckdb_file: Path) -> Iterator[DuckdbScratch]:
    opened = DuckdbScratch(Database.at(duckdb_file), LIMITS)
    yield opened
    opened.close()


def rows(outcome: Execution) -> tuple[tuple[object, ...], ...]:
    assert isinstance(outcome, QueryResult), outcome
    return outcome.rows


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("true", 1),
        ("1.5::DECIMAL(9, 2)", 1.5),
        ("9007199254740993::DECIMAL(38, 0)", 9007199254740993),
        ("sum(1) FROM range(3)", 3),
        ("DATE '2020-01-31'", "2020-01-31"),
        ("TIMESTAMP '2020-01-31 23:59:59'", "2020-01-31 23:59:59"),
        ("TIME '10:00:00'", "10:00:00"),
        ("DATE '200000-01-01'", "200000-01-01"),
        ("'nan'::DOUBLE", "NaN"),
        ("'infinity'::DOUBLE", float("inf")),
        ("'\\x00\\xFF'::BLOB", b"\x00\xff"),
        ("[1, NULL, 1.5::DOUBLE]", "[1.0, null, 1.5]"),
        ("{'a': 1, 'b': DATE '2020-01-01'}", '{"a": 1, "b": "2020-01-01"}'),
        ("NULL", None),
    ],
)
def test_a_value_becomes_a_plain_one(connection: DuckdbConnection, expression: str, expected: object) -> None:
    ((value,),) = rows(connection.execute(f"SELECT {expression}", LIMITS))
    assert (value, type(value)) == (expected, type(expected))
    hash(value)


@pytest.mark.parametrize(
    ("query", "category"),
    [
        ("SELECT ?", "not SQL"),
        ("SELECT (1", "not SQL"),
        ("SELECT * FROM nowhere.singer", "unknown table"),
        ("SELECT t.name FROM singer AS s", "unknown column"),
        ("SELECT * FROM nofunction(1)", "unknown function"),
        ("SELECT abs(1, 2)", "runtime error"),
        ("SELECT sum(name) FROM singer", "runtime error"),
        ("SELECT 'a'::INT", "runtime error"),
        ("SELECT name, count(*) FROM singer", "runtime error"),
        ("SELECT (SELECT name FROM singer)", "runtime error"),
        ("SELECT current_setting('threads')", "not a read"),
        ("SELECT " + "1 + " * 500 + "1", "too complex"),
        ("SELECT " + "(" * 101 + "1" + ")" * 101, "too complex"),
        ("SELECT count(*) FROM " + ", ".join(["singer"] * 65), "too complex"),
        ("SELECT * FROM range(1001)", "too large"),
        ("SELECT repeat('a', 1000) FROM range(1001)", "too large"),
        ("SELECT list(range) FROM range(100000000)", "too large"),
    ],
)
def test_a_mistake_has_its_category(connection: DuckdbConnection, query: str, category: str) -> None:
    outcome = connection.execute(query, LIMITS)
    assert isinstance(outcome, QueryError), outcome
    assert outcome.category == category, outcome
    assert outcome.message


def test_a_query_past_its_time_is_interrupted_and_the_connection_goes_on(connection: DuckdbConnection) -> None:
    endless = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c"
    for _ in range(3):
        outcome = connection.execute(endless, ExecutionLimits(seconds=0.1))
        assert isinstance(outcome, QueryError)
        assert outcome.category == "timeout"
        assert rows(connection.execute("SELECT count(*) FROM singer", LIMITS)) == ((4,),)


def test_one_thread_watches_all_queries_of_a_process(duckdb_file: Path) -> None:
    connections = [DuckdbConnection(Database.at(duckdb_file), LIMITS) for _ in range(3)]
    connections[0].execute("SELECT 1", LIMITS)
    before = Path("/proc/self/status").read_text().split("Threads:")[1].split()[0]
    for opened in connections:
        for _ in range(5):
            opened.execute("SELECT 1", LIMITS)
    assert [thread.name for thread in threading.enumerate()].count("query watchdog") == 1
    assert Path("/proc/self/status").read_text().split("Threads:")[1].split()[0] == before
    for opened in connections:
        opened.close()


def test_queries_of_several_threads_are_interrupted_each_at_its_time(duckdb_file: Path) -> None:
    endless = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c"
    outcomes: dict[float, Execution] = {}

    def run(seconds: float) -> None:
        opened = DuckdbConnection(Database.at(duckdb_file), LIMITS)
        outcomes[seconds] = opened.execute(endless, ExecutionLimits(seconds=seconds))
        opened.close()

    threads = [threading.Thread(target=run, args=(seconds,)) for seconds in (0.4, 0.1, 0.2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    assert [outcome.category for outcome in outcomes.values() if isinstance(outcome, QueryError)] == ["timeout"] * 3
    assert list(outcomes) == [0.1, 0.2, 0.4]


def test_a_forked_process_has_a_watchdog_of_its_own(duckdb_file: Path) -> None:
    opened = DuckdbConnection(Database.at(duckdb_file), LIMITS)
    opened.execute("SELECT 1", LIMITS)  # the thread of this process runs
    child = os.fork()
    if child == 0:
        inner = DuckdbConnection(Database.at(duckdb_file), LIMITS)
        outcome = inner.execute("SELECT count(*) FROM range(1000000000000)", ExecutionLimits(seconds=0.1))
        os._exit(0 if isinstance(outcome, QueryError) and outcome.category == "timeout" else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    opened.close()


def test_exploration_is_permitted(connection: DuckdbConnection) -> None:
    for query in (
        "DESCRIBE singer",
        "SHOW TABLES",
        "SUMMARIZE singer",
        "PRAGMA table_info('singer')",
        "PRAGMA table_info(singer);",
        "SELECT * FROM pragma_table_info('singer')",
        "SELECT table_name FROM information_schema.tables",
        "SELECT column_name FROM information_schema.columns WHERE table_name = 'singer'",
        "EXPLAIN SELECT * FROM singer",
        "FROM singer",
    ):
        assert rows(connection.execute(query, LIMITS)), query


def test_the_catalogue_is_read(connection: DuckdbConnection) -> None:
    tables = {table.name: table for table in connection.tables()}
    assert list(tables) == ["order", "singer", "concert", "adult"]  # by name, each after what it refers to
    assert [(column.name, column.type) for column in tables["singer"].columns][:2] == [
        ("singer_id", "INTEGER"),
        ("name", "VARCHAR"),
    ]
    assert [column.is_nullable for column in tables["singer"].columns] == [False, True, True, True]
    assert [column.name for column in tables["concert"].columns if column.is_primary_key] == ["year", "venue"]
    assert tables["concert"].foreign_keys == (
        ForeignKey(columns=("singer_id",), table="singer", references=("singer_id",)),
    )
    assert [name for name, table in tables.items() if table.is_view] == ["adult"]


def test_unique_columns_are_known_whether_constraint_or_index(tmp_path: Path) -> None:
    path = tmp_path / "unique.duckdb"
    with duckdb.connect(path) as file:
        file.execute('CREATE TABLE t (a INT, "b c" INT, d INT UNIQUE); CREATE UNIQUE INDEX i ON t (a, "b c")')
    opened = DuckdbConnection(Database.at(path), LIMITS)
    assert opened.tables()[0].unique == (("d",), ("a", "b c"))
    opened.close()


@pytest.mark.parametrize("content", [None, b"", b"no database " * 500, b"SQLite format 3\0" + b"\0" * 4_080])
def test_a_file_that_is_no_database_is_a_fault(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "x.duckdb"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DatabaseFaultError):
        DuckdbConnection(Database.at(path), LIMITS)
    with pytest.raises(DatabaseFaultError):
        DuckdbScratch(Database.at(path), LIMITS)


def test_corrupt_pages_are_a_fault_and_not_the_querys(duckdb_file: Path) -> None:
    raw = duckdb_file.read_bytes()
    duckdb_file.write_bytes(raw[:12_288] + bytes(byte ^ 0xFF for byte in raw[12_288:]))
    try:
        opened = DuckdbConnection(Database.at(duckdb_file), LIMITS)
    except DatabaseFaultError:
        return
    assert isinstance(opened.execute("SELECT * FROM singer", LIMITS), DatabaseFault)
    opened.close()


def test_a_file_that_another_process_writes_is_a_fault(duckdb_file: Path) -> None:
    import subprocess
    import sys

    hold = f"import duckdb; c = duckdb.connect({str(duckdb_file)!r}); print('held', flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None and writer.stdin is not None
        assert writer.stdout.readline() == b"held\n"
        with pytest.raises(DatabaseFaultError, match="lock"):
            DuckdbConnection(Database.at(duckdb_file), LIMITS)
        writer.stdin.close()


def test_two_connections_of_a_process_have_limits_of_their_own(duckdb_file: Path) -> None:
    small = DuckdbConnection(Database.at(duckdb_file), ExecutionLimits(memory_bytes=8 * 2**20))
    large = DuckdbConnection(Database.at(duckdb_file), ExecutionLimits(memory_bytes=512 * 2**20))
    query = "SELECT count(*) FROM (SELECT DISTINCT range FROM range(600000))"
    limits = ExecutionLimits(seconds=20.0)
    assert isinstance(small.execute(query, limits), QueryError)
    assert rows(large.execute(query, limits)) == ((600_000,),)
    small.close()
    large.close()


def test_a_scratch_database_refuses_what_the_file_refuses(scratch: DuckdbScratch) -> None:
    scratch.fill({"order": [(1,)]})
    for query in (
        'DELETE FROM "order"',
        'WITH x AS (DELETE FROM "order" RETURNING 1) SELECT * FROM x',
        'WITH x AS (INSERT INTO "order" VALUES (2) RETURNING 1) SELECT * FROM x',
        "CREATE TABLE t (a INT)",
        "SELECT * FROM read_text('/etc/hostname')",
        "ATTACH ':memory:' AS x",
    ):
        outcome = scratch.execute(query, LIMITS)
        assert isinstance(outcome, QueryError), query
        assert outcome.category == "not a read", query
    assert rows(scratch.execute('SELECT * FROM "order"', LIMITS)) == ((1,),)
