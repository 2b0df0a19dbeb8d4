"""Watching a run: each checkpoint is measured once, by one watcher, and the results are in the run's own wandb run."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from wandb_file import wandb_history, wandb_records

from eval import watch
from eval.curve import write_curve
from eval.evaluation_directory import held
from eval.tracking import RUN_ID_FILE
from eval.watched_run import WatchedRun, watched

RUN = {
    "name": "run",
    "model": {"reference": "base", "dtype": "float32"},
    "environment": {"name": "json", "options": {"schema_style": "compact"}},
    "data": {"reader": "bundled_json", "options": {"difficulties": ["easy"]}},
    "heldout": {"metrics": ["valid"], "tasks": 2, "max_new_tokens": 4, "decodings": {"free": {}, "greedy": {}}},
    "tracking": {"wandb": "offline", "project": "tests", "transcripts": 4},
}


def saved(directory: Path, tiny_model: Path, step: int) -> Path:
    """A model as the trainer saves it."""
    shutil.copytree(tiny_model, directory)
    (directory / "trainer_state.json").write_text(json.dumps({"global_step": step}))
    return directory


def empty_run(path: Path, **changes: Any) -> Path:
    """A run that has just begun."""
    path.mkdir(parents=True)
    (path / "config.yaml").write_text(yaml.safe_dump({**RUN, **changes}))
    return path


@pytest.fixture(scope="module")
def story(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A run that was watched: first while another watcher was at its second checkpoint, which is then deleted under
    the eyes of the next watcher, which sees the run end. And what was seen on the way."""
    run = empty_run(tmp_path_factory.mktemp("runs") / "run")
    for step in (2, 4):
        saved(run / "checkpoints" / f"checkpoint-{step}", tiny_model, step)
    (run / "checkpoints" / "checkpoint-5").mkdir()  # is being saved
    (run / RUN_ID_FILE).write_text("ab12cd34")
    seen: dict[str, Any] = {}
    arguments = ["--run", str(run), "--decoder", "greedy"]
    with held(run / "evaluations" / ".checkpoint-4.lock", "checkpoint-4"):
        watch.main([*arguments, "--once"])
    seen["after the first"] = sorted(path.parent.name for path in run.glob("evaluations/*/report.json"))
    evaluate = watch.run

    def evaluate_deleted(parsed: Any, **options: Any) -> Any:
        if parsed.config.name == "checkpoint-4":
            shutil.rmtree(run / "checkpoints" / "checkpoint-4")
        return evaluate(parsed, **options)

    def end_run(seconds: float) -> None:
        seen["slept"] = seconds
        saved(run / "model", tiny_model, 6)
        (run / "model" / "config.yaml").write_text("")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(watch, "run", evaluate_deleted)
        patch.setattr(watch.time, "sleep", end_run)
        watch.main([*arguments, "--poll_seconds", "0.5"])
    seen["times"] = {path: path.stat().st_mtime_ns for path in run.glob("evaluations/*/report.json")}
    watch.main(arguments)
    return run, seen


def test_each_checkpoint_is_measured_once_and_the_final_model_last(story: tuple[Path, dict[str, Any]]) -> None:
    run, seen = story
    assert seen["after the first"] == ["checkpoint-2"] and seen["slept"] == 0.5
    times = {path: path.stat().st_mtime_ns for path in run.glob("evaluations/*/report.json")}
    assert times == seen["times"]
    assert sorted(path.parent.name for path in times) == ["checkpoint-2", "checkpoint-6"]
    assert not (run / "evaluations" / "checkpoint-4").exists(), "nobody can finish what is left of it"


def test_the_curve_has_a_point_for_each_with_its_interval_and_cost(story: tuple[Path, dict[str, Any]]) -> None:
    run, _ = story
    curve = json.loads((run / "evaluations" / "curve.json").read_text())
    assert list(curve) == ["2", "6"] and list(curve["2"]) == ["greedy"]
    valid = curve["2"]["greedy"]["metrics"]["valid"]
    assert valid["low"] <= valid["mean"] <= valid["high"] and valid["count"] == 2
    assert curve["2"]["greedy"]["cost"]["generated_tokens"] == 8
    assert (run / "evaluations" / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_results_are_in_the_runs_own_wandb_run_on_an_axis_of_their_own(story: tuple[Path, dict[str, Any]]) -> None:
    run, _ = story
    files = sorted(run.glob("evaluations/wandb/offline-run-*/run-ab12cd34.wandb"))
    assert len(files) == 2, "a watcher that evaluates nothing opens no run"
    logged = [line for file in files for line in wandb_history(file)]
    assert [line["eval/step"] for line in logged] == [2, 6]
    for line in logged:
        assert line["eval/greedy/valid/low"] <= line["eval/greedy/valid"] <= line["eval/greedy/valid/high"]
        assert line["eval/greedy/cost/generated_tokens"] == 8
        assert line["eval/answers._type"] == "table-file" and line["eval/answers.nrows"] == 2
    metrics = [record.metric for record in wandb_records(files[0]) if record.WhichOneof("record_type") == "metric"]
    assert any(metric.glob_name == "eval/*" and metric.step_metric == "eval/step" for metric in metrics)
    table = json.loads(next((run / "evaluations").rglob("*.table.json")).read_text())
    assert table["columns"][:3] == ["step", "task", "decoding"] and table["columns"][-1] == "valid"
    assert table["data"][0][0] in (2, 6) and table["data"][0][2] == "greedy"


def test_another_suite_does_not_go_into_the_same_curve(
    story: tuple[Path, dict[str, Any]], tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, _ = story
    other = run.parent / "other"
    shutil.copytree(run, other)
    saved(other / "checkpoints" / "checkpoint-8", tiny_model, 8)
    with pytest.raises(SystemExit) as exit_:
        watch.main(["--run", str(other), "--decoder", "greedy", "--heldout.tasks", "3"])
    line = capsys.readouterr().err.splitlines()[-1]
    assert exit_.value.code == 2 and "heldout.tasks was 2 and is 3" in line


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ([], "--run is missing"),
        (["--run", "no/such/run"], "'no/such/run' is no training run"),
        (["--run", "{run}", "--poll_seconds", "0"], "--poll_seconds is 0"),
        (["--run", "{run}", "--poll_seconds", "soon"], "invalid float value: 'soon'"),
        (["--run", "{run}", "--heldout.task", "5"], "did you mean 'tasks'?"),
        (["--run", "{run}", "--engine", "{{name: server, url: 'http://x'}}"], "loads the run's checkpoints itself"),
    ],
)
def test_a_mistake_is_one_line_that_names_it(
    arguments: list[str], names: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = empty_run(tmp_path / "run")
    with pytest.raises(SystemExit) as exit_:
        watch.main([argument.format(run=run) for argument in arguments])
    error = capsys.readouterr().err
    assert exit_.value.code == 2 and error.startswith("structrl: ") and names in error and error.count("\n") == 1


def test_a_suite_of_its_own_takes_the_place_of_the_runs(tmp_path: Path) -> None:
    run = empty_run(tmp_path / "run")
    suite = {**{name: RUN[name] for name in ("environment", "data", "heldout")}, "name": "suite", "dtype": "bfloat16"}
    (tmp_path / "suite.yaml").write_text(yaml.safe_dump(suite))
    config = watched(str(run), ["--config", str(tmp_path / "suite.yaml")]).parsed(7, run / "model").config
    assert (config.name, config.model, config.dtype) == ("checkpoint-7", str(run / "model"), "bfloat16")
    assert config.output == str(run / "evaluations")
    own = watched(str(run), ["--heldout.tasks", "1"]).parsed(7, run / "model").config
    assert own.tracking.wandb == "offline" and own.tracking.project == "tests" and own.heldout.tasks == 1


def test_the_final_model_stands_under_the_step_that_the_run_has_ended_with(tiny_model: Path, tmp_path: Path) -> None:
    run = WatchedRun(path=empty_run(tmp_path / "run"), arguments=())
    assert run.models() == {} and not run.has_ended
    checkpoint = saved(run.path / "checkpoints" / "checkpoint-4", tiny_model, 4)
    final = saved(run.path / "model", tiny_model, 4)
    (final / "config.yaml").write_text("")
    assert run.models() == {4: checkpoint} and run.has_ended, "what the last checkpoint is need not be measured twice"
    (final / "trainer_state.json").write_text('{"global_step": 6}')
    assert run.models() == {4: checkpoint, 6: final}
    (final / "trainer_state.json").unlink()  # of an earlier version
    (run.path / "metrics.jsonl").write_text('{"step": 4}\n{"step": 5}\n')
    assert run.models() == {4: checkpoint, 5: final}


def test_a_curve_of_metrics_that_were_never_judged_is_drawn(tmp_path: Path) -> None:
    point = {"free": {"metrics": {"valid": None}, "cost": {}}}
    write_curve(tmp_path, {1: point, 3: {"greedy": {"metrics": {"valid": None, "content": None}, "cost": {}}}})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["curve.json", "curve.png"]


@pytest.mark.parametrize(
    ("tracking", "flags", "expected"),
    [
        (None, [], ("offline", "tests")),
        ({"wandb": "disabled"}, [], ("disabled", "structrl")),
        (None, ["--tracking.project", "other"], ("disabled", "other")),
    ],
)
def test_results_of_a_suite_go_to_the_runs_own_wandb_run_unless_it_says_otherwise(
    tracking: Any, flags: list[str], expected: tuple[str, str], tmp_path: Path
) -> None:
    run = empty_run(tmp_path / "run")
    suite = {name: RUN[name] for name in ("name", "environment", "data", "heldout")}
    (tmp_path / "suite.yaml").write_text(yaml.safe_dump(suite | ({"tracking": tracking} if tracking else {})))
    for named in (["--config", str(tmp_path / "suite.yaml")], [f"--config={tmp_path / 'suite.yaml'}"]):
        config = watched(str(run), [*named, *flags]).parsed(7, run / "model").config.tracking
        assert (config.wandb, config.project) == expected


EVALUATED = {name: RUN[name] for name in ("name", "environment", "data", "heldout")}


@pytest.mark.parametrize(
    ("files", "what"),
    [
        ({}, "it has no config.yaml"),
        ({"config.yaml": yaml.safe_dump({**EVALUATED, "model": "runs/sql"})}, "it is an evaluation of 'runs/sql'"),
        (
            {"config.yaml": yaml.safe_dump({**EVALUATED, "model": None, "predictions": {"path": "gold"}})},
            "it is an evaluation of 'gold'",
        ),
        ({"config.yaml": "a: 1"}, "its config.yaml is that of something else (it lacks data, environment, heldout"),
        ({"config.yaml": "a: ["}, "its config.yaml holds no configuration"),
        ({"config.json": "{}"}, "it is a model"),
        ({"config.json": "{}", "trainer_state.json": "{}"}, "it is a checkpoint"),
    ],
)
def test_a_directory_that_is_no_run_is_named_for_what_it_is(
    files: dict[str, str], what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(SystemExit) as exit_:
        watch.main(["--run", str(tmp_path)])
    error = capsys.readouterr().err
    assert exit_.value.code == 2 and error.count("\n") == 1
    assert f"no training run: {what}" in error and "give the directory OUTPUT/NAME of one" in error


def test_help_shows_what_can_be_set_and_nothing_that_a_watcher_sets_itself(capsys: pytest.CaptureFixture[str]) -> None:
    watch.main(["--help"])
    text = capsys.readouterr().out
    assert all(f"  --{name} " in text for name in ("poll_seconds", "decoder", "heldout.tasks", "tracking.wandb"))
    assert "(required" not in text and not any(f"  --{name} " in text for name in ("name", "model", "output"))
    assert "--predictions" not in text
