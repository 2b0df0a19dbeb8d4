"""Evaluations that were interrupted: killed at any moment, they go on, and end as if they had not been."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from kept_records import finished

from envs.errors import ConfigurationError
from eval.evaluation_directory import BusyError, EvaluationDirectory, differing_keys, held
from eval.journal import Journal

ROOT = Path(__file__).resolve().parents[2]

CONFIG = """
environment: {name: json, options: {schema_style: compact}}
data: {reader: bundled_json, options: {difficulties: [easy]}}
heldout:
  metrics: [valid, content]
  tasks: 6
  max_new_tokens: 4
  max_batch_rows: 1
  decodings:
    free: {}
    greedy: {temperature: 0.0}
"""

# Evaluates several times, each time in a process of its own, forked after the import, which takes longer than the rest.
# A process is killed with SIGKILL once its journal holds so many lines; its journal is left there afterwards.
KILLS = """
import json, os, signal, sys, time
from pathlib import Path
import eval.evaluation_directory as directories
from eval.journal import count_lines
from eval.run import main
directories.shutil.rmtree = lambda *_, **__: None
ends = []
for index, (arguments, journal, kill_at) in enumerate(json.loads(sys.argv[1])):
    child = os.fork()
    if child == 0:
        os.dup2(os.open(Path(sys.argv[2]) / str(index), os.O_CREAT | os.O_WRONLY), 2)
        code = 1
        try:
            main(arguments)
            code = 0
        except SystemExit as end:
            code = end.code
        finally:
            sys.stderr.flush()
            os._exit(code)
    deadline = time.monotonic() + 60
    while kill_at and count_lines(Path(journal)) < kill_at and time.monotonic() < deadline:
        time.sleep(0.001)
    if kill_at:
        os.kill(child, signal.SIGKILL)

    ends.append([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), count_lines(Path(journal))])
print(json.dumps(ends))
"""


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "ACCELERATE_USE_CPU": "true"}


def arguments(home: Path, model: Path, name: str, *more: str) -> list[str]:
    place = ["--model", str(model), "--output", str(home / "runs"), "--name", name]
    return ["--config", str(home / "config.yaml"), *place, *more]


@pytest.fixture(scope="module")
def killed(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A folder with an evaluation that was killed twice and then ended, and one that was never killed; and what became
    of each start: exit code, lines of its journal, standard error."""
    home = tmp_path_factory.mktemp("resume")
    (home / "config.yaml").write_text(CONFIG)
    journal = str(home / "runs" / "killed" / "journal")
    starts: dict[str, tuple[list[str], str, int]] = {
        "straight": (arguments(home, tiny_model, "straight", "--resume"), "", 0),
        "killed": (arguments(home, tiny_model, "killed"), journal, 3),
        "without --resume": (arguments(home, tiny_model, "killed"), journal, 0),
        "other configuration": (arguments(home, tiny_model, "killed", "--resume", "--heldout.seed", "1"), journal, 0),
        "killed again": (arguments(home, tiny_model, "killed", "--resume"), journal, 8),
        "resumed": (arguments(home, tiny_model, "killed", "--resume"), journal, 0),
        "resumed again": (arguments(home, tiny_model, "killed", "--resume"), journal, 0),
    }
    command = [sys.executable, "-c", KILLS, json.dumps(list(starts.values())), str(home)]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    ends = json.loads(done.stdout.splitlines()[-1])
    return home, {name: (*ends[place], (home / str(place)).read_text()) for place, name in enumerate(starts)}


def report(directory: Path) -> dict[str, Any]:
    """What an evaluation has measured, but for times."""
    summary = json.loads((directory / "report.json").read_text())
    for measurement in summary["measurements"].values():
        measurement["ledger"] = {key: value for key, value in measurement["ledger"].items() if "seconds" not in key}
    records = [json.loads(line) for line in (directory / "records.jsonl").read_text().splitlines()]
    return {
        "measurements": summary["measurements"],
        "records": [{**record, "timing": None} for record in records],
        "tasks": (directory / "tasks.jsonl").read_text(),
    }


def test_a_killed_evaluation_ends_as_if_it_had_not_been(killed: tuple[Path, dict[str, Any]]) -> None:
    home, starts = killed
    assert [starts[name][0] for name in ("straight", "killed", "killed again", "resumed")] == [0, -9, -9, 0]
    straight = report(home / "runs" / "straight")
    assert report(home / "runs" / "killed") == straight
    assert {name: each["answers"] for name, each in straight["measurements"].items()} == {"free": 6, "greedy": 6}


def test_no_finished_task_is_decoded_again(killed: tuple[Path, dict[str, Any]]) -> None:
    home, starts = killed
    assert 3 <= starts["killed"][1] < 8 <= starts["killed again"][1] < 12
    journal = (home / "runs" / "killed" / "journal" / "0-of-1.jsonl").read_text().splitlines()
    pairs = [(line["decoding"], line["task"]) for line in map(json.loads, journal)]
    assert len(pairs) == len(set(pairs)) == 12


def test_going_on_needs_the_flag_and_the_same_configuration(killed: tuple[Path, dict[str, Any]]) -> None:
    _, starts = killed
    for name, words in {
        "without --resume": ["was interrupted; pass --resume"],
        "other configuration": ["heldout.seed was 0 and is 1", "another --name"],
    }.items():
        code, lines, error = starts[name]
        assert code == 2 and lines == starts["killed"][1]
        assert error.startswith("structrl: ") and error.count("\n") == 1 and all(word in error for word in words)


def test_a_finished_evaluation_is_left_as_it_is(killed: tuple[Path, dict[str, Any]]) -> None:
    _, starts = killed
    assert starts["resumed again"][:2] == (0, 12) and "task/s" not in starts["resumed again"][2]


@pytest.mark.slow
def test_two_processes_go_on_where_one_was_killed(killed: tuple[Path, dict[str, Any]], tiny_model: Path) -> None:
    home, _ = killed
    two = home / "runs" / "two"
    shutil.copytree(home / "runs" / "killed", two)
    (two / "report.json").unlink()
    (two / "config.yaml").write_text((two / "config.yaml").read_text().replace("name: killed", "name: two"))
    journal = two / "journal" / "0-of-1.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:8]) + lines[8][:100])
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--num_processes", "2", "--cpu"]
    command = [*launch, "eval/run.py", *arguments(home, tiny_model, "two", "--resume")]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr[-3000:]
    assert report(two) == report(home / "runs" / "straight")
    assert not (two / "journal").exists()
    assert "2/6" in done.stderr and "6/6" in done.stderr  # of the second decoding, before and after


def test_a_report_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    directory = EvaluationDirectory(path=tmp_path / "a")
    with Journal(directory.journal) as journal:
        journal.write(finished("task-1"))
    directory.begin("name: a\n", {"model": "1"})
    with pytest.raises(KeyboardInterrupt), directory.report_files() as building:
        (building / "report.json").write_text("{}")
        raise KeyboardInterrupt
    assert not directory.is_finished and directory.journal.exists() and directory.source.exists()
    with directory.report_files() as building:
        assert not list(building.iterdir())
        (building / "plots").mkdir()
        (building / "report.json").write_text("{}")
    assert sorted(path.name for path in directory.path.iterdir()) == ["config.yaml", "plots", "report.json"]


def test_a_model_that_changed_meanwhile_is_not_mixed_with_the_one_before(tmp_path: Path) -> None:
    directory = EvaluationDirectory(path=tmp_path / "a")
    directory.begin("", {"model": "1", "tasks": "2"})
    directory.begin("", {"model": "1", "tasks": "2"})
    with pytest.raises(ConfigurationError, match="the model of .* changed since it was begun"):
        directory.begin("", {"model": "3", "tasks": "2"})


def test_two_processes_cannot_write_one_evaluation(tmp_path: Path) -> None:
    with held(tmp_path / ".lock", "a"), pytest.raises(BusyError, match="by another process"):
        with held(tmp_path / ".lock", "a"):
            pass
    with held(tmp_path / ".lock", "a"):
        pass


def test_configurations_differ_by_their_keys_but_for_what_changes_no_answer() -> None:
    kept = {"output": "a", "heldout": {"seed": 0, "metrics": ["valid"]}, "engine": {"url": "x", "name": "server"}}
    given = {"output": "b", "heldout": {"seed": 0, "metrics": ["f1"]}, "engine": {"url": "y", "name": "vllm"}, "k": 1}
    assert differing_keys(kept, given) == [
        'heldout.metrics was ["valid"] and is ["f1"]',
        'engine.name was "server" and is "vllm"',
        "k was null and is 1",
    ]
    assert differing_keys(kept, json.loads(json.dumps(kept))) == []
