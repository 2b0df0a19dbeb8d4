"""The SQL environment's options, what it shows a model, and Spider's golds through all of it."""

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from data.spider import SpiderReader
from envs.environment import HasTokenBudget
from envs.errors import ConfigurationError
from envs.registry import EnvironmentConfig, make_environment
from envs.sql.databases.database import Database
from envs.sql.environment import SqlEnvironment
from envs.sql.task import SqlTask
from envs.transcript import Transcript


def task_of(database: Path, evidence: str = "") -> SqlTask:
    return SqlTask(
        id="1", question="How old is Ada?", database=Database.at(database), gold="SELECT 30", evidence=evidence
    )


def test_the_prompt_holds_question_schema_and_evidence(database: Path) -> None:
    system, user = SqlEnvironment().prompt(task_of(database, evidence="Age is in years."))
    assert (system["role"], user["role"]) == ("system", "user")
    assert "SQLite" in system["content"]
    for part in ("CREATE TABLE singer", "Age is in years.", "How old is Ada?"):
        assert part in user["content"]
    assert "Evidence" not in SqlEnvironment().prompt(task_of(database))[1]["content"]


def test_by_default_the_environment_is_single_turn(database: Path) -> None:
    environment = SqlEnvironment()
    assert environment.stops == ()
    assert environment.observe(task_of(database), Transcript.of("SELECT 1")) is None


def test_only_sqlite_has_a_grammar(database: Path) -> None:
    environment = SqlEnvironment()
    assert environment.grammar(task_of(database)) is not None
    other = SqlTask(id="1", question="?", database=Database.at("postgresql://nobody@nowhere/x"), gold="SELECT 1")
    assert environment.grammar(other) is None


def test_options_come_from_a_configuration() -> None:
    executor = {"limits": {"rows": 7}, "suite": {"instances": 3, "candidates": 9}, "workers": 1}
    options = {"sample_values": 0, "schema_tokens": 900, "executor": executor}
    environment = make_environment(EnvironmentConfig(name="sql", options=options))
    assert isinstance(environment, SqlEnvironment)
    assert (environment.sample_values, environment.schema_tokens) == (0, 900)
    assert (environment.executor.limits.rows, environment.executor.limits.seconds) == (7, 5.0)
    assert environment.executor.suite is not None and environment.executor.suite.instances == 3
    assert pickle.loads(pickle.dumps(environment)) == environment
    without = make_environment(EnvironmentConfig(name="sql", options={"executor": {"suite": None}}))
    assert isinstance(without, SqlEnvironment) and without.executor.suite is None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"executor": {"limits": {"row": 7}}}, "rows"),
        ({"executor": {"limits": {"rows": -1}}}, "rows"),
        ({"executor": {"worker": 2}}, "workers"),
        ({"executor": {"suite": {"instance": 2}}}, "instances"),
        ({"executor": {"suite": {"instances": 0}}}, "'instances' is 0"),
        ({"executor": {"facts": ["parsd"]}}, "did you mean 'parsed'"),
        ({"sample_values": -1}, "sample_values"),
        ({"schema_tokens": 0}, "schema_tokens"),
        ({"observation_rows": -1}, "observation_rows"),
        ({"count_tokens": "os.system"}, "count_tokens"),
    ],
)
def test_a_wrong_option_is_named(options: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        make_environment(EnvironmentConfig(name="sql", options=options))


def test_a_prompt_over_a_missing_database_names_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="gone.sqlite"):
        SqlEnvironment().prompt(task_of(tmp_path / "gone.sqlite"))


def test_the_token_counter_changes_what_is_shown_and_nothing_else(database: Path) -> None:
    environment = SqlEnvironment(schema_tokens=20)
    assert isinstance(environment, HasTokenBudget)
    roomy = environment.with_token_counter(lambda text: 1)
    assert roomy == environment
    assert "not shown" not in roomy.prompt(task_of(database))[1]["content"]
    assert "not shown" in environment.prompt(task_of(database))[1]["content"]


def test_environments_with_equal_settings_share_their_workers() -> None:
    assert SqlEnvironment(sample_values=1).pool is SqlEnvironment(sample_values=2).pool


def test_the_gold_of_every_spider_question_is_correct(dataset_directory: Callable[[str, str], Path]) -> None:
    tasks = SpiderReader(path=str(dataset_directory("spider", "tables.json"))).read("heldout").tasks
    environment = SqlEnvironment()
    verdicts = environment.judge([(task, Transcript.of(environment.reference(task))) for task in tasks])
    wrong = [verdict for verdict in verdicts if not verdict.is_correct]
    # What no test database can tell from a query that returns nothing is left out at load; all else is right.
    assert all(verdict.unjudged is not None and "empty" in verdict.unjudged for verdict in wrong)
    assert len(wrong) <= 5
    assert all(environment.prompt(task) for task in tasks)
