"""Hostile queries: none creates or changes a file, exceeds a limit or raises."""

import hashlib
import time
from pathlib import Path

import pytest

from envs.sql.databases.database import Database
from envs.sql.databases.execution import Execution, ExecutionLimits, QueryError, QueryResult
from envs.sql.databases.sqlite import SqliteConnection

LIMITS = ExecutionLimits(seconds=0.2)
ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) "
LONG = "printf('%.*c', 49000, 'a')"

REFUSED = [
    "ATTACH '{folder}/new.sqlite' AS other",
    "ATTACH '{other}' AS other",
    "ATTACH ':memory:' AS other",
    "DETACH main",
    "VACUUM",
    "VACUUM INTO '{folder}/copy.sqlite'",
    "PRAGMA journal_mode = WAL",
    "PRAGMA writable_schema = ON",
    "PRAGMA user_version = 7",
    "PRAGMA query_only = OFF",
    "PRAGMA temp_store_directory = '{folder}'",
    "PRAGMA database_list",
    "PRAGMA hard_heap_limit = 0",
    "SELECT * FROM pragma_database_list",
    "SELECT * FROM sqlite_stmt",
    "SELECT * FROM dbstat",
    "SELECT * FROM sqlite_temp_master",
    "INSERT INTO singer (name) VALUES ('x')",
    "WITH a AS (SELECT 1) DELETE FROM singer",
    "UPDATE singer SET name = 'x' RETURNING name",
    "REPLACE INTO singer (singer_id) VALUES (1)",
    "DROP TABLE singer",
    "ALTER TABLE singer RENAME TO s",
    "CREATE TABLE t (a)",
    "CREATE TEMP TABLE t (a)",
    "CREATE TEMP VIEW v AS SELECT 1",
    "CREATE VIRTUAL TABLE v USING fts5(a)",
    "CREATE TRIGGER g AFTER INSERT ON singer BEGIN SELECT 1; END",
    "BEGIN EXCLUSIVE",
    "SAVEPOINT s",
    "ANALYZE",
    "REINDEX",
    "EXPLAIN DELETE FROM singer",
    "SELECT load_extension('{other}')",
    "SELECT readfile('{other}')",
    "SELECT writefile('{folder}/new', 'x')",
    "SELECT edit('x')",
    "SELECT fts3_tokenizer('simple', x'00')",
    "SELECT sqlite_compileoption_get(1)",
    "SELECT 1; DROP TABLE singer",
    "SELECT hex(zeroblob(450000000))",
    "SELECT randomblob(450000000)",
    "SELECT replace(" + LONG + ", 'a', " + LONG + ")",
    "SELECT group_concat(hex(" + LONG + ")) FROM singer, concert",
    ENDLESS + "SELECT count(*) FROM c",
    ENDLESS + "SELECT x FROM c",
    ENDLESS + "SELECT " + LONG + " || x FROM c ORDER BY 1",
    ENDLESS + "SELECT group_concat(x) FROM c",
    "SELECT count(*) FROM " + ", ".join(f"concert AS t{number}" for number in range(30)),
    "WITH c0 AS (SELECT name FROM singer), "
    + ", ".join(f"c{n} AS (SELECT a.name FROM c{n - 1} AS a, c{n - 1} AS b)" for n in range(1, 40))
    + " SELECT count(*) FROM c39",
    "SELECT " + LONG + " LIKE '%' || " + LONG + " || 'b'",
    "SELECT " + "(" * 900 + "1" + ")" * 900,
    "SELECT " + "-" * 900 + "1",
    "SELECT " + ", ".join(["1"] * 3_000),
    "SELECT 1 WHERE " + " AND ".join(["1"] * 3_000),
    "x" * 5_000_000,
    "SELECT '" + "\U0001f600" * 6_000 + "'",
    "SELECT 1\0; DROP TABLE singer",
]
# These SQLite answers without an error, within every limit.
HARMLESS = [
    "SELECT printf('%500000000d', 1)",
    "SELECT trim(" + LONG + ", printf('%.*c', 48000, 'b') || 'a')",
    "SELECT instr(" + LONG + ", printf('%.*c', 24000, 'a') || 'b')",
    "PRAGMA table_info = singer",
    "EXPLAIN SELECT * FROM singer",
]


def execute(path: Path, query: str) -> Execution:
    connection = SqliteConnection(Database.at(path), LIMITS)
    try:
        return connection.execute(query, LIMITS)
    finally:
        connection.close()


def snapshot(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


@pytest.mark.parametrize("attack", REFUSED + HARMLESS, ids=lambda attack: attack[:50])
def test_an_attack_changes_nothing_and_ends(database: Path, attack: str, monkeypatch: pytest.MonkeyPatch) -> None:
    other = database.with_name("other.sqlite")
    other.write_bytes(database.read_bytes())
    monkeypatch.chdir(database.parent)
    before = snapshot(database.parent)
    started = time.monotonic()
    outcome = execute(database, attack.replace("{folder}", str(database.parent)).replace("{other}", str(other)))
    # The CPU is shared with other tests: far below what any of these takes unlimited, above what scheduling adds.
    assert time.monotonic() - started < LIMITS.seconds + 2.0
    assert isinstance(outcome, QueryError if attack in REFUSED else QueryResult), outcome
    assert snapshot(database.parent) == before
    assert execute(database, "SELECT count(*) FROM singer").rows == ((4,),)


@pytest.mark.parametrize("name", ["table_info", "foreign_key_list", "index_list"])
def test_the_describing_pragmas_are_allowed(database: Path, name: str) -> None:
    assert execute(database, f"PRAGMA {name}(concert)").rows
    assert execute(database, f"SELECT * FROM pragma_{name}('concert')").rows
