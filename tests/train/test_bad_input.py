"""What a user gets wrong: one line that names the thing and the remedy, exit code 2, nothing written."""

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from accelerate import PartialState

from train import experiment

Arguments = Callable[..., list[str]]


@pytest.fixture
def refusal(small_arguments: Arguments, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Returns a function that runs a refused command line and returns the one line it printed."""
    from train.grpo import main

    def refuse(config: str, *more: str) -> str:
        with pytest.raises(SystemExit) as exit_:
            main(small_arguments(config, *more))
        assert exit_.value.code == 2
        printed = [line for line in capsys.readouterr().err.splitlines() if line.startswith("structrl: ")]
        assert len(printed) == 1
        assert not (tmp_path / "runs").exists(), "something was written"
        return printed[0]

    return refuse


def test_an_unknown_key_names_the_nearest_known_one(refusal: Callable[..., str]) -> None:
    assert "'lerning_rate' in 'trainer'; did you mean 'learning_rate'?" in refusal(
        "json.yaml", "--trainer.lerning_rate", "1e-5"
    )
    assert "did you mean 'heldout'?" in refusal("json.yaml", "--heldot.tasks", "3")


def test_an_unknown_environment_reward_or_metric_is_named_with_the_known_ones(refusal: Callable[..., str]) -> None:
    assert "unknown environment 'sq1'; did you mean 'sql'?; known: json, math, sql" in refusal(
        "sql.yaml", "--environment.name", "sq1"
    )
    assert "'vaild'; did you mean 'valid'?" in refusal("json.yaml", "--reward.parts", "{vaild: {weight: 1}}")
    assert "'exact'" in refusal("json.yaml", "--heldout.metrics", "[exact]")


@pytest.mark.parametrize(
    ("reference", "names"),
    [
        ("./no/such/model", "no such directory"),
        ("package://no_such_package/model.gguf", "no package 'no_such_package' is installed"),
    ],
)
def test_a_model_that_does_not_exist_is_named(reference: str, names: str, refusal: Callable[..., str]) -> None:
    line = refusal("json.yaml", "--model.reference", reference)
    assert reference in line and names in line


def test_a_dataset_directory_that_lacks_a_file_names_the_file(tmp_path: Path, refusal: Callable[..., str]) -> None:
    (tmp_path / "spider").mkdir()
    line = refusal("spider.yaml", "--data.options.path", str(tmp_path / "spider"))
    assert "train_spider.json" in line and str(tmp_path / "spider") in line


def test_a_dataset_whose_databases_are_all_broken_is_an_error_with_the_reason(
    tmp_path: Path, refusal: Callable[..., str]
) -> None:
    directory = spider_directory(tmp_path / "spider", good=0, broken=2)
    line = refusal("spider.yaml", "--data.options.path", str(directory))
    assert "no usable row: 2 x" in line


def test_rows_of_a_broken_database_are_skipped_and_counted_and_the_rest_trains(
    tmp_path: Path, train: Callable[..., Path]
) -> None:
    directory = spider_directory(tmp_path / "spider", good=2, broken=1)
    run = train("spider.yaml", "--data.options.path", str(directory))
    assert "2 rows left out" in (run / "report.md").read_text()  # one in each split


def test_a_prompt_longer_than_the_window_names_the_task(refusal: Callable[..., str]) -> None:
    line = refusal("json.yaml", "--heldout.max_new_tokens", "4000")
    assert "task 'json-" in line and "window of 4096" in line


def test_a_directory_that_holds_a_run_is_left_alone(
    small_arguments: Arguments, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from train.grpo import main

    run = tmp_path / "runs" / "run"
    run.mkdir(parents=True)
    (run / "config.yaml").write_text("name: run\n")
    with pytest.raises(SystemExit) as exit_:
        main(small_arguments("json.yaml"))
    assert exit_.value.code == 2
    assert "already holds a run; pass --resume" in capsys.readouterr().err
    assert [path.name for path in run.iterdir()] == ["config.yaml"]


def test_a_trainer_field_that_would_be_ignored_is_refused_with_the_reason(refusal: Callable[..., str]) -> None:
    assert "another distribution" in refusal("json.yaml", "--trainer.top_p", "0.9")
    assert "set tracking.wandb" in refusal("json.yaml", "--trainer.report_to", "wandb")


def test_online_tracking_without_a_key_is_refused_before_anything_starts(
    refusal: Callable[..., str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert "WANDB_API_KEY" in refusal("json.yaml", "--tracking.wandb", "online")


def spider_directory(directory: Path, *, good: int, broken: int) -> Path:
    """A dataset in Spider's layout with one question a database and split; broken databases are zeros."""
    import json

    rows = []
    for index in range(good + broken):
        name = f"database_{index}"
        folder = directory / "database" / name
        folder.mkdir(parents=True)
        if index < good:
            with sqlite3.connect(folder / f"{name}.sqlite") as connection:
                connection.execute("CREATE TABLE singer (name TEXT, age INTEGER)")
                connection.execute("INSERT INTO singer VALUES ('Ada', 36)")
            connection.close()
        else:
            (folder / f"{name}.sqlite").write_bytes(b"\0" * 4096)
        rows.append({"db_id": name, "question": "How old is Ada?", "query": "SELECT age FROM singer"})
    for file in ("train_spider.json", "dev.json"):
        (directory / file).write_text(json.dumps(rows))
    (directory / "tables.json").write_text("[]")
    shutil.copy(directory / "dev.json", directory / "train_others.json")
    return directory


@pytest.mark.parametrize(
    ("flags", "names"),
    [
        (["--reward.parts", "{correct: {weight: null}}"], "'reward.parts' lacks 'weight'"),
        (["--reward.clamp", "{wrong_at_most: 0.4}"], "'reward.clamp' lacks 'right_at_least'"),
        (["--reward.clamp", "{wrong_at_most: 0.6, right_at_least: 0.5}"], "wrong_at_most < right_at_least"),
        (
            ["--reward.parts", "{correct: {weight: 1, schedule: [{step: 0.5, factor: 1}]}}"],
            "'step' is '0.5'; expected an integer",
        ),
        (
            ["--reward.parts", "{valid: {weight: 1, pace: {part: correct, opens_at: 1, full_at: 0}}}"],
            "pace of 'correct': opens_at is 1.0",
        ),
        (["--reward.parts", "{length: {weight: 1}}"], "'length' needs the option 'limit'"),
        (["--reward.parts", "{length: {weight: 1, options: {limt: 5}}}"], "'limt' of reward 'length'; did you mean"),
        (["--reward", "no/such/file.yaml"], "'reward' is 'no/such/file.yaml'; expected a section of keys, or a file"),
        (["--reward.normalization", "parts", "--trainer.scale_rewards", "none"], "trainer.scale_rewards='none'"),
        (["--trainer.restore_callback_states_from_checkpoint", "true"], "always restored"),
    ],
)
def test_a_reward_that_cannot_be_meant_is_refused_with_its_key(
    flags: list[str], names: str, refusal: Callable[..., str]
) -> None:
    assert names in refusal("json.yaml", *flags)


@pytest.mark.parametrize(
    ("flags", "names"),
    [
        (["--trainer.temperature", "2.5"], "trainer.temperature with rollout.engine 'vllm'"),
        (["--rollout.vllm", "{max_model_len: 20}"], "rollout.vllm.max_model_len is 20: task 'json-"),
    ],
)
def test_what_vllm_cannot_do_is_refused_before_it_is_loaded(
    flags: list[str], names: str, refusal: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(experiment, "make_vllm", lambda *arguments: pytest.fail("vLLM was loaded"))
    assert names in refusal("json.yaml", "--rollout.engine", "vllm", *flags)


def test_a_second_process_beside_vllm_is_refused_before_it_is_loaded(
    refusal: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(experiment, "make_vllm", lambda *arguments: pytest.fail("vLLM was loaded"))
    own = experiment.load_tokenizer

    def of_two_processes(*arguments: Any) -> Any:
        monkeypatch.setitem(PartialState._shared_state, "num_processes", 2)
        return own(*arguments)

    monkeypatch.setattr(experiment, "load_tokenizer", of_two_processes)
    assert "one training process, and there are 2" in refusal("json.yaml", "--rollout.engine", "vllm")
