"""What the SQL environment shows a model, and the options that it takes."""

import pickle
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from data.spider import SpiderReader
from envs.errors import ConfigurationError
from envs.registry import EnvironmentConfig, make_environment
from envs.sql.environment import SqlEnvironment
from envs.sql.prompt import render_schema
from envs.sql.task import SqlTask
from envs.transcript import Transcript


def task_of(database: Path, evidence: str = "") -> SqlTask:
    return SqlTask(id="1", question="How old is Ada?", database=database, gold="SELECT 30", evidence=evidence)


def test_the_schema_shown_creates_the_same_tables(database: Path) -> None:
    with closing(sqlite3.connect(":memory:")) as copy, closing(sqlite3.connect(database)) as original:
        copy.executescript("\n\n".join(part for part in render_schema(database, 2).split("\n\n") if "VIEW" not in part))
        for table in ("singer", "concert", "order"):
            for pragma in ("table_info", "foreign_key_list"):
                query = f'PRAGMA {pragma}("{table}")'
                assert copy.execute(query).fetchall() == original.execute(query).fetchall()


def test_the_schema_shows_as_many_sample_values_as_asked_for(database: Path) -> None:
    assert "  name TEXT,  -- 'Ada', 'Ben'\n" in render_schema(database, 2)
    assert "--" not in render_schema(database, 0)


def test_the_prompt_holds_question_schema_and_evidence(database: Path) -> None:
    system, user = SqlEnvironment().prompt(task_of(database, evidence="Age is in years."))
    assert (system["role"], user["role"]) == ("system", "user")
    for part in ("CREATE TABLE singer", "Age is in years.", "How old is Ada?"):
        assert part in user["content"]
    assert "Evidence" not in SqlEnvironment().prompt(task_of(database))[1]["content"]


def test_the_environment_is_single_turn(database: Path) -> None:
    environment = SqlEnvironment()
    assert environment.stops == ()
    assert environment.observe(task_of(database), Transcript.of("SELECT 1")) is None


def test_options_come_from_a_configuration() -> None:
    environment = make_environment(EnvironmentConfig(name="sql", options={"sample_values": 0, "limits": {"rows": 7}}))
    assert isinstance(environment, SqlEnvironment)
    assert (environment.sample_values, environment.limits.rows, environment.limits.seconds) == (0, 7, 5.0)
    assert pickle.loads(pickle.dumps(environment)) == environment


@pytest.mark.parametrize(
    ("options", "words"),
    [({"limits": {"row": 7}}, "rows"), ({"limits": {"rows": -1}}, "rows"), ({"sample_values": -1}, "sample_values")],
)
def test_a_wrong_option_is_named(options: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        make_environment(EnvironmentConfig(name="sql", options=options))


def test_a_prompt_over_a_missing_database_names_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="gone.sqlite"):
        SqlEnvironment().prompt(task_of(tmp_path / "gone.sqlite"))


def test_the_gold_of_every_spider_question_is_correct(dataset_directory: Callable[[str, str], Path]) -> None:
    tasks = SpiderReader(path=str(dataset_directory("spider", "tables.json"))).read("heldout").tasks
    environment = SqlEnvironment()
    verdicts = environment.judge([(task, Transcript.of(environment.reference(task))) for task in tasks])
    assert [verdict for verdict in verdicts if not verdict.is_correct] == []
    assert all(environment.prompt(task) for task in tasks)
