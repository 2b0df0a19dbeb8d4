"""Hostile queries on DuckDB: none creates or changes a file, shows a secret, exceeds a limit or raises."""

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

duckdb = pytest.importorskip("duckdb", reason="needs duckdb: pip install 'structrl[databases]'")

from benchmarks.sql_attack_statements import DUCKDB, EVERYWHERE  # noqa: E402
from envs.sql.databases.database import Database  # noqa: E402
from envs.sql.databases.duckdb import DuckdbConnection  # noqa: E402
from envs.sql.databases.duckdb_functions import SCALAR_FUNCTIONS, TABLE_FUNCTIONS, has_bounded_size  # noqa: E402
from envs.sql.databases.execution import DatabaseFault, ExecutionLimits, QueryError, QueryResult  # noqa: E402

LIMITS = ExecutionLimits(seconds=0.2, memory_bytes=64 * 2**20)
SECRET = "the secret in the file"
# DuckDB answers these; they are large, and within every limit.
HARMLESS = {"SELECT " + ", ".join(["1"] * 3_000), "SELECT 1 " + "UNION ALL SELECT 1 " * 800}
# Values of gigabytes, which only the limits of a worker process end; benchmarks/sql_attacks.py runs them in one.
IN_A_PROCESS = tuple(attack for attack in DUCKDB if "repeat(repeat('a', 200)" in attack or "SELECT a || b" in attack)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, original_duckdb: bytes) -> Path:
    folder = tmp_path_factory.mktemp("attacked")
    (folder / "music.duckdb").write_bytes(original_duckdb)
    (folder / "other.duckdb").write_bytes(original_duckdb)
    (folder / "secret.txt").write_text(SECRET)
    return folder


@pytest.fixture(scope="module")
def connection(folder: Path) -> Iterator[DuckdbConnection]:
    opened = DuckdbConnection(Database.at(folder / "music.duckdb"), LIMITS)
    yield opened
    opened.close()


def snapshot(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


@pytest.mark.parametrize(
    "attack", [attack for attack in DUCKDB + EVERYWHERE if attack not in IN_A_PROCESS], ids=lambda attack: attack[:50]
)
def test_an_attack_changes_nothing_and_ends(
    connection: DuckdbConnection, folder: Path, attack: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    before = snapshot(folder)
    places = {"folder": folder, "other": folder / "other.duckdb", "secret": folder / "secret.txt"}
    query = attack.format(**places) if "{" in attack else attack
    outcome = connection.execute(query, LIMITS)
    assert isinstance(outcome, QueryResult if attack in HARMLESS else QueryError), outcome
    assert SECRET not in repr(outcome)
    assert snapshot(folder) == before
    after = connection.execute("SELECT count(*) FROM singer", LIMITS)
    assert isinstance(after, QueryResult)
    assert after.rows == ((4,),)


def test_every_function_that_is_not_listed_is_refused(connection: DuckdbConnection) -> None:
    with duckdb.connect() as unsealed:
        rows = unsealed.execute("SELECT DISTINCT function_name FROM duckdb_functions()").fetchall()
    names = {name for (name,) in rows if name.isidentifier()}
    assert len(names) > 500
    for name in sorted(names):
        for query, allowed in (
            (f'SELECT "{name}"()', SCALAR_FUNCTIONS),
            (f'SELECT * FROM "{name}"()', TABLE_FUNCTIONS),
            (f'SELECT "{name}"() OVER ()', SCALAR_FUNCTIONS),
        ):
            if name.lower() not in allowed:
                outcome = connection.execute(query, LIMITS)
                assert isinstance(outcome, QueryError), query
                assert outcome.category == "not a read", (query, outcome)


@pytest.mark.parametrize("name", ["read_text", "getenv", "current_setting", "query", "nextval", "write_log", "glob"])
def test_a_function_is_refused_wherever_it_stands(connection: DuckdbConnection, name: str) -> None:
    call = f"{name}('x')"
    for query in (
        f"SELECT * FROM singer WHERE name = (SELECT {call})",
        f"SELECT name FROM singer ORDER BY {call}",
        f"SELECT name FROM singer LIMIT {call}",
        f"SELECT count(*) FROM singer GROUP BY {call}",
        f"SELECT sum(age) FILTER (WHERE {call}) OVER (PARTITION BY {call}) FROM singer",
        f"SELECT * REPLACE ({call} AS name) FROM singer",
        f"SELECT list_transform([1], lambda x: {call})",
        f"SELECT [{call} FOR x IN [1]]",
        f"SELECT {{'a': {call}}}",
        f"SELECT CASE WHEN true THEN {call} END",
        f"WITH c AS MATERIALIZED (SELECT {call}) SELECT * FROM c",
        f"SELECT * FROM singer JOIN concert ON {call}",
        f"SELECT * FROM (VALUES ({call}))",
        f"SELECT * FROM range({call})",
        f"EXPLAIN SELECT {call}",
        f"DESCRIBE SELECT {call}",
        f"SELECT name.{name}() FROM singer",
        f"SELECT main.{call}",
        f"SELECT 1 UNION SELECT {call}",
    ):
        outcome = connection.execute(query, LIMITS)
        assert isinstance(outcome, QueryError), query
        assert outcome.category in ("not a read", "unknown function"), (query, outcome)


def test_a_variable_of_ours_is_no_table(connection: DuckdbConnection) -> None:
    singers = [1, 2, 3]  # DuckDB would read it, were replacement scans on
    outcome = connection.execute("SELECT * FROM singers", LIMITS)
    assert isinstance(outcome, QueryError)
    assert outcome.category == "unknown table"
    assert singers


@pytest.mark.parametrize(
    ("name", "constants", "expected"),
    [
        ("lpad", [None, "2", "0"], True),
        ("lpad", ["a", None], False),
        ("repeat", ["a", "1000"], True),
        ("repeat", ["a", "1001"], False),
        ("range", ["1", None], False),
        ("printf", ["%.2f", None], True),
        ("printf", ["%*d", None, None], False),
        ("printf", ["%99999d", None], False),
        ("format", ["{:{}}", None, None], False),
        ("upper", [None], True),
    ],
)
def test_a_size_must_be_written_out_and_small(name: str, constants: list[str | None], expected: bool) -> None:
    assert has_bounded_size(name, constants) is expected


@given(st.text(alphabet=st.sampled_from("SELECTFROM singer*(),;'\"$/-[]{}01\0é\ud800"), max_size=60))
@settings(max_examples=200, deadline=None)
def test_no_text_raises(connection: DuckdbConnection, text: str) -> None:
    assert not isinstance(connection.execute(text, LIMITS), DatabaseFault)


@pytest.mark.parametrize("attack", IN_A_PROCESS, ids=lambda attack: attack[:50])
def test_a_process_of_limited_size_refuses_values_of_gigabytes(folder: Path, attack: str) -> None:
    program = f"""
import resource
from envs.sql.databases.database import Database
from envs.sql.databases.duckdb import DuckdbConnection
from envs.sql.databases.execution import ExecutionLimits
limits = ExecutionLimits(seconds=20.0, memory_bytes={64 * 2**20})
connection = DuckdbConnection(Database.at({str(folder / "music.duckdb")!r}), limits)
resource.setrlimit(resource.RLIMIT_DATA, ({256 * 2**20}, {256 * 2**20}))
print(connection.execute({attack!r}, limits).category, connection.execute("SELECT 1", limits).rows)
print(int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) // 1024)  # ru_maxrss is the parent's too
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    outcome, peak_mib = done.stdout.splitlines()
    assert outcome == "too large ((1,),)"
    assert int(peak_mib) < 600
