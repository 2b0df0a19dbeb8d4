"""Spider's official test suite: an answer counts when it agrees with the gold on every database that is distributed."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from data.registry import load_tasks
from data.spider import SpiderReader
from envs.errors import ConfigurationError
from envs.sql.databases.database import Database
from envs.sql.environment import SqlEnvironment
from envs.sql.executor.settings import ExecutorSettings
from envs.sql.judge import SqlVerdict
from envs.sql.task import SqlTask
from envs.transcript import Transcript
from rewards.registry import component

FACTS = ("spider_test_suite", "spider_execution")


def make_database(file: Path, rows: list[tuple[str | None, int]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("CREATE TABLE animal (name TEXT, age INT)")
        connection.executemany("INSERT INTO animal VALUES (?, ?)", rows)
        connection.commit()


@pytest.fixture(scope="module")
def suites(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The distribution. ``zoo`` has the database itself, two fuzzed ones, and what is no database; another one of
    ``half`` has other tables, of ``broken`` no tables at all."""
    home = tmp_path_factory.mktemp("database")
    make_database(home / "zoo" / "zoo.sqlite", [("Tom", 3), ("Rex", 5)])
    make_database(home / "zoo" / "fuzz_1.sqlite", [("Tom", 3), ("Tom", 3), (None, 7), ("Rex", 2)])
    make_database(home / "zoo" / "fuzz_2.sqlite", [])
    (home / "zoo" / "schema.sql").write_text("CREATE TABLE animal (name TEXT, age INT);")
    for name in ("half", "broken", "changing"):
        make_database(home / name / f"{name}.sqlite", [("Rex", 5)])
    with closing(sqlite3.connect(home / "half" / "other.sqlite")) as connection:
        connection.execute("CREATE TABLE plant (name TEXT)")
    (home / "broken" / "other.sqlite").write_bytes(b"no database" * 100)
    return home


def environment(suites: Path) -> SqlEnvironment:
    executor = ExecutorSettings(facts=FACTS, spider_test_suite=str(suites), suite=None, workers=1)
    return SqlEnvironment(executor=executor)


def task_of(suites: Path, gold: str, name: str = "zoo") -> SqlTask:
    database = Database.at(suites / name / f"{name}.sqlite")
    return SqlTask(id="1", question="?", database=database, gold=gold)


def measured(suites: Path, gold: str, *answers: str, name: str = "zoo") -> list[float | None]:
    """The component's value for each answer; all of them can be judged."""
    own, task = environment(suites), task_of(suites, gold, name)
    verdicts = own.judge([(task, Transcript.of(answer)) for answer in answers])
    assert all(verdict.unjudged is None for verdict in verdicts)
    return [component(own, "spider_test_suite").measure(verdict) for verdict in verdicts]


@pytest.mark.parametrize(
    ("gold", "answer", "expected"),
    [
        ("SELECT name FROM animal WHERE age > 4", "SELECT name FROM animal WHERE NOT age <= 4", 1.0),
        # The same on the database, another on the first fuzzed one.
        ("SELECT name FROM animal WHERE age > 4", "SELECT name FROM animal WHERE name = 'Rex'", 0.0),
        ("SELECT count(*) FROM animal", "SELECT count(name) FROM animal", 0.0),
        # Columns in any order; rows in order where the gold has an order.
        ("SELECT name, age FROM animal", "SELECT age, name FROM animal ORDER BY age DESC", 1.0),
        ("SELECT age FROM animal ORDER BY age", "SELECT age FROM animal ORDER BY age DESC", 0.0),
        # DISTINCT is taken out of both, and what was written apart is joined.
        ("SELECT DISTINCT name FROM animal WHERE age >= 3", "SELECT name FROM animal WHERE age > = 3", 1.0),
        # It runs on none, or returns too much.
        ("SELECT name FROM animal", "SELECT nme FROM animal", 0.0),
        ("SELECT name FROM animal", "SELECT name FROM animal, animal AS again", 0.0),
        ("SELECT name FROM animal", "DELETE FROM animal", 0.0),
        ("SELECT name FROM animal", "", 0.0),
    ],
)
def test_an_answer_counts_when_it_agrees_on_every_database(
    suites: Path, gold: str, answer: str, expected: float
) -> None:
    assert measured(suites, gold, answer, gold) == [expected, 1.0]


def test_a_database_alone_is_not_enough(suites: Path) -> None:
    task = task_of(suites, "SELECT name FROM animal WHERE age > 4")
    (verdict,) = environment(suites).judge([(task, Transcript.of("SELECT name FROM animal WHERE name = 'Rex'"))])
    assert isinstance(verdict, SqlVerdict)
    assert verdict.metrics == {"spider_execution": 1.0, "spider_test_suite": 0.0}


def test_the_suites_databases_are_not_written_to(suites: Path) -> None:
    before = {file: file.read_bytes() for file in (suites / "zoo").iterdir()}
    measured(suites, "SELECT name FROM animal", "INSERT INTO animal VALUES ('x', 1)", "PRAGMA user_version = 5")
    assert {file: file.read_bytes() for file in (suites / "zoo").iterdir()} == before


def test_a_database_that_changes_is_read_anew(suites: Path) -> None:
    file = suites / "changing" / "fuzz.sqlite"
    make_database(file, [("Rex", 5)])
    gold = "SELECT name FROM animal WHERE age > 4"
    assert measured(suites, gold, "SELECT name FROM animal", name="changing") == [1.0]
    file.unlink()
    make_database(file, [("Rex", 5), ("Tom", 3)])
    assert measured(suites, gold, "SELECT animal.name FROM animal", name="changing") == [0.0]


def test_a_gold_that_does_not_run_on_a_database_has_no_verdict(suites: Path) -> None:
    gold = "SELECT name FROM animal"
    assert measured(suites, gold, f"{gold} WHERE age = 5", name="half") == [None]


def test_a_suite_that_cannot_be_read_leaves_the_answer_unjudged(suites: Path) -> None:
    task = task_of(suites, "SELECT name FROM animal", "broken")
    (verdict,) = environment(suites).judge([(task, Transcript.of("SELECT name FROM animal WHERE age = 5"))])
    assert verdict.unjudged is not None and "other.sqlite" in verdict.unjudged


def test_without_its_directory_the_fact_is_refused_with_where_to_get_it(tmp_path: Path, suites: Path) -> None:
    for directory, message in [(None, "needs environment.options"), (str(tmp_path / "gone"), "no directory '.*gone'")]:
        with pytest.raises(ConfigurationError, match=f"{message}.*https://github.com/taoyds/test-suite-sql-eval"):
            ExecutorSettings(facts=FACTS, spider_test_suite=directory)
    with pytest.raises(ConfigurationError, match="facts do not hold 'spider_test_suite'"):
        ExecutorSettings(spider_test_suite=str(suites))
    with pytest.raises(ConfigurationError, match="facts to hold 'spider_test_suite'"):
        component(SqlEnvironment(), "spider_test_suite")


def test_databases_without_a_suite_are_all_named_when_tasks_are_loaded(suites: Path, tmp_path: Path) -> None:
    rows = []
    for name in ("zoo", "farm", "ark"):
        make_database(tmp_path / "database" / name / f"{name}.sqlite", [("Rex", 5)])
        rows.append(f'{{"db_id": "{name}", "question": "?", "query": "SELECT name FROM animal"}}')
    (tmp_path / "dev.json").write_text(f"[{', '.join(rows)}]")
    with pytest.raises(ConfigurationError) as caught:
        load_tasks(SpiderReader(path=str(tmp_path)), environment(suites), "heldout")
    assert "lacks 'ark/*.sqlite', 'farm/*.sqlite'; get the test suites as https://" in str(caught.value)


def test_spiders_golds_are_right_by_every_official_metric(dataset_directory: Callable[[str, str], Path]) -> None:
    spider = dataset_directory("spider", "tables.json")
    facts = ("spider_test_suite", "spider_execution", "spider_exact_match", "bird_execution", "soft_f1")
    # The databases themselves stand in for their suites: none is distributed with the questions.
    executor = ExecutorSettings(facts=facts, spider_test_suite=str(spider / "database"), suite=None, workers=1)
    own = SqlEnvironment(executor=executor)
    tasks = [task for task in SpiderReader(path=str(spider)).read("heldout").tasks if isinstance(task, SqlTask)][::10]
    verdicts = own.judge([(task, Transcript.of(own.reference(task))) for task in tasks])
    assert len(verdicts) == 98
    assert {
        task.id: getattr(verdict, "metrics", None)
        for task, verdict in zip(tasks, verdicts, strict=True)
        if not isinstance(verdict, SqlVerdict) or verdict.metrics != dict.fromkeys(facts, 1.0)
    } == {}
