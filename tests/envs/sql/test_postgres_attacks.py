"""Hostile queries on PostgreSQL: none reads a secret, changes anything or raises; and the privileges that see to it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

psycopg = pytest.importorskip("psycopg", reason="needs psycopg: pip install 'structrl[databases]'")

from benchmarks.sql_attack_statements import EVERYWHERE, POSTGRES  # noqa: E402
from envs.sql.databases.database import Database  # noqa: E402
from envs.sql.databases.execution import (  # noqa: E402
    DatabaseFault,
    DatabaseFaultError,
    ExecutionLimits,
    QueryError,
    QueryResult,
)
from envs.sql.databases.postgres import PostgresConnection, PostgresScratch  # noqa: E402
from envs.sql.databases.postgres_role import main as make_role  # noqa: E402
from envs.sql.databases.postgres_role import make_reader  # noqa: E402

if TYPE_CHECKING:
    from envs.sql.databases.postgres_server import PrivateServer

pytestmark = pytest.mark.postgres

LIMITS = ExecutionLimits(seconds=0.2, memory_bytes=64 * 2**20)
# The server takes seconds for one value of a gigabyte; benchmarks/sql_attacks.py runs it in a process that is killed.
IN_A_PROCESS = tuple(attack for attack in EVERYWHERE if "s || s" in attack)


@pytest.fixture(scope="module")
def connection(postgres_database: Database) -> Iterator[PostgresConnection]:
    opened = PostgresConnection(postgres_database, LIMITS)
    yield opened
    opened.close()


@pytest.mark.parametrize(
    "attack", [attack for attack in POSTGRES + EVERYWHERE if attack not in IN_A_PROCESS], ids=lambda attack: attack[:50]
)
def test_an_attack_changes_nothing_and_shows_no_secret(connection: PostgresConnection, attack: str) -> None:
    places = {"folder": "/tmp", "other": "other", "secret": "/etc/hostname"}
    query = attack.format(**places) if "{" in attack else attack
    outcome = connection.execute(query, LIMITS)
    assert not isinstance(outcome, DatabaseFault), outcome
    assert "the canary" not in repr(outcome)
    after = connection.execute("SELECT count(*), current_user FROM singer", LIMITS)
    assert isinstance(after, QueryResult)
    assert after.rows == ((4, "reader"),)
    # The time limit holds still.
    late = connection.execute("SELECT count(*) FROM generate_series(1, 1000000000)", ExecutionLimits(seconds=0.02))
    assert isinstance(late, QueryError)
    assert late.category == "timeout"


def test_no_function_can_be_called_that_changes_anything_outside_its_value(connection: PostgresConnection) -> None:
    outcome = connection.execute(
        "SELECT DISTINCT proname FROM pg_proc WHERE has_function_privilege(oid, 'EXECUTE') AND provolatile = 'v'",
        LIMITS,
    )
    assert isinstance(outcome, QueryResult)
    assert {name for (name,) in outcome.rows} <= {"clock_timestamp", "gen_random_uuid", "random", "timeofday"}


@pytest.mark.parametrize(
    ("grant", "complaint"),
    [
        ("ALTER ROLE weak SUPERUSER", "superuser"),
        ("ALTER ROLE weak CREATEDB", "superuser"),
        ("ALTER ROLE weak BYPASSRLS", "superuser"),
        ("GRANT pg_read_server_files TO weak", "member of pg_read_server_files"),
        ("GRANT pg_execute_server_program TO weak", "member of pg_execute_server_program"),
        ("GRANT pg_read_all_data TO weak", "member of pg_read_all_data"),
        ("GRANT EXECUTE ON FUNCTION set_config TO weak", "call set_config"),
        ("GRANT EXECUTE ON FUNCTION pg_terminate_backend TO PUBLIC", "call pg_terminate_backend"),
        ("GRANT EXECUTE ON FUNCTION leak TO weak", "call leak"),
        ("GRANT INSERT ON singer TO weak", "may write singer"),
        ("GRANT UPDATE (name) ON singer TO weak", "may write singer"),
        ("GRANT USAGE ON SEQUENCE numbers TO weak", "may write numbers"),
        ('ALTER TABLE "order" OWNER TO weak', "may write order"),
        ("GRANT SELECT ON pg_stat_activity TO weak", "read pg_stat_activity"),
        ("GRANT SELECT ON pg_authid TO PUBLIC", "read pg_authid"),
        ("GRANT USAGE ON SCHEMA secret TO weak", "use the schema secret"),
        ("GRANT CREATE ON SCHEMA public TO weak", "create something in public"),
        ("GRANT CREATE ON DATABASE privileges TO PUBLIC", "create something in privileges"),
    ],
)
def test_a_role_that_may_do_more_is_refused_until_its_privileges_are_taken(
    privileges: "psycopg.Connection[object]", weak: Database, grant: str, complaint: str
) -> None:
    PostgresConnection(weak, LIMITS).close()
    privileges.execute(grant.encode())
    try:
        for opened in (PostgresConnection, PostgresScratch):
            with pytest.raises(DatabaseFaultError) as caught:
                opened(weak, LIMITS)
            assert complaint in str(caught.value)
            assert "postgres_role ADMINISTRATOR_DSN --role weak" in str(caught.value)
    finally:
        privileges.execute('ALTER TABLE "order" OWNER TO postgres')  # the one thing that the command leaves alone
        make_reader(privileges, "weak", ["public"])
    PostgresConnection(weak, LIMITS).close()


@pytest.fixture(scope="module")
def privileges(postgres_server: "PrivateServer") -> Iterator["psycopg.Connection[object]"]:
    """An administrator's connection to a database in which privileges are given and taken."""
    with psycopg.connect(postgres_server.location(), autocommit=True) as administrator:
        administrator.execute("CREATE DATABASE privileges")
    with psycopg.connect(postgres_server.location("privileges"), autocommit=True) as administrator:
        administrator.execute(
            'CREATE TABLE singer (name TEXT); CREATE TABLE "order" (a INT); CREATE SEQUENCE numbers;'
            "CREATE SCHEMA secret; CREATE FUNCTION leak() RETURNS INT LANGUAGE sql AS 'SELECT 1'"
        )
        make_reader(administrator, "weak", ["public"])
        yield administrator


@pytest.fixture(scope="module")
def weak(postgres_server: "PrivateServer", privileges: object) -> Database:
    return Database.at(postgres_server.location("privileges", "weak"))


def test_a_superuser_is_refused(postgres_server: "PrivateServer") -> None:
    with pytest.raises(DatabaseFaultError, match="superuser"):
        PostgresConnection(Database.at(postgres_server.location()), LIMITS)


def test_without_its_scratch_role_a_reader_has_no_scratch_tables(
    privileges: "psycopg.Connection[object]", weak: Database
) -> None:
    privileges.execute("REVOKE weak_scratch FROM weak")
    with pytest.raises(DatabaseFaultError, match="no scratch tables in 'privileges'.*--role weak"):
        PostgresScratch(weak, LIMITS)
    make_reader(privileges, "weak", ["public"])
    PostgresScratch(weak, LIMITS).close()


def test_the_command_says_what_it_did_or_why_it_did_nothing(
    postgres_server: "PrivateServer", privileges: object, capsys: pytest.CaptureFixture[str]
) -> None:
    assert make_role([postgres_server.location("privileges"), "--role", "weak"]) == 0
    assert "role 'weak' may read public of database 'privileges'" in capsys.readouterr().out
    assert make_role([postgres_server.location("privileges"), "--role", "weak", "--schema", "nowhere"]) == 2
    assert "nothing was changed" in capsys.readouterr().err
    assert make_role([postgres_server.location("privileges", "weak"), "--role", "other"]) == 2


@given(st.text(alphabet=st.sampled_from("SELECTFROM singer*(),;'\"$/-[]{}01\0é\ud800:\\"), max_size=60))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_text_raises(connection: PostgresConnection, text: str) -> None:
    assert not isinstance(connection.execute(text, LIMITS), DatabaseFault)
