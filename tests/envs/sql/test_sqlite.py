"""What a SQLite connection returns for queries at fault, for databases at fault, and at its limits."""

import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from envs.errors import ConfigurationError
from envs.sql.databases.database import Database
from envs.sql.databases.execution import (
    DatabaseFault,
    DatabaseFaultError,
    Execution,
    ExecutionLimits,
    QueryError,
    QueryResult,
)
from envs.sql.databases.sqlite import SqliteConnection, SqliteScratch

LIMITS = ExecutionLimits(seconds=1.0)
ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) "


def execute(path: Path, query: str, limits: ExecutionLimits) -> Execution:
    connection = SqliteConnection(Database.at(path), limits)
    try:
        return connection.execute(query, limits)
    finally:
        connection.close()


def rows(outcome: Execution) -> tuple[tuple[object, ...], ...]:
    assert isinstance(outcome, QueryResult), outcome
    return outcome.rows


def category(database: Path, query: str, limits: ExecutionLimits = LIMITS) -> str:
    outcome = execute(database, query, limits)
    assert isinstance(outcome, QueryError), outcome
    return outcome.category


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELEC name FROM singer", "not SQL"),
        ("SELECT name FROM", "not SQL"),
        ("", "not SQL"),
        ("-- nothing", "not SQL"),
        ("SELECT ?", "not SQL"),
        ("SELECT '\0'", "not SQL"),
        ("SELECT '\ud800'", "not SQL"),
        ("SELECT 1; SELECT 2", "several statements"),
        ("SELECT name FROM nobody", "unknown table"),
        ("SELECT shoe_size FROM singer", "unknown column"),
        ('SELECT T1."syntax error" FROM singer AS T1', "unknown column"),
        ("SELECT median_of_five(age) FROM singer", "unknown function"),
        ("DELETE FROM singer", "not a read"),
        ("SELECT json_extract('{', '$')", "runtime error"),
        ("SELECT " + "(" * 500 + "1" + ")" * 500, "too complex"),
        ("SELECT 1" + " UNION SELECT 1" * 100, "too complex"),
        ("SELECT '" + "x" * 30_000 + "'", "too complex"),
    ],
)
def test_a_query_at_fault_has_a_category(database: Path, query: str, expected: str) -> None:
    assert category(database, query) == expected


def test_a_query_stops_at_its_deadline(database: Path) -> None:
    started = time.monotonic()
    assert category(database, ENDLESS + "SELECT count(*) FROM c", ExecutionLimits(seconds=0.2)) == "timeout"
    assert time.monotonic() - started < 1.0


def test_a_sorter_that_fills_the_memory_is_stopped_before_its_deadline(database: Path) -> None:
    query = ENDLESS + "SELECT printf('%.*c', 90000, 'x') || x FROM c ORDER BY 1"
    outcome = execute(database, query, ExecutionLimits(seconds=4.0))
    assert isinstance(outcome, QueryError)
    assert (outcome.category, outcome.message) == ("too large", "out of memory")


def test_the_row_limit_is_the_last_row_allowed(database: Path) -> None:
    assert isinstance(execute(database, "SELECT * FROM singer", ExecutionLimits(rows=4)), QueryResult)
    assert category(database, "SELECT * FROM singer", ExecutionLimits(rows=3)) == "too large"


def test_the_byte_limit_counts_text_and_other_values(database: Path) -> None:
    query = "SELECT 'abcd', 1"
    assert isinstance(execute(database, query, ExecutionLimits(result_bytes=12)), QueryResult)
    assert category(database, query, ExecutionLimits(result_bytes=11)) == "too large"


def test_a_query_after_a_failed_one_is_unharmed(database: Path) -> None:
    for query in (ENDLESS + "SELECT x FROM c ORDER BY x", "SELECT 1; SELECT 2", "DROP TABLE singer"):
        execute(database, query, ExecutionLimits(seconds=0.1))
        assert isinstance(execute(database, "SELECT name FROM singer", LIMITS), QueryResult)


def test_reads_are_the_columns_that_the_database_resolved(database: Path) -> None:
    query = 'SELECT s.name FROM singer AS s JOIN concert c ON s.singer_id = c.singer_id WHERE venue = "hall"'
    outcome = execute(database, query, LIMITS)
    assert isinstance(outcome, QueryResult)
    assert outcome.reads == {
        ("singer", "name"),
        ("singer", "singer_id"),
        ("concert", "singer_id"),
        ("concert", "venue"),
    }
    assert execute(database, "SELECT count(*) FROM singer", LIMITS).reads == {("singer", "")}
    assert execute(database, "SELECT name FROM adult", LIMITS).reads == {("adult", "name")}
    within = execute(database, "WITH old AS (SELECT name FROM singer) SELECT * FROM old", LIMITS)
    assert within.reads == {("singer", "name")}


def test_text_that_is_not_utf8_is_read_one_to_one(tmp_path: Path) -> None:
    path = tmp_path / "latin.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t (a TEXT)")
        connection.execute("INSERT INTO t VALUES (CAST(x'e9' AS TEXT)), (CAST(x'e8' AS TEXT))")
        connection.commit()
    outcome = execute(path, "SELECT a FROM t", LIMITS)
    assert isinstance(outcome, QueryResult)
    assert outcome.rows == (("\\xe9",), ("\\xe8",))


@pytest.mark.parametrize("defect", ["missing", "empty", "text", "cut", "folder"])
def test_a_broken_database_cannot_be_opened(database: Path, defect: str) -> None:
    if defect == "missing":
        database.unlink()
    elif defect == "empty":
        database.write_bytes(b"")
    elif defect == "text":
        database.write_bytes(b"This is no database. " * 500)
    elif defect == "cut":
        database.write_bytes(database.read_bytes()[:5000])
    else:
        database.unlink()
        database.mkdir()
    with pytest.raises(DatabaseFaultError):
        execute(database, "SELECT name FROM singer", LIMITS)


def test_a_page_that_is_found_corrupt_is_a_fault_and_no_query_error(database: Path) -> None:
    content = bytearray(database.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    database.write_bytes(content)
    assert isinstance(execute(database, "SELECT name FROM singer", LIMITS), DatabaseFault)


def test_a_locked_database_is_a_fault_until_it_is_released(database: Path) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        with pytest.raises(DatabaseFaultError, match="locked"):
            execute(database, "SELECT name FROM singer", LIMITS)
        writer.execute("ROLLBACK")
    assert isinstance(execute(database, "SELECT name FROM singer", LIMITS), QueryResult)


def test_a_database_in_wal_mode_is_read_without_a_file_beside_it(database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    assert isinstance(execute(database, "SELECT name FROM singer", LIMITS), QueryResult)
    assert os.listdir(database.parent) == [database.name]


def test_a_pending_write_ahead_log_is_a_fault(database: Path) -> None:
    with closing(sqlite3.connect(database)) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("DELETE FROM concert")
        writer.commit()
        with pytest.raises(DatabaseFaultError, match="write-ahead log"):
            execute(database, "SELECT name FROM singer", LIMITS)


def test_rows_are_visited_backwards_on_request_only(database: Path) -> None:
    connection = SqliteConnection(Database.at(database), LIMITS)
    query = "SELECT singer_id FROM singer WHERE age = 30"
    for _ in range(2):
        assert rows(connection.execute(query, LIMITS)) == ((1,), (3,))
        backwards = connection.execute_reversed(query, LIMITS)
        assert backwards is not None and rows(backwards) == ((3,), (1,))
    connection.close()


def test_the_catalogue_knows_keys_and_constraints(tmp_path: Path) -> None:
    path = tmp_path / "keys.sqlite"
    with closing(sqlite3.connect(path)) as writer:
        writer.executescript(
            "CREATE TABLE a (x INTEGER PRIMARY KEY, y TEXT NOT NULL UNIQUE, z, w REAL, UNIQUE (z, w));"
            "CREATE TABLE b (x INT, q INT, PRIMARY KEY (x, q), FOREIGN KEY (x) REFERENCES a);"
            "CREATE UNIQUE INDEX partial ON a (w) WHERE w > 1; CREATE VIEW v AS SELECT x FROM a"
        )
    connection = SqliteConnection(Database.at(path), LIMITS)
    first, second, view = connection.tables()
    connection.close()
    assert [(c.name, c.type, c.is_primary_key, c.is_nullable) for c in first.columns] == [
        ("x", "INTEGER", True, False),
        ("y", "TEXT", False, False),
        ("z", "", False, True),
        ("w", "REAL", False, True),
    ]
    assert set(first.unique) == {("y",), ("z", "w")}
    (key,) = second.foreign_keys
    assert (key.columns, key.table, key.references) == (("x",), "a", ())
    assert [column.is_primary_key for column in second.columns] == [True, True]
    assert (view.name, view.is_view, [column.name for column in view.columns]) == ("v", True, ["x"])


def test_a_scratch_has_the_schema_and_no_rows_until_it_is_filled(database: Path) -> None:
    scratch = SqliteScratch(Database.at(database), LIMITS)
    query = "SELECT name, age FROM singer"
    assert rows(scratch.execute(query, LIMITS)) == ()
    scratch.fill({"singer": [(1, "Ada", 30, None), (1, "same key", 1, None), (2, "Ben", 17, None)]})
    assert rows(scratch.execute(query, LIMITS)) == (("Ada", 30), ("Ben", 17))
    assert rows(scratch.execute("SELECT * FROM adult", LIMITS)) == (("Ada",),)
    for expected in ((("Ben", 17), ("Ada", 30)), (("Ada", 30), ("Ben", 17)), (("Ben", 17), ("Ada", 30))):
        scratch.reverse()
        assert rows(scratch.execute(query, LIMITS)) == expected
    scratch.fill({"concert": [(2020, "hall", 1)]})
    assert rows(scratch.execute(query, LIMITS)) == ()
    assert isinstance(scratch.execute("DELETE FROM concert", LIMITS), QueryError)
    assert rows(scratch.execute("SELECT count(*) FROM concert", LIMITS)) == ((1,),)
    scratch.close()


def test_filling_a_scratch_leaves_the_file_alone(database: Path) -> None:
    before = database.read_bytes()
    scratch = SqliteScratch(Database.at(database), LIMITS)
    scratch.fill({"singer": [(9, "Zoe", 1, None)]})
    scratch.close()
    assert database.read_bytes() == before


@pytest.mark.parametrize(
    "arguments", ["12.50, '0'", "'xxaxx', 'x'", "'', 'x'", "'abc', ''", "NULL, 'x'", "-3.0, '-'", "1e20, '1'"]
)
@pytest.mark.parametrize("function", ["trim", "ltrim", "rtrim"])
def test_the_bounded_trim_is_that_of_sqlite(database: Path, function: str, arguments: str) -> None:
    query = f"SELECT {function}({arguments})"
    with closing(sqlite3.connect(":memory:")) as connection:
        assert execute(database, query, LIMITS).rows == tuple(connection.execute(query))


@pytest.mark.parametrize("value", [0, -1, "5", True, float("nan")])
def test_a_limit_that_is_no_positive_number_is_refused(value: object) -> None:
    with pytest.raises(ConfigurationError, match="seconds"):
        ExecutionLimits(seconds=value)  # type: ignore[arg-type]
