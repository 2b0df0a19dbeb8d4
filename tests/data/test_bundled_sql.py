"""The bundled SQL tasks keep what their README promises."""

import json
import os
import re
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlglot

from data.bundled.sql.databases import DATABASES, build

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "data" / "bundled" / "sql"
DIFFICULTIES = ("easy", "medium", "hard", "extra")
Row = dict[str, str]


def read(split: str) -> list[Row]:
    return [json.loads(line) for line in (FOLDER / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()]


TRAIN, HELDOUT = read("train"), read("heldout")


@pytest.fixture(scope="module")
def databases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return build(tmp_path_factory.mktemp("databases"))


@pytest.fixture(scope="module")
def connections(databases: dict[str, Path]) -> Iterator[dict[str, sqlite3.Connection]]:
    opened = {name: sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True) for name, path in databases.items()}
    yield opened
    for connection in opened.values():
        connection.close()


def result(connection: sqlite3.Connection, sql: str, *, is_reversed: bool = False) -> list[tuple[object, ...]]:
    connection.execute(f"PRAGMA reverse_unordered_selects = {int(is_reversed)}")
    return connection.execute(sql).fetchall()


@pytest.mark.parametrize("row", TRAIN + HELDOUT, ids=lambda row: row["id"])
def test_a_gold_query_answers_something_and_always_the_same(
    row: Row, connections: dict[str, sqlite3.Connection]
) -> None:
    connection = connections[row["database"]]
    rows, backwards = result(connection, row["sql"]), result(connection, row["sql"], is_reversed=True)
    assert any(value is not None for answer in rows for value in answer)
    is_ordered = sqlglot.parse_one(row["sql"], dialect="sqlite").args.get("order") is not None
    assert rows == backwards if is_ordered else sorted(rows, key=repr) == sorted(backwards, key=repr)


@pytest.mark.parametrize("seed", [1, 2])
def test_gold_queries_are_deterministic_over_other_rows_too(seed: int) -> None:
    modules = {name: sys.modules[database.rows.__module__] for name, database in DATABASES.items()}
    for name, module in modules.items():
        with closing(sqlite3.connect(":memory:")) as connection:
            connection.executescript(module.SCHEMA)
            for table, rows in module.rows(seed).items():
                connection.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(rows[0]))})", rows)
            for row in TRAIN + HELDOUT:
                if row["database"] == name:
                    forwards = result(connection, row["sql"])
                    backwards = result(connection, row["sql"], is_reversed=True)
                    assert sorted(forwards, key=repr) == sorted(backwards, key=repr), row["id"]


def test_gold_queries_are_written_in_one_portable_style() -> None:
    for row in TRAIN + HELDOUT:
        assert not re.search(r'[`"\[\];\n]| OVER ', row["sql"]), row["id"]
        assert row["sql"].startswith(("SELECT ", "WITH ")), row["id"]


def test_a_gold_query_orders_its_rows_exactly_when_the_question_asks_for_an_order() -> None:
    asked = re.compile(
        r"\border (of|in which)\b|alphabetical order|\bgo by\b|\bon top\b|\bsorted by\b|"
        r"\btie, take\b|, the earliest first"
    )
    for row in TRAIN + HELDOUT:
        is_ordered = sqlglot.parse_one(row["sql"], dialect="sqlite").args.get("order") is not None
        assert is_ordered == (asked.search(row["question"]) is not None), row["id"]


def test_every_row_has_exactly_the_promised_fields() -> None:
    for row in TRAIN + HELDOUT:
        assert list(row) == ["id", "database", "question", "sql", "difficulty"]
        assert all(isinstance(value, str) and value == value.strip() != "" for value in row.values())


def test_ids_and_questions_are_unique_over_both_splits() -> None:
    rows = TRAIN + HELDOUT
    assert len({row["id"] for row in rows}) == len({row["question"] for row in rows}) == len(rows)


def test_no_query_is_in_both_splits_however_it_is_spelled() -> None:
    def normal(row: Row) -> tuple[str, str]:
        return row["database"], sqlglot.transpile(row["sql"], read="sqlite", write="sqlite", pretty=False)[0].casefold()

    assert not {normal(row) for row in TRAIN} & {normal(row) for row in HELDOUT}
    assert len({normal(row) for row in TRAIN + HELDOUT}) == len(TRAIN + HELDOUT)


def test_each_split_holds_every_database_at_every_difficulty() -> None:
    strata = {(database, difficulty) for database in DATABASES for difficulty in DIFFICULTIES}
    for split, least in ((TRAIN, 8), (HELDOUT, 4)):
        counts = Counter((row["database"], row["difficulty"]) for row in split)
        assert set(counts) == strata and min(counts.values()) >= least


def test_the_readme_counts_are_those_of_the_files() -> None:
    table = re.findall(
        r"^\| (\w+) \| (\w+) \| (\d+) \| (\d+) \| (\d+) \| (\d+) \|$", (FOLDER / "README.md").read_text(), re.M
    )
    stated = {
        (split, name, level): int(n) for split, name, *ns in table for level, n in zip(DIFFICULTIES, ns, strict=True)
    }
    counted = Counter(
        (split, row["database"], row["difficulty"])
        for split, rows in (("train", TRAIN), ("heldout", HELDOUT))
        for row in rows
    )
    assert stated == counted


def test_databases_hold_their_keys_and_some_nulls(connections: dict[str, sqlite3.Connection]) -> None:
    for name, connection in connections.items():
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        tables = [table for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        rows = [row for table in tables for row in connection.execute(f"SELECT * FROM {table}")]
        assert 4 <= len(tables) <= 7 and 300 <= len(rows) <= 1000, name
        assert any(None in row for row in rows) and any(isinstance(value, float) for row in rows for value in row)
        assert sum(len(connection.execute(f"PRAGMA foreign_key_list({table})").fetchall()) for table in tables) >= 5


def test_two_builds_make_equal_files(databases: dict[str, Path], tmp_path: Path) -> None:
    for name, path in build(tmp_path).items():
        assert path.read_bytes() == databases[name].read_bytes()


def test_a_current_database_is_left_untouched(tmp_path: Path) -> None:
    before = {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in build(tmp_path).values()}
    after = {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in build(tmp_path).values()}
    assert before == after


@pytest.mark.parametrize("damage", ["other version", "no database", "truncated", "empty"])
def test_a_file_that_is_not_current_is_built_again(damage: str, databases: dict[str, Path], tmp_path: Path) -> None:
    path = build(tmp_path)["museum"]
    if damage == "other version":
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("DELETE FROM visit")
            connection.execute("PRAGMA user_version = 7")
    else:
        content = path.read_bytes()
        path.write_bytes({"no database": b"x" * 5000, "truncated": content[: len(content) // 2], "empty": b""}[damage])
    assert build(tmp_path)["museum"].read_bytes() == databases["museum"].read_bytes()


def test_processes_that_build_at_once_do_not_disturb_each_other(databases: dict[str, Path], tmp_path: Path) -> None:
    script = """if True:
        import sys, time
        from pathlib import Path
        from data.bundled.sql.databases import build
        home = Path(sys.argv[1])
        (home / sys.argv[2]).touch()
        while not (home / "go").exists():
            time.sleep(0.0005)
        for attempt in range(5):
            build(home / str(attempt))
        """
    names = ["first", "second"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    running = [
        subprocess.Popen([sys.executable, "-c", script, str(tmp_path), name], env=environment, stderr=subprocess.PIPE)
        for name in names
    ]
    while not all((tmp_path / name).exists() for name in names) and all(one.poll() is None for one in running):
        pass
    (tmp_path / "go").touch()
    for process in running:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors.decode()
    for attempt in range(5):
        built = {path.stem: path.read_bytes() for path in (tmp_path / str(attempt)).iterdir()}
        assert built == {name: path.read_bytes() for name, path in databases.items()}


def test_the_script_builds_into_the_given_directory_and_by_default_into_the_cache(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "STRUCTRL_CACHE": str(tmp_path / "cache")}
    for arguments, home in (([str(tmp_path / "given")], tmp_path / "given"), ([], tmp_path / "cache" / "databases")):
        command = [sys.executable, str(FOLDER / "databases.py"), *arguments]
        printed = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
        assert printed.split() == [str(home / f"{name}.sqlite") for name in DATABASES]
        assert {path.stem for path in home.iterdir()} == set(DATABASES)
