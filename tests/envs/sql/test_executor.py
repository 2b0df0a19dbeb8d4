"""What the executor returns for queries at fault, for databases at fault, and at its limits."""

import os
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from envs.errors import ConfigurationError
from envs.sql import connections
from envs.sql.executor import DatabaseFault, ExecutionLimits, QueryError, QueryResult, execute

LIMITS = ExecutionLimits(seconds=1.0)
ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) "


def category(database: Path, query: str, limits: ExecutionLimits = LIMITS) -> str:
    outcome = execute(database, query, limits)
    assert isinstance(outcome, QueryError), outcome
    return outcome.category


def test_a_query_returns_columns_and_rows(database: Path) -> None:
    outcome = execute(database, "SELECT name, age AS years FROM singer WHERE age < 18", LIMITS)
    assert isinstance(outcome, QueryResult)
    assert outcome.columns == ("name", "years")
    assert outcome.rows == (("Ben", 17),)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELEC name FROM singer", "syntax"),
        ("SELECT name FROM", "syntax"),
        ("", "syntax"),
        ("-- nothing", "syntax"),
        ("SELECT ?", "syntax"),
        ("SELECT '\0'", "syntax"),
        ("SELECT '\ud800'", "syntax"),
        ("SELECT 1; SELECT 2", "several statements"),
        ("SELECT name FROM nobody", "unknown table"),
        ("SELECT shoe_size FROM singer", "unknown column"),
        ('SELECT T1."syntax error" FROM singer AS T1', "unknown column"),
        ("SELECT median_of_five(age) FROM singer", "unknown function"),
        ("DELETE FROM singer", "forbidden"),
        ("SELECT json_extract('{', '$')", "runtime"),
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
def test_a_broken_database_is_a_fault_and_no_query_error(database: Path, defect: str) -> None:
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
    assert isinstance(execute(database, "SELECT name FROM singer", LIMITS), DatabaseFault)


def test_a_locked_database_is_a_fault_until_it_is_released(database: Path) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        assert isinstance(execute(database, "SELECT name FROM singer", LIMITS), DatabaseFault)
        writer.execute("ROLLBACK")
    assert isinstance(execute(database, "SELECT name FROM singer", LIMITS), QueryResult)


def test_a_changed_file_is_read_anew(database: Path) -> None:
    assert execute(database, "SELECT count(*) FROM concert", LIMITS).rows == ((3,),)
    with closing(sqlite3.connect(database)) as connection:
        connection.executescript("CREATE TABLE novel (a); DELETE FROM concert")
    assert execute(database, "SELECT count(*) FROM concert", LIMITS).rows == ((0,),)
    assert isinstance(execute(database, "SELECT a FROM novel", LIMITS), QueryResult)


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
        outcome = execute(database, "SELECT name FROM singer", LIMITS)
    assert isinstance(outcome, DatabaseFault)
    assert "write-ahead log" in outcome.message


def test_connections_are_bounded_and_apart_by_thread(tmp_path: Path, original: bytes) -> None:
    paths = [tmp_path / f"{number}.sqlite" for number in range(connections.CONNECTIONS_PER_THREAD + 3)]
    for path in paths:
        path.write_bytes(original)
        assert isinstance(execute(path, "SELECT name FROM singer", LIMITS), QueryResult)
    assert len(connections._connections.by_key) == connections.CONNECTIONS_PER_THREAD
    outcomes: list[object] = []
    thread = threading.Thread(target=lambda: outcomes.append(execute(paths[-1], "SELECT name FROM singer", LIMITS)))
    thread.start()
    thread.join()
    assert isinstance(outcomes[0], QueryResult)


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
