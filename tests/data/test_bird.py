"""Reading BIRD's layout: questions with evidence, column descriptions, rows with defects."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from data.bird import BirdReader
from data.registry import load_tasks
from envs.errors import ConfigurationError
from envs.sql.environment import SqlEnvironment
from envs.sql.executor.settings import ExecutorSettings
from envs.sql.judge import SqlVerdict
from envs.sql.task import SqlTask
from envs.transcript import Transcript

ROW = {
    "question_id": 7,
    "db_id": "zoo",
    "question": "How many cats?",
    "evidence": "cats have kind = 1",
    "SQL": "SELECT count(*) FROM animal WHERE kind = 1",
    "difficulty": "simple",
}
CSV = (
    "original_column_name,column_name,column_description,data_format,value_description\n"
    "kind,kind of animal,,integer,1: cat\nname,,,text,\n"
)


def make_bird(home: Path, rows: list[object], name: str = "dev") -> None:
    folder = home / f"{name}_databases" / "zoo"
    (folder / "database_description").mkdir(parents=True)
    (home / f"{name}.json").write_text(json.dumps(rows))
    with closing(sqlite3.connect(folder / "zoo.sqlite")) as connection:
        connection.execute("CREATE TABLE animal (name TEXT, kind INT)")
    (folder / "database_description" / "animal.csv").write_bytes(b"\xef\xbb\xbf" + CSV.encode() + b"x,caf\xe9,,,\n")


@pytest.mark.parametrize("folder", ["", "dev"])
def test_a_row_becomes_a_task(tmp_path: Path, folder: str) -> None:
    make_bird(tmp_path / folder, [ROW])
    (task,) = BirdReader(path=str(tmp_path)).read("heldout").tasks
    assert isinstance(task, SqlTask)
    assert (task.id, task.evidence) == ("bird-heldout-7", "cats have kind = 1")
    assert task.labels == {"database": "zoo", "difficulty": "simple"}
    assert task.descriptions["animal.kind"] == "kind of animal; 1: cat"
    assert "animal.name" not in task.descriptions and task.descriptions["animal.x"].startswith("caf")
    assert not task.is_for_training


def test_bad_rows_are_skipped_and_counted(tmp_path: Path) -> None:
    rows = [ROW, {**ROW, "SQL": ""}, {**ROW, "db_id": "gone"}, {**ROW, "db_id": "../zoo"}, 5]
    make_bird(tmp_path, [{key: value for key, value in ROW.items() if key != "difficulty"}, *rows[1:]], name="train")
    reading = BirdReader(path=str(tmp_path)).read("train")
    assert reading.skipped == {
        "no SQL": 1,
        "database missing": 1,
        "a db_id that is no name": 1,
        "no question": 1,
    }
    (task,) = reading.tasks
    assert isinstance(task, SqlTask) and task.is_for_training and "difficulty" not in task.labels


@pytest.mark.parametrize("folder", ["", "MINIDEV", "minidev/MINIDEV"])
def test_mini_dev_is_read_from_the_folders_of_its_download(tmp_path: Path, folder: str) -> None:
    home = tmp_path / folder
    make_bird(home, [ROW])
    (home / "dev.json").rename(home / "mini_dev_sqlite.json")
    (task,) = BirdReader(path=str(tmp_path), heldout="mini_dev").read("heldout").tasks
    assert isinstance(task, SqlTask)
    assert (task.id, task.evidence) == ("bird-mini_dev-7", "cats have kind = 1")
    assert task.labels == {"database": "zoo", "difficulty": "simple"}
    assert task.database.location == str(home / "dev_databases" / "zoo" / "zoo.sqlite")
    assert task.descriptions["animal.kind"] == "kind of animal; 1: cat"


def test_databases_may_lie_elsewhere(tmp_path: Path) -> None:
    make_bird(tmp_path / "full", [ROW])
    (tmp_path / "questions").mkdir()
    (tmp_path / "questions" / "mini_dev_sqlite.json").write_text(json.dumps([ROW]))
    databases = str(tmp_path / "full" / "dev_databases")
    reader = BirdReader(path=str(tmp_path / "questions"), heldout="mini_dev", databases=databases)
    assert len(reader.read("heldout").tasks) == 1
    with pytest.raises(ConfigurationError, match="no directory '.*gone'; get minidev.zip"):
        BirdReader(path=str(tmp_path), heldout="mini_dev", databases=str(tmp_path / "gone")).read("heldout")
    for options in ({}, {"databases": databases}, {"heldout": "mini_dev"}):
        with pytest.raises(ConfigurationError, match="set 'heldout' to mini_dev and 'databases'"):
            BirdReader(path="hub://birdsql/bird_mini_dev", **options)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="unknown heldout 'minidev'; did you mean 'mini_dev'"):
        BirdReader(path=".", heldout="minidev")  # type: ignore[arg-type]


def test_gold_against_gold_is_right_by_every_official_metric(tmp_path: Path) -> None:
    make_bird(tmp_path, [ROW, {**ROW, "question_id": 8, "SQL": "SELECT name, kind FROM animal"}])
    with closing(sqlite3.connect(tmp_path / "dev_databases" / "zoo" / "zoo.sqlite")) as connection:
        connection.execute("INSERT INTO animal VALUES ('Tom', 1), ('Rex', 2)")
        connection.commit()
    facts = ("bird_execution", "soft_f1", "r_ves")
    environment = SqlEnvironment(executor=ExecutorSettings(facts=facts, workers=1))
    tasks = load_tasks(BirdReader(path=str(tmp_path)), environment, "heldout").tasks
    golds = [(task, Transcript.of(environment.reference(task))) for task in tasks]  # type: ignore[arg-type]
    assert len(golds) == 2
    for verdict in environment.judge(golds):
        assert isinstance(verdict, SqlVerdict) and verdict.is_correct
        assert (verdict.metrics["bird_execution"], verdict.metrics["soft_f1"]) == (1.0, 1.0)
        # A measured time: gold and gold take about as long as each other, so it is one of the steps around 1.
        assert verdict.metrics["r_ves"] in (0.75, 1.0, 1.25)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="lacks 'dev.json', 'dev_databases'; get dev.zip from https://bird"):
        BirdReader(path=str(tmp_path)).read("heldout")
    with pytest.raises(ConfigurationError, match="lacks 'mini_dev_sqlite.json', 'dev_databases'; get minidev.zip"):
        BirdReader(path=str(tmp_path), heldout="mini_dev").read("heldout")
    make_bird(tmp_path, [])
    with pytest.raises(ConfigurationError, match="no usable row"):
        BirdReader(path=str(tmp_path)).read("heldout")
