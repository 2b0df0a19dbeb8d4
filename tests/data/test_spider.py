"""Reading Spider: the real files, and directories with every defect."""

import json
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from data.spider import SpiderReader, grade
from envs.errors import ConfigurationError
from envs.sql.databases.database import Database
from envs.sql.metrics.spider_schema import SpiderSchema
from envs.sql.task import SqlTask

ROW = {"db_id": "zoo", "question": "How many animals?", "query": "SELECT count(*) FROM animal"}


def make_spider(home: Path, rows: list[object], databases: tuple[str, ...] = ("zoo",)) -> None:
    (home / "dev.json").write_text(json.dumps(rows))
    (home / "database").mkdir()
    for name in databases:
        (home / "database" / name).mkdir()
        with closing(sqlite3.connect(home / "database" / name / f"{name}.sqlite")) as connection:
            connection.execute("CREATE TABLE animal (name TEXT)")


def test_the_real_dataset_is_read_in_full(dataset_directory: Callable[[str, str], Path]) -> None:
    reading = SpiderReader(path=str(dataset_directory("spider", "tables.json"))).read("heldout")
    assert len(reading.tasks) == 972
    assert not reading.skipped
    assert len({task.id for task in reading.tasks}) == 972
    # As the official evaluation script grades these 972 questions.
    difficulties = Counter(task.labels["difficulty"] for task in reading.tasks)
    assert difficulties == {"easy": 232, "medium": 416, "hard": 160, "extra": 164}


def test_a_row_becomes_a_task(tmp_path: Path) -> None:
    make_spider(tmp_path, [ROW])
    (task,) = SpiderReader(path=str(tmp_path)).read("heldout").tasks
    assert task.id == "spider-heldout-0"
    assert task.labels == {"database": "zoo", "difficulty": "easy"}
    assert (task.question, task.gold) == (ROW["question"], ROW["query"])
    assert isinstance(task, SqlTask)
    assert task.database == Database.at(tmp_path / "database" / "zoo" / "zoo.sqlite")
    assert not task.is_for_training and task.descriptions == {}


def test_readable_names_become_descriptions_and_train_tasks_say_so(tmp_path: Path) -> None:
    make_spider(tmp_path, [ROW])
    (tmp_path / "dev.json").rename(tmp_path / "train_spider.json")
    entry = {
        "db_id": "zoo",
        "table_names_original": ["animal"],
        "table_names": ["animals of the zoo"],
        "column_names_original": [[-1, "*"], [0, "name"]],
        "column_names": [[-1, "*"], [0, "given name"]],
    }
    (tmp_path / "tables.json").write_text(json.dumps([entry]))
    (task,) = SpiderReader(path=str(tmp_path)).read("train").tasks
    assert isinstance(task, SqlTask) and task.is_for_training
    assert task.descriptions == {"animal": "animals of the zoo", "animal.name": "given name"}


def test_bad_rows_are_skipped_and_counted(tmp_path: Path) -> None:
    rows = [ROW, {**ROW, "db_id": "gone"}, {**ROW, "db_id": "broken"}, {**ROW, "db_id": "empty"}]
    rows += [{**ROW, "query": ""}, {**ROW, "question": None}, {**ROW, "db_id": "../zoo"}, "no row", {}]
    make_spider(tmp_path, rows, databases=("zoo", "broken", "empty"))
    (tmp_path / "database" / "broken" / "broken.sqlite").write_bytes(b"no database" * 100)
    (tmp_path / "database" / "empty" / "empty.sqlite").write_bytes(b"")
    reading = SpiderReader(path=str(tmp_path)).read("heldout")
    assert [task.id for task in reading.tasks] == ["spider-heldout-0"]
    assert reading.skipped == {
        "database missing": 1,
        "database corrupt or locked": 2,
        "no query": 1,
        "no question": 3,
        "a db_id that is no name": 1,
    }


def test_no_usable_row_is_an_error_with_the_reasons(tmp_path: Path) -> None:
    make_spider(tmp_path, [ROW, ROW], databases=())
    with pytest.raises(ConfigurationError, match="2 x database missing"):
        SpiderReader(path=str(tmp_path)).read("heldout")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    make_spider(tmp_path, [ROW])
    with pytest.raises(ConfigurationError, match="train_spider.json"):
        SpiderReader(path=str(tmp_path)).read("train")
    with pytest.raises(ConfigurationError, match="nowhere"):
        SpiderReader(path=str(tmp_path), databases=str(tmp_path / "nowhere")).read("heldout")


@pytest.mark.parametrize("text", ["{", '{"a": 1}'])
def test_a_file_that_is_no_list_of_rows_is_named(tmp_path: Path, text: str) -> None:
    make_spider(tmp_path, [])
    (tmp_path / "dev.json").write_text(text)
    with pytest.raises(ConfigurationError, match="dev.json"):
        SpiderReader(path=str(tmp_path)).read("heldout")


def test_hub_questions_need_a_directory_of_databases() -> None:
    with pytest.raises(ConfigurationError, match="databases"):
        SpiderReader(path="hub://xlangai/spider")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT name FROM t WHERE a = 1", "easy"),
        ("SELECT count(*), name FROM t GROUP BY name", "medium"),
        ("SELECT name FROM t JOIN u ON t.a = u.a WHERE b = 1", "medium"),
        ("SELECT a FROM t GROUP BY a HAVING count(*) > 1", "easy"),
        ("SELECT a FROM t GROUP BY a HAVING count(*) > 1 AND max(b) < 2 AND min(b) > 0", "medium"),
        ("SELECT name FROM t WHERE a IN (SELECT a FROM u)", "hard"),
        ("SELECT name FROM t EXCEPT SELECT name FROM u", "hard"),
        ("SELECT name FROM t JOIN u ON t.a = u.a WHERE b = 1 OR c = 2 ORDER BY d LIMIT 1", "extra"),
        ("SELECT (", "unknown"),
        ("DROP TABLE t", "unknown"),
    ],
)
def test_difficulty_follows_the_official_rules(query: str, expected: str) -> None:
    columns = ("name", "a", "b", "c", "d")
    assert grade(query, SpiderSchema(tables={"t": columns, "u": columns})) == expected


@pytest.mark.parametrize("entry", [{"db_id": "zoo", "table_names_original": 5}, {}, "zoo", {"db_id": ["zoo"]}])
def test_readable_names_in_another_layout_are_an_error_that_names_the_file(tmp_path: Path, entry: object) -> None:
    make_spider(tmp_path, [ROW])
    (tmp_path / "tables.json").write_text(json.dumps([entry]))
    with pytest.raises(ConfigurationError, match="tables.json"):
        SpiderReader(path=str(tmp_path)).read("heldout")
