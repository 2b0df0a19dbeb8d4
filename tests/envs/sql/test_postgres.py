"""PostgreSQL, on a server of our own: values, errors by category, faults, the catalogue; and scratch tables."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

psycopg = pytest.importorskip("psycopg", reason="needs psycopg: pip install 'structrl[databases]'")

from envs.sql.databases.database import Database  # noqa: E402
from envs.sql.databases.execution import (  # noqa: E402
    DatabaseFault,
    DatabaseFaultError,
    Execution,
    ExecutionLimits,
    QueryError,
    QueryResult,
)
from envs.sql.databases.postgres import PostgresConnection, PostgresScratch  # noqa: E402
from envs.sql.databases.schema import ForeignKey  # noqa: E402

if TYPE_CHECKING:
    from envs.sql.databases.postgres_server import PrivateServer

pytestmark = pytest.mark.postgres

LIMITS = ExecutionLimits(seconds=2.0, rows=1_000, result_bytes=1_000_000, memory_bytes=64 * 2**20)


@pytest.fixture
def connection(postgres_database: Database) -> Iterator[PostgresConnection]:
    opened = PostgresConnection(postgres_database, LIMITS)
    yield opened
    opened.close()


@pytest.fixture
def scratch(postgres_database: Database) -> Iterator[PostgresScratch]:
    opened = PostgresScratch(postgres_database, LIMITS)
    yield opened
    opened.close()


def rows(outcome: Execution) -> tuple[tuple[object, ...], ...]:
    assert isinstance(outcome, QueryResult), outcome
    return outcome.rows


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("true", 1),
        ("1.5::NUMERIC(9, 2)", 1.5),
        ("9007199254740993::NUMERIC", 9007199254740993),
        ("sum(x) FROM generate_series(1, 3) AS x", 6),
        ("DATE '2020-01-31'", "2020-01-31"),
        ("TIMESTAMP '2020-01-31 23:59:59'", "2020-01-31 23:59:59"),
        ("DATE '200000-01-01'", "200000-01-01"),
        ("DATE 'infinity'", "infinity"),
        ("'nan'::FLOAT8", "NaN"),
        ("'nan'::NUMERIC", "NaN"),
        ("'infinity'::FLOAT8", float("inf")),
        ("0.1::FLOAT8 + 0.2::FLOAT8", 0.1 + 0.2),
        ("'\\x00ff'::BYTEA", b"\x00\xff"),
        ("ARRAY[1, NULL]", "{1,NULL}"),
        ("'{\"a\": 1}'::JSONB", '{"a": 1}'),
        ("NULL", None),
    ],
)
def test_a_value_becomes_a_plain_one(connection: PostgresConnection, expression: str, expected: object) -> None:
    ((value,),) = rows(connection.execute(f"SELECT {expression}", LIMITS))
    assert (value, type(value)) == (expected, type(expected))
    hash(value)


@pytest.mark.parametrize(
    ("query", "category"),
    [
        (";", "not SQL"),
        ("SELECT $1", "not SQL"),
        ("SELECT $1 + age FROM singer", "not SQL"),
        ("SELECT * FROM nowhere.singer", "unknown table"),
        ("SELECT t.name FROM singer AS s", "unknown column"),
        ("SELECT * FROM nofunction(1)", "unknown function"),
        ("SELECT abs(1, 2)", "runtime error"),
        ("SELECT sum(name) FROM singer", "runtime error"),
        ("SELECT name = 1 FROM singer", "runtime error"),
        ("SELECT 'a'::INT", "runtime error"),
        ("SELECT 1 / 0", "runtime error"),
        ("SELECT name, count(*) FROM singer", "runtime error"),
        ("SELECT (SELECT name FROM singer)", "runtime error"),
        ("SHOW work_mem", "not a read"),
        ("EXPLAIN ANALYZE SELECT 1", "not a read"),
        ("SELECT current_setting('work_mem')", "not a read"),
        ("SELECT " + ", ".join(["1"] * 2_000), "too complex"),
        ("SELECT * FROM generate_series(1, 1001)", "too large"),
        ("SELECT md5(x::text) || md5(x::text) FROM generate_series(1, 999) AS x, generate_series(1, 99)", "too large"),
    ],
)
def test_a_mistake_has_its_category(connection: PostgresConnection, query: str, category: str) -> None:
    outcome = connection.execute(query, LIMITS)
    assert isinstance(outcome, QueryError), outcome
    assert outcome.category == category, outcome
    assert outcome.message


def test_a_result_larger_than_its_bytes_is_refused(connection: PostgresConnection) -> None:
    limits = ExecutionLimits(result_bytes=10_000)
    outcome = connection.execute("SELECT md5(x::text) FROM generate_series(1, 1000) AS x", limits)
    assert isinstance(outcome, QueryError)
    assert outcome.category == "too large"


def test_a_query_past_its_time_is_cancelled_and_the_connection_goes_on(connection: PostgresConnection) -> None:
    endless = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c"
    slow_rows = "SELECT count(*) OVER (ORDER BY x) FROM generate_series(1, 100000000) AS x"
    for query in (endless, slow_rows):
        outcome = connection.execute(query, ExecutionLimits(seconds=0.1))
        assert isinstance(outcome, QueryError)
        assert outcome.category == "timeout"
        assert rows(connection.execute("SELECT count(*) FROM singer", LIMITS)) == ((4,),)


def test_exploration_is_permitted(connection: PostgresConnection) -> None:
    for query in (
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'",
        "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 'singer'",
        "SELECT * FROM information_schema.key_column_usage",
        "SELECT * FROM pg_tables WHERE schemaname = 'public'",
        "EXPLAIN SELECT * FROM singer",
        "TABLE singer",
        "VALUES (1)",
        "(SELECT 1) UNION SELECT 2 -- to the end",
    ):
        assert rows(connection.execute(query, LIMITS)), query


def test_the_catalogue_is_read(connection: PostgresConnection) -> None:
    tables = {table.name: table for table in connection.tables()}
    assert list(tables) == ["singer", "concert", "order", "adult"]
    assert [(column.name, column.type) for column in tables["singer"].columns][:2] == [
        ("singer_id", "integer"),
        ("name", "text"),
    ]
    assert [column.is_nullable for column in tables["singer"].columns] == [False, True, True, True]
    assert [column.name for column in tables["concert"].columns if column.is_primary_key] == ["year", "venue"]
    assert tables["concert"].foreign_keys == (
        ForeignKey(columns=("singer_id",), table="singer", references=("singer_id",)),
    )
    assert [name for name, table in tables.items() if table.is_view] == ["adult"]


def test_a_server_out_of_reach_is_a_fault() -> None:
    for location in ("postgresql://reader@/music?host=%2Fnowhere", "postgresql://reader@/music?nonsense=1"):
        with pytest.raises(DatabaseFaultError, match="'music' cannot be reached"):
            PostgresConnection(Database.at(location), LIMITS)


def test_a_wrong_password_is_a_fault_and_is_not_shown(postgres_server: "PrivateServer") -> None:
    with psycopg.connect(postgres_server.location(), autocommit=True) as administrator:
        administrator.execute("CREATE ROLE locked LOGIN PASSWORD 'right'")
        rules = postgres_server.data / "pg_hba.conf"
        rules.write_text("local all locked scram-sha-256\n" + rules.read_text())
        administrator.execute("SELECT pg_reload_conf()")
    location = postgres_server.location("postgres", "locked").replace("locked@", "locked:mistaken@")
    with pytest.raises(DatabaseFaultError) as caught:
        PostgresConnection(Database.at(location), LIMITS)
    assert "password" in str(caught.value)
    assert "mistaken" not in str(caught.value)


def test_a_locked_table_is_a_fault(postgres_server: "PrivateServer", connection: PostgresConnection) -> None:
    with psycopg.connect(postgres_server.location("music")) as administrator:
        administrator.execute("LOCK TABLE singer IN ACCESS EXCLUSIVE MODE")
        assert isinstance(connection.execute("SELECT * FROM singer", LIMITS), DatabaseFault)
    assert rows(connection.execute("SELECT count(*) FROM singer", LIMITS)) == ((4,),)


def test_sessions_go_on_after_a_restart_of_the_server(
    postgres_server: "PrivateServer", connection: PostgresConnection, scratch: PostgresScratch
) -> None:
    scratch.fill({"order": [(7,)]})
    postgres_server.stop()
    assert isinstance(connection.execute("SELECT 1", LIMITS), DatabaseFault)
    assert isinstance(scratch.execute("SELECT 1", LIMITS), DatabaseFault)
    postgres_server.start()
    assert rows(connection.execute("SELECT count(*) FROM singer", LIMITS)) == ((4,),)
    assert rows(scratch.execute('SELECT * FROM "order"', LIMITS)) == ((7,),)


def test_a_session_that_an_administrator_ended_is_opened_again(
    postgres_server: "PrivateServer", connection: PostgresConnection
) -> None:
    with psycopg.connect(postgres_server.location("music"), autocommit=True) as administrator:
        administrator.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'reader'")
    assert rows(connection.execute("SELECT count(*) FROM singer", LIMITS)) == ((4,),)


def test_queries_on_scratch_tables_see_no_others_and_write_nothing(scratch: PostgresScratch) -> None:
    scratch.fill({"order": [(1,)]})
    for query in (
        "SELECT * FROM public.singer",
        "SELECT * FROM secret.canary",
        'DELETE FROM "order"',
        'WITH x AS (DELETE FROM "order" RETURNING 1) SELECT * FROM x',
        "SELECT set_config('role', 'reader', false)",
        "RESET ROLE",
    ):
        outcome = scratch.execute(query, LIMITS)
        assert isinstance(outcome, QueryError), query
        assert outcome.category == "not a read", query
    assert rows(scratch.execute('SELECT * FROM "order"', LIMITS)) == ((1,),)


def test_scratch_tables_leave_nothing_behind(postgres_server: "PrivateServer", postgres_database: Database) -> None:
    query = "SELECT count(*) FROM pg_class WHERE relpersistence = 't'"
    with psycopg.connect(postgres_server.location("music"), autocommit=True) as administrator:
        before = administrator.execute(query).fetchone()  # workers of other tests may hold some
        opened = PostgresScratch(postgres_database, LIMITS)
        opened.fill({"order": [(1,)]})
        assert administrator.execute(query).fetchone() != before
        opened.close()
        for _ in range(100):  # the server drops them when it has noticed that the session is over
            left = administrator.execute(query).fetchone()
            if left == before:
                break
            administrator.execute("SELECT pg_sleep(0.05)")
    assert left == before
