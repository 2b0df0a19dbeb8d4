"""Reading BIRD's layout: questions with evidence, column descriptions, rows with defects."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from data.bird import BirdReader
from envs.errors import ConfigurationError
from envs.sql.task import SqlTask

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


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="dev.json"):
        BirdReader(path=str(tmp_path)).read("heldout")
    make_bird(tmp_path, [])
    with pytest.raises(ConfigurationError, match="no usable row"):
        BirdReader(path=str(tmp_path)).read("heldout")
