"""Reading Spider-Syn, Spider-Realistic and Spider-DK, each laid out as its download is."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from data.registry import load_tasks
from data.spider_variants import SpiderVariantsReader
from envs.errors import ConfigurationError
from envs.sql.environment import SqlEnvironment
from envs.sql.executor.settings import ExecutorSettings
from envs.sql.judge import SqlVerdict
from envs.sql.task import SqlTask
from envs.transcript import Transcript

QUERY = "SELECT count(*) FROM animal WHERE kind = 'cat'"
TABLES = {
    "table_names_original": ["animal"],
    "table_names": ["animal"],
    "column_names_original": [[-1, "*"], [0, "name"], [0, "kind"]],
}


def make_databases(home: Path, names: list[str], readable: str) -> None:
    """``tables.json`` and a database for each name."""
    columns = [[-1, "*"], [0, "name"], [0, readable]]
    home.mkdir(parents=True, exist_ok=True)
    (home / "tables.json").write_text(
        json.dumps([{**TABLES, "db_id": name, "column_names": columns} for name in names])
    )
    for name in names:
        folder = home / "database" / name
        folder.mkdir(parents=True)
        with closing(sqlite3.connect(folder / f"{name}.sqlite")) as connection:
            connection.execute("CREATE TABLE animal (name TEXT, kind TEXT)")
            connection.execute("INSERT INTO animal VALUES ('Tom', 'cat'), ('Rex', 'dog')")
            connection.commit()


def row(question: str, database: str, key: str = "question", **more: Any) -> dict[str, Any]:
    return {"db_id": database, key: question, "query": QUERY, **more}


@pytest.fixture
def downloads(tmp_path: Path) -> Path:
    """Spider and its three variants, side by side."""
    make_databases(tmp_path / "spider", ["zoo", "farm"], "kind of Spider")
    make_databases(tmp_path / "dk", ["new_zoo", "farm"], "kind of DK")
    (tmp_path / "dk" / "Spider-DK.json").write_text(
        json.dumps([row("Which?", "new_zoo", type=34), row("Whose?", "zoo", type=0), row("What?", "farm", type=2)])
    )
    synonym = row("How many felines?", "zoo", "SpiderSynQuestion", SpiderQuestion="How many cats?")
    (tmp_path / "syn" / "Spider-Syn").mkdir(parents=True)
    for file in ("dev.json", "train_spider.json"):
        (tmp_path / "syn" / "Spider-Syn" / file).write_text(json.dumps([synonym, row("How many cats?", "zoo")]))
    (tmp_path / "realistic").mkdir()
    (tmp_path / "realistic" / "spider-realistic.json").write_text(json.dumps([row("How many purr?", "zoo")]))
    return tmp_path


def read(downloads: Path, variant: Any, folder: str | None = None) -> list[SqlTask]:
    path = str(downloads / (folder or variant))
    reader = SpiderVariantsReader(variant=variant, path=path, spider=str(downloads / "spider"))
    return [task for task in reader.read("heldout").tasks if isinstance(task, SqlTask)]


@pytest.mark.parametrize("folder", ["syn", "syn/Spider-Syn"])
def test_syn_asks_the_question_with_synonyms_over_spiders_databases(downloads: Path, folder: str) -> None:
    (task,) = read(downloads, "syn", folder)
    assert (task.id, task.question) == ("spider_syn-heldout-0", "How many felines?")
    assert task.labels == {"database": "zoo", "difficulty": "easy"}
    assert task.database.location == str(downloads / "spider" / "database" / "zoo" / "zoo.sqlite")
    assert task.descriptions["animal.kind"] == "kind of Spider"


def test_a_row_without_the_variants_question_is_skipped_and_counted(downloads: Path) -> None:
    reader = SpiderVariantsReader(variant="syn", path=str(downloads / "syn"), spider=str(downloads / "spider"))
    for split in ("train", "heldout"):
        assert reader.read(split).skipped == {"no SpiderSynQuestion": 1}  # type: ignore[arg-type]
    assert all(task.is_for_training for task in reader.read("train").tasks if isinstance(task, SqlTask))


def test_realistic_asks_its_own_question_over_spiders_databases(downloads: Path) -> None:
    (task,) = read(downloads, "realistic")
    assert (task.id, task.question) == ("spider_realistic-heldout-0", "How many purr?")
    assert task.descriptions["animal.kind"] == "kind of Spider"


def test_dk_has_its_own_databases_before_spiders_and_its_own_tables_json(downloads: Path) -> None:
    tasks = read(downloads, "dk")
    homes = [Path(task.database.location).relative_to(downloads).parts[0] for task in tasks]
    assert homes == ["dk", "spider", "dk"]
    assert [task.labels["knowledge"] for task in tasks] == ["34", "0", "2"]
    assert tasks[0].descriptions["animal.kind"] == tasks[2].descriptions["animal.kind"] == "kind of DK"


@pytest.mark.parametrize("variant", ["syn", "realistic", "dk"])
def test_gold_against_gold_is_right_by_every_official_metric(downloads: Path, variant: Any) -> None:
    facts = ("spider_execution", "spider_exact_match")
    environment = SqlEnvironment(executor=ExecutorSettings(facts=facts, workers=1))
    reader = SpiderVariantsReader(variant=variant, path=str(downloads / variant), spider=str(downloads / "spider"))
    tasks = load_tasks(reader, environment, "heldout").tasks
    assert len(tasks) == len(read(downloads, variant))
    for verdict in environment.judge([(task, Transcript.of(environment.reference(task))) for task in tasks]):  # type: ignore[arg-type]
        assert isinstance(verdict, SqlVerdict) and verdict.is_correct
        assert verdict.metrics == dict.fromkeys(facts, 1.0)


def test_what_has_no_such_split_or_variant_says_so(downloads: Path) -> None:
    for variant in ("realistic", "dk"):
        reader = SpiderVariantsReader(variant=variant, path=str(downloads / variant), spider=str(downloads / "spider"))  # type: ignore[arg-type]
        with pytest.raises(ConfigurationError, match=f"spider_{variant} is for measuring"):
            reader.read("train")
    with pytest.raises(ConfigurationError, match="unknown variant 'dkk'; did you mean 'dk'"):
        SpiderVariantsReader(variant="dkk", path=".", spider=".")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("variant", "names"),
    [
        ("syn", ["'dev.json'", "https://github.com/ygan/Spider-Syn"]),
        ("realistic", ["'spider-realistic.json'", "https://zenodo.org/records/5205322"]),
        ("dk", ["'Spider-DK.json', 'tables.json', 'database'", "https://github.com/ygan/Spider-DK"]),
    ],
)
def test_all_that_is_missing_is_named_with_where_to_get_it(
    downloads: Path, tmp_path: Path, variant: Any, names: list[str]
) -> None:
    (tmp_path / "empty").mkdir()
    reader = SpiderVariantsReader(variant=variant, path=str(tmp_path / "empty"), spider=str(downloads / "spider"))
    with pytest.raises(ConfigurationError) as caught:
        reader.read("heldout")
    assert all(name in str(caught.value) for name in names), caught.value
    with pytest.raises(ConfigurationError, match="lacks 'database'; get it from https://yale-lily.github.io/spider"):
        SpiderVariantsReader(variant=variant, path=str(downloads / variant), spider=str(tmp_path / "empty")).read(
            "heldout"
        )


def test_spiders_own_questions_with_synonyms_are_read(
    dataset_directory: Callable[[str, str], Path], tmp_path: Path
) -> None:
    spider = dataset_directory("spider", "dev_syn.json")
    rows = json.loads((spider / "dev_syn.json").read_text())[:150]
    for one in rows:
        one["SpiderSynQuestion"] = one.pop("question")
    (tmp_path / "dev.json").write_text(json.dumps(rows))
    reading = SpiderVariantsReader(variant="syn", path=str(tmp_path), spider=str(spider)).read("heldout")
    assert len(reading.tasks) == len(rows) and not reading.skipped
