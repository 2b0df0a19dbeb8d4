"""Reading questions of one's own: databases by row or for all, golds in another dialect, rows with defects."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from data.registry import DataConfig, load_tasks, make_reader
from data.sql_questions import SqlQuestionsReader
from envs.errors import ConfigurationError
from envs.sql.databases.database import Database
from envs.sql.environment import SqlEnvironment
from envs.sql.task import SqlTask

ROW = {"question": "How many?", "query": "SELECT count(*) FROM animal", "database": "zoo.sqlite"}


def write(home: Path, rows: list[Any], split: str = "train") -> None:
    (home / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    with closing(sqlite3.connect(tmp_path / "zoo.sqlite")) as connection:
        connection.executescript("CREATE TABLE animal (name TEXT); INSERT INTO animal VALUES ('Ada')")
    return tmp_path


def test_a_row_names_its_database_or_the_reader_does(home: Path) -> None:
    write(home, [{**ROW, "id": "a", "evidence": "all", "difficulty": "easy"}, ROW])
    first, second = SqlQuestionsReader(path=str(home)).read("train").tasks
    assert isinstance(first, SqlTask) and isinstance(second, SqlTask)
    assert (first.id, second.id) == ("a", "train-1")
    assert first.labels == {"database": "zoo", "difficulty": "easy"}
    assert (first.evidence, first.database) == ("all", Database.at(home / "zoo.sqlite"))
    write(home, [{"question": "How many?", "query": "SELECT 1"}], split="heldout")
    (third,) = SqlQuestionsReader(path=str(home), database="zoo.sqlite").read("heldout").tasks
    assert isinstance(third, SqlTask)
    assert third.database == first.database
    assert first.is_for_training and not third.is_for_training


def test_bad_rows_are_skipped_and_counted(home: Path) -> None:
    write(
        home, [ROW, {**ROW, "database": "gone.sqlite"}, {"question": "?", "query": "SELECT 1"}, 7, {**ROW, "query": ""}]
    )
    reading = SqlQuestionsReader(path=str(home)).read("train")
    assert len(reading.tasks) == 1
    assert reading.skipped == {"database missing": 1, "no database": 1, "no question": 1, "no query": 1}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"dialect": "sqlit"}, "did you mean 'sqlite'"),
        ({"database": "zoo.xyz"}, "no database that is known"),
    ],
)
def test_a_wrong_option_is_named(home: Path, options: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        SqlQuestionsReader(path=str(home), **options)


def test_golds_are_translated_into_the_databases_dialect(home: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    with duckdb.connect(str(home / "zoo.duckdb")) as connection:
        connection.execute("CREATE TABLE animal (name TEXT, age INT); INSERT INTO animal VALUES ('Ada', 3), ('Ben', 4)")
    rows = [
        {"question": "Who is Ada?", "query": 'SELECT age FROM animal WHERE name = "Ada"'},
        {"question": "?", "query": "SELECT ("},
    ]
    for split in ("train", "heldout"):
        write(home, rows, split)
    options = {"path": str(home), "database": "zoo.duckdb", "dialect": "sqlite"}
    environment = SqlEnvironment()
    reading = load_tasks(
        make_reader(DataConfig(reader="sql_questions", options=options), environment), environment, "train"
    )
    (task,) = reading.tasks
    assert isinstance(task, SqlTask) and "'Ada'" in task.gold
    assert reading.skipped == {"a query that cannot be translated from sqlite to duckdb": 1}


def test_when_no_database_can_be_opened_the_error_says_what_it_said(home: Path) -> None:
    with closing(sqlite3.connect(home / "zoo.sqlite")) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("DELETE FROM animal")
        writer.commit()
        write(home, [ROW, ROW])
        with pytest.raises(ConfigurationError, match="2 x database corrupt or locked .*wal_checkpoint"):
            SqlQuestionsReader(path=str(home)).read("train")
