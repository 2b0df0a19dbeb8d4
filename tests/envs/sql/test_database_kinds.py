"""What is the same on SQLite, DuckDB and PostgreSQL: one interface, one verdict for one answer."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from envs.sql.databases.connection import Connection, Scratch
from envs.sql.databases.database import Database
from envs.sql.databases.execution import Execution, ExecutionLimits, QueryError, QueryResult
from envs.sql.databases.kinds import open_connection, open_scratch
from envs.sql.environment import SqlEnvironment
from envs.sql.executor.settings import ExecutorSettings
from envs.sql.judge import SqlVerdict
from envs.sql.task import SqlTask
from envs.transcript import Transcript

if TYPE_CHECKING:
    from envs.sql.databases.postgres_server import PrivateServer

LIMITS = ExecutionLimits(seconds=2.0, rows=1_000, result_bytes=1_000_000, memory_bytes=128 * 2**20)
KINDS = ["sqlite", "duckdb", pytest.param("postgres", marks=pytest.mark.postgres)]
ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c"
ENVIRONMENT = SqlEnvironment(executor=ExecutorSettings(limits=LIMITS, facts=("parsed", "soft_f1"), workers=1))


@pytest.fixture(params=KINDS)
def music(request: pytest.FixtureRequest) -> Database:
    """The same database in each kind."""
    if request.param == "postgres":
        found: Database = request.getfixturevalue("postgres_database")
        return found
    return Database.at(request.getfixturevalue("database" if request.param == "sqlite" else "duckdb_file"))


@pytest.fixture
def connection(music: Database) -> Iterator[Connection]:
    opened = open_connection(music, LIMITS)
    yield opened
    opened.close()


@pytest.fixture
def scratch(music: Database) -> Iterator[Scratch]:
    opened = open_scratch(music, LIMITS)
    yield opened
    opened.close()


def rows(outcome: Execution) -> tuple[tuple[object, ...], ...]:
    assert isinstance(outcome, QueryResult), outcome
    return outcome.rows


def judged(music: Database, gold: str, *answers: str) -> list[SqlVerdict]:
    task = SqlTask(id="1", question="?", database=music, gold=gold)
    verdicts = ENVIRONMENT.judge([(task, Transcript.of(answer)) for answer in answers])
    return [verdict for verdict in verdicts if isinstance(verdict, SqlVerdict)]


def test_a_query_returns_columns_and_rows(connection: Connection) -> None:
    outcome = connection.execute("SELECT name, age AS years FROM singer WHERE age < 18", LIMITS)
    assert isinstance(outcome, QueryResult)
    assert (outcome.columns, outcome.rows) == (("name", "years"), (("Ben", 17),))


@pytest.mark.parametrize(
    ("query", "category"),
    [
        ("SELEC name FROM singer", "not SQL"),
        ("SELECT name FROM", "not SQL"),
        ("", "not SQL"),
        ("-- nothing", "not SQL"),
        ("SELECT 1\0", "not SQL"),
        ("SELECT '\ud800'", "not SQL"),
        ("SELECT 1; SELECT 2", "several statements"),
        ("SELECT 1; DROP TABLE singer", "several statements"),
        ("SELECT * FROM nobody", "unknown table"),
        ("SELECT shoe_size FROM singer", "unknown column"),
        ("SELECT s.shoe_size FROM singer AS s", "unknown column"),
        ("SELECT nofunction(name) FROM singer", "unknown function"),
        ("DROP TABLE singer", "not a read"),
        ("DELETE FROM singer", "not a read"),
        ("SELECT " + " " * 20_000 + "1", "too complex"),
        ("SELECT a.name FROM singer a, singer b, singer c, singer d, singer e, singer f", "too large"),
        (ENDLESS, "timeout"),
    ],
)
def test_a_mistake_has_the_same_category_everywhere(connection: Connection, query: str, category: str) -> None:
    limits = ExecutionLimits(seconds=0.2, rows=1_000) if category == "timeout" else LIMITS
    outcome = connection.execute(query, limits)
    assert isinstance(outcome, QueryError), outcome
    assert outcome.category == category, outcome
    assert outcome.message
    assert rows(connection.execute("SELECT count(*) FROM singer", LIMITS)) == ((4,),)


def test_the_catalogue_names_keys_and_views(connection: Connection) -> None:
    tables = {table.name: table for table in connection.tables()}
    assert set(tables) == {"singer", "concert", "order", "adult"}
    assert [column.name for column in tables["singer"].columns] == ["singer_id", "name", "age", "home town"]
    assert [column.is_nullable for column in tables["singer"].columns] == [False, True, True, True]
    assert [column.name for column in tables["concert"].columns if column.is_primary_key] == ["year", "venue"]
    (key,) = tables["concert"].foreign_keys
    assert (key.columns, key.table, key.references) == (("singer_id",), "singer", ("singer_id",))
    assert [name for name, table in tables.items() if table.is_view] == ["adult"]


def test_rows_fill_a_scratch_database_and_are_replaced(scratch: Scratch) -> None:
    assert rows(scratch.execute("SELECT * FROM singer", LIMITS)) == ()
    scratch.fill({"singer": [(7, "Eve", 20, None)], "order": [(1,), (1,)]})
    assert rows(scratch.execute("SELECT * FROM singer", LIMITS)) == ((7, "Eve", 20, None),)
    assert rows(scratch.execute("SELECT name FROM adult", LIMITS)) == (("Eve",),)
    scratch.fill({"singer": [(8, "Fay", 21, "Ulm")]})
    assert rows(scratch.execute("SELECT singer_id FROM singer", LIMITS)) == ((8,),)
    assert rows(scratch.execute('SELECT count(*) FROM "order"', LIMITS)) == ((0,),)


def test_a_row_that_breaks_a_key_or_type_is_left_out_and_foreign_keys_are_not_enforced(
    music: Database, scratch: Scratch
) -> None:
    singers = [(1, "a", 1, None), (1, "same key", 1, None), (3, "d", 4, None)]
    if music.kind != "sqlite":  # which takes any value for any type, and NULL for the next number
        singers += [(2, "b", "no number", None), (None, "c", 1, None)]  # type: ignore[list-item]
    scratch.fill({"singer": singers, "concert": [(2020, "hall", 99)]})
    assert rows(scratch.execute("SELECT singer_id, name FROM singer ORDER BY 1", LIMITS)) == ((1, "a"), (3, "d"))
    assert rows(scratch.execute("SELECT count(*) FROM concert", LIMITS)) == ((1,),)


def test_a_scratch_database_is_scanned_the_other_way_round_and_back(scratch: Scratch) -> None:
    scratch.fill({"order": [(1,), (2,), (3,)]})
    for expected in (((3,), (2,), (1,)), ((1,), (2,), (3,))):
        scratch.reverse()
        assert rows(scratch.execute('SELECT * FROM "order"', LIMITS)) == expected


def test_a_scratch_database_is_sealed(scratch: Scratch) -> None:
    scratch.fill({"order": [(1,)]})
    for query in ('DELETE FROM "order"', "CREATE TABLE t (a INT)", 'INSERT INTO "order" VALUES (2)'):
        outcome = scratch.execute(query, LIMITS)
        assert isinstance(outcome, QueryError) and outcome.category == "not a read", query
    assert rows(scratch.execute('SELECT * FROM "order"', LIMITS)) == ((1,),)


def test_one_answer_has_one_verdict(music: Database) -> None:
    gold = "SELECT name FROM singer WHERE age = 30"
    right, lucky, wrong, failing, hostile = judged(
        music,
        gold,
        "```sql\nSELECT s.name FROM singer AS s WHERE 30 = s.age;\n```",
        "SELECT name FROM singer WHERE age > 17",
        "SELECT name FROM singer",
        "SELECT shoe_size FROM singer",
        "DROP TABLE singer",
    )
    assert right.is_correct and right.names == right.gold_names == ("singer", "singer.age", "singer.name")
    assert right.parsed is not None and right.parsed.is_exact and right.metrics == {"soft_f1": 1.0}
    assert (lucky.agrees_on_database, lucky.is_correct, lucky.error) == (True, False, "wrong result")
    assert lucky.disagreement is not None
    assert (wrong.agrees_on_database, wrong.error) == (False, "wrong result")
    assert (failing.error, failing.is_parsed, hostile.error) == ("unknown column", True, "not a read")


def test_an_empty_gold_is_told_from_nothing_or_its_task_is_worth_nothing(music: Database) -> None:
    right, nothing = judged(
        music,
        "SELECT name FROM singer WHERE age > 90",
        "SELECT name FROM singer WHERE age > 90 AND 1 = 1",
        "SELECT name FROM singer WHERE 1 = 0",
    )
    assert right.is_correct and right.row_count == 0
    assert nothing.agrees_on_database and not nothing.is_correct
    (hopeless,) = judged(music, "SELECT name FROM singer WHERE 1 = 0", "SELECT name FROM singer WHERE 1 = 0")
    assert hopeless.unjudged is not None and "empty" in hopeless.unjudged


def test_a_query_without_end_is_a_timeout_and_the_next_one_is_judged(music: Database) -> None:
    late, right = judged(music, "SELECT count(*) FROM singer", ENDLESS, "SELECT count(name) FROM singer")
    assert (late.error, late.is_correct) == ("timeout", False)
    assert right.is_correct


def test_the_prompt_speaks_the_databases_dialect(music: Database) -> None:
    task = SqlTask(id="1", question="Who is Ada?", database=music, gold="SELECT 1")
    system, user = ENVIRONMENT.prompt(task)
    product = {"sqlite": "SQLite", "duckdb": "DuckDB", "postgres": "PostgreSQL"}[music.kind]
    assert f"You write {product} queries" in system["content"]
    assert 'CREATE TABLE "order" (' in user["content"] and '"home town"' in user["content"]
    assert "'Ada'" in user["content"]


def test_an_answer_that_crashes_its_database_is_wrong_and_not_unjudged(duckdb_file: Path) -> None:
    # Each time it runs DuckDB overflows its stack: 800,000 brackets inside each other.
    deep = (
        "replace(repeat('[', 1000), '[', repeat('[', 800)) || '1' || replace(repeat(']', 1000), ']', repeat(']', 800))"
    )
    crashing, right = judged(
        Database.at(duckdb_file),
        "SELECT count(*) FROM singer",
        f"SELECT ({deep})::JSON::VARIANT",
        "SELECT count(name) FROM singer",
    )
    assert (crashing.error, crashing.is_correct, crashing.unjudged) == ("runtime error", False, None)
    assert right.is_correct


@pytest.mark.postgres
def test_an_answer_whose_rollback_fails_harms_no_other(postgres_database: Database) -> None:
    a, aa = "a" * 100, "a" * 60
    text = f"replace(replace(replace('{a}', 'a', '{a}'), 'a', '{a}'), 'a', '{aa}')"
    huge = f"SELECT x FROM (SELECT {text} x OFFSET 0) q, generate_series(1, 16)"
    connection = open_connection(postgres_database, LIMITS)
    for _ in range(2):
        assert isinstance(connection.execute(huge, LIMITS), QueryError)
        assert rows(connection.execute("SELECT count(*) FROM singer", LIMITS)) == ((4,),)
    connection.close()


@pytest.mark.postgres
def test_a_worker_holds_few_sessions_of_a_server(postgres_server: "PrivateServer", postgres_database: Database) -> None:
    import psycopg

    golds = [f"SELECT name FROM singer WHERE age > {age}" for age in (10, 20, 25)]
    for gold in golds:
        (right,) = judged(postgres_database, gold, gold.replace("age", "singer.age"))
        assert right.is_correct
    with psycopg.connect(postgres_server.location("music"), autocommit=True) as administrator:
        count = administrator.execute("SELECT count(*) FROM pg_stat_activity WHERE usename = 'reader'").fetchone()
    assert count is not None and 1 <= count[0] <= 6
