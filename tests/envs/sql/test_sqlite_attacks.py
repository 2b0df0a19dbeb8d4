"""Hostile queries: none creates or changes a file, exceeds a limit or raises."""

import hashlib
import time
from pathlib import Path

import pytest

from benchmarks.sql_attack_statements import EVERYWHERE, SQLITE
from envs.sql.databases.database import Database
from envs.sql.databases.execution import Execution, ExecutionLimits, QueryError, QueryResult
from envs.sql.databases.sqlite import SqliteConnection

LIMITS = ExecutionLimits(seconds=0.2)
# These SQLite answers without an error, within every limit.
HARMLESS = [
    attack for attack in SQLITE if "printf('%500000000d'" in attack or " trim(" in attack or " instr(" in attack
]
HARMLESS += ["PRAGMA table_info = singer", "EXPLAIN SELECT * FROM singer"]
REFUSED = [attack for attack in (*EVERYWHERE, *SQLITE) if attack not in HARMLESS]


def execute(path: Path, query: str) -> Execution:
    connection = SqliteConnection(Database.at(path), LIMITS)
    try:
        return connection.execute(query, LIMITS)
    finally:
        connection.close()


def places(attack: str, database: Path, other: Path) -> str:
    named = {"{folder}": database.parent, "{other}": other, "{secret}": other}
    for name, path in named.items():
        attack = attack.replace(name, str(path))
    return attack


def snapshot(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


@pytest.mark.parametrize("attack", REFUSED + HARMLESS, ids=lambda attack: attack[:50])
def test_an_attack_changes_nothing_and_ends(database: Path, attack: str, monkeypatch: pytest.MonkeyPatch) -> None:
    other = database.with_name("other.sqlite")
    other.write_bytes(database.read_bytes())
    monkeypatch.chdir(database.parent)
    before = snapshot(database.parent)
    started = time.monotonic()
    outcome = execute(database, places(attack, database, other))
    # The CPU is shared with other tests: far below what any of these takes unlimited, above what scheduling adds.
    assert time.monotonic() - started < LIMITS.seconds + 2.0
    assert isinstance(outcome, QueryError if attack in REFUSED else QueryResult), outcome
    assert snapshot(database.parent) == before
    assert execute(database, "SELECT count(*) FROM singer").rows == ((4,),)


@pytest.mark.parametrize("name", ["table_info", "foreign_key_list", "index_list"])
def test_the_describing_pragmas_are_allowed(database: Path, name: str) -> None:
    assert execute(database, f"PRAGMA {name}(concert)").rows
    assert execute(database, f"SELECT * FROM pragma_{name}('concert')").rows
