"""Loading tasks by a configuration: what is refused, what is skipped and counted, and rows that come from the hub."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from data.reader import Reading, Split
from data.registry import READERS, DataConfig, load_tasks, make_reader
from data.source import hub_rows, json_lines
from envs.environment import Environment
from envs.errors import ConfigurationError
from envs.math.task import MathTask
from envs.registry import EnvironmentConfig, make_environment
from envs.sql.task import SqlTask


def environment(name: str) -> Environment[Any]:
    """An environment with its default options."""
    return make_environment(EnvironmentConfig(name=name))


def refusal(reader: str, options: dict[str, Any], name: str = "json") -> str:
    """The line with which a reader's configuration is refused."""
    with pytest.raises(ConfigurationError) as caught:
        make_reader(DataConfig(reader=reader, options=options), environment(name))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def load(reader: str, options: dict[str, Any], name: str, split: Split = "train") -> Reading:
    """The tasks that a configuration gives."""
    own = environment(name)
    return load_tasks(make_reader(DataConfig(reader=reader, options=options), own), own, split)


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    """A JSON-lines file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def spider_directory(directory: Path, databases: dict[str, bytes | None]) -> Path:
    """Spider's layout with two questions a database; its bytes, or None for a good one."""
    rows = []
    for name, content in databases.items():
        path = directory / "database" / name / f"{name}.sqlite"
        path.parent.mkdir(parents=True)
        if content is not None:
            path.write_bytes(content)
        else:
            with sqlite3.connect(path) as connection:
                connection.execute("CREATE TABLE city (name TEXT, people INTEGER)")
                connection.execute("INSERT INTO city VALUES ('Oslo', 700000)")
            connection.close()
        for query in ("SELECT name FROM city", "SELECT people FROM city"):
            rows.append({"db_id": name, "question": "Which?", "query": query})
    for file in ("train_spider.json", "dev.json"):
        (directory / file).write_text(json.dumps(rows))
    return directory


def test_an_unknown_reader_names_the_nearest_and_all_known_ones() -> None:
    message = refusal("bundled_jsn", {})
    assert "unknown reader 'bundled_jsn'; did you mean 'bundled_json'?" in message
    assert all(name in message for name in READERS)


@pytest.mark.parametrize(
    ("reader", "options", "names"),
    [
        ("bundled_json", {"exmples": 1}, ["'exmples'", "did you mean 'examples'?", "difficulties"]),
        ("bundled_json", {5: 1}, ["'5'"]),
        ("bundled_json", {"examples": "two"}, ["'bundled_json'", "'examples' is 'two'", "an integer"]),
        ("bundled_json", {"difficulties": "easy"}, ["'difficulties' is 'easy'", "a list"]),
        ("schema_instances", {}, ["'schema_instances' needs the option 'path'"]),
        ("schema_instances", {"path": None}, ["'schema_instances' needs the option 'path'"]),
        ("schema_instances", {"path": 5}, ["'path' is '5'", "text"]),
    ],
)
def test_an_option_that_means_nothing_is_refused(reader: str, options: dict[str, Any], names: list[str]) -> None:
    message = refusal(reader, options)
    assert all(name in message for name in names), message


def test_an_environments_options_are_held_against_their_types_too() -> None:
    with pytest.raises(ConfigurationError, match="'schema_style' is 'compct'; expected 'json' or 'compact'"):
        make_environment(EnvironmentConfig(name="json", options={"schema_style": "compct"}))
    with pytest.raises(ConfigurationError, match="'secnds' in 'executor.limits'; did you mean 'seconds'"):
        make_environment(EnvironmentConfig(name="sql", options={"executor": {"limits": {"secnds": 1}}}))
    with pytest.raises(ConfigurationError, match="unknown environment 'sq1'; did you mean 'sql'"):
        make_environment(EnvironmentConfig(name="sq1"))


def test_a_reader_of_another_environments_tasks_is_refused() -> None:
    assert "'math', not 'json'" in refusal("bundled_math", {}, name="json")


def test_a_task_with_a_wrong_gold_is_left_out_and_counted() -> None:
    class Golds:
        """Three questions, one of them with a gold that the judge does not accept."""

        environment = "math"

        def read(self, split: Split) -> Reading:
            tasks = [MathTask(id=str(number), question="?", gold=gold) for number, gold in enumerate(("1", "2", ""))]
            return Reading(tasks=tasks)

    reading = load_tasks(Golds(), environment("math"), "train")
    assert [task.id for task in reading.tasks] == ["0", "1"]
    assert sum(reading.skipped.values()) == 1


def test_a_task_without_a_gold_stays(tmp_path: Path) -> None:
    write_rows(tmp_path / "train.jsonl", [{"schema": {"type": "integer"}, "instance": 5}])
    assert len(load("schema_instances", {"path": str(tmp_path)}, "json").tasks) == 1


@pytest.mark.parametrize(
    "content", [b"no database at all, but long enough to hold a header" * 4, b"SQLite format 3\0" * 9]
)
def test_rows_of_a_corrupt_database_are_skipped_and_counted_and_others_stay(tmp_path: Path, content: bytes) -> None:
    directory = spider_directory(tmp_path / "spider", {"good": None, "bad": content})
    reading = load("spider", {"path": str(directory)}, "sql")
    assert [task.database.name for task in reading.tasks if isinstance(task, SqlTask)] == ["good", "good"]
    assert sum(reading.skipped.values()) == 2
    assert "corrupt" in next(iter(reading.skipped))


def test_rows_whose_gold_does_not_run_are_skipped_and_counted(tmp_path: Path) -> None:
    directory = spider_directory(tmp_path / "spider", {"good": None})
    rows = json.loads((directory / "dev.json").read_text())
    (directory / "dev.json").write_text(json.dumps([*rows, {**rows[0], "query": "SELECT nothing FROM city"}]))
    reading = load("spider", {"path": str(directory)}, "sql", "heldout")
    assert len(reading.tasks) == 2 and sum(reading.skipped.values()) == 1


def test_when_every_row_is_bad_the_error_says_why(tmp_path: Path) -> None:
    directory = spider_directory(tmp_path / "spider", {"bad": b"\0" * 4096, "worse": b"x" * 500})
    with pytest.raises(ConfigurationError) as caught:
        load("spider", {"path": str(directory)}, "sql")
    assert "corrupt" in str(caught.value) and "4" in str(caught.value) and "\n" not in str(caught.value)
    directory = spider_directory(tmp_path / "golds", {"good": None})
    (directory / "dev.json").write_text(
        json.dumps([{"db_id": "good", "question": "Which?", "query": "SELECT x FROM y"}])
    )
    with pytest.raises(ConfigurationError, match="split 'heldout' has no usable task: 1 x"):
        load("spider", {"path": str(directory)}, "sql", "heldout")


@pytest.mark.parametrize(
    "line", [b"{", b"\xff\xfe", b"[" * 100_000, b"1" * 5000], ids=["cut", "not utf-8", "nested", "long integer"]
)
def test_a_line_that_is_not_json_is_named_by_file_and_number(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"a": 1}\n\n' + line + b"\n")
    rows = json_lines(path)
    assert next(rows) == {"a": 1}
    with pytest.raises(ConfigurationError, match=r"rows\.jsonl', line 3: not JSON"):
        next(rows)


def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        list(json_lines(tmp_path))


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub's library with an empty cache and no network."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_OFFLINE", True)


@pytest.mark.usefixtures("offline")
def test_what_follows_the_hub_prefix_may_be_a_folder(tmp_path: Path) -> None:
    rows = [{"question": f"What is {number} + 1?", "answer": f"#### {number + 1}"} for number in range(3)]
    write_rows(tmp_path / "gsm8k" / "train.jsonl", rows)
    write_rows(tmp_path / "gsm8k" / "test.jsonl", rows[:2])
    options = {"path": f"hub://{tmp_path / 'gsm8k'}", "subset": "default"}
    assert [len(load("gsm8k", options, "math", split).tasks) for split in ("train", "heldout")] == [3, 2]
    direct = load("gsm8k", {"path": str(tmp_path / "gsm8k")}, "math").tasks
    assert list(load("gsm8k", options, "math").tasks) == list(direct)


@pytest.mark.usefixtures("offline")
def test_a_hub_dataset_that_cannot_be_loaded_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "train.jsonl").write_text("{not json}\n")
    write_rows(tmp_path / "fine" / "train.jsonl", [{"a": 1}])
    for path, split, names in [
        (str(tmp_path / "missing"), "train", ["missing"]),
        (str(tmp_path / "broken"), "train", ["broken"]),
        (str(tmp_path / "fine"), "validation", ["fine", "validation"]),
    ]:
        with pytest.raises(ConfigurationError) as caught:
            list(hub_rows(f"hub://{path}", split))
        message = str(caught.value)
        assert "\n" not in message and all(name in message for name in names), message
