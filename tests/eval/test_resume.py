"""Evaluations that were interrupted: killed at any moment, they go on, and end as if they had not been."""

import errno
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import wandb
from kept_records import finished

from envs.errors import ConfigurationError
from eval import evaluation, run
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
from eval.run import main
def count_lines(journal):
    return sum(path.read_bytes().count(b"\\n") for path in journal.glob("*.jsonl"))
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
        "killed": (arguments(home, tiny_model, "killed", "--decoder", "free"), journal, 3),
        "without --resume": (arguments(home, tiny_model, "killed"), journal, 0),
        "other configuration": (arguments(home, tiny_model, "killed", "--resume", "--heldout.seed", "1"), journal, 0),
        "killed again": (arguments(home, tiny_model, "killed", "--resume"), journal, 8),
        "other decoding": (
            arguments(home, tiny_model, "killed", "--resume", "--heldout.decodings.free.temperature", "0.5"),
            journal,
            0,
        ),
        "resumed": (arguments(home, tiny_model, "killed", "--resume", "--heldout.max_batch_rows", "3"), journal, 0),
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
        "other decoding": ["heldout.decodings.free.temperature was 1.0 and is 0.5"],
    }.items():
        code, lines, error = starts[name]
        assert code == 2 and lines == starts["killed again" if name == "other decoding" else "killed"][1]
        assert error.startswith("structrl: ") and error.count("\n") == 1 and all(word in error for word in words)


def test_a_finished_evaluation_is_left_as_it_is(killed: tuple[Path, dict[str, Any]]) -> None:
    _, starts = killed
    code, lines, error = starts["resumed again"]
    assert (code, lines) == (0, 12) and error.count("\n") == 1 and "killed' is already finished" in error


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
    # accelerate's own launcher starts a single process on a CPU, whatever it is told.
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    command = [*launch, "eval/run.py", *arguments(home, tiny_model, "two", "--resume")]
    seen: set[str] = set()
    with subprocess.Popen(command, cwd=ROOT, env=environment(), stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        lines_of_stderr = []
        timer = threading.Timer(200, process.kill)
        timer.start()
        for line in process.stderr:
            lines_of_stderr.append(line)
            seen |= {path.name for path in (two / "journal").glob("*")}
        timer.cancel()
    said = "".join(lines_of_stderr)
    assert process.returncode == 0, said[-3000:]
    assert {"0-of-1.jsonl", "0-of-2.jsonl", "1-of-2.jsonl"} <= seen
    assert report(two) == report(home / "runs" / "straight")
    assert not (two / "journal").exists()
    assert "2/6" in said and "6/6" in said  # of the second decoding, before and after


def test_a_report_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    directory = EvaluationDirectory(path=tmp_path / "a")
    with Journal(directory.journal) as journal:
        journal.write(finished("task-1"))
    directory.begin("name: a\n", {"model": "1"}, {})
    with pytest.raises(KeyboardInterrupt), directory.report_files() as building:
        (building / "report.json").write_text("{}")
        raise KeyboardInterrupt
    assert not directory.is_finished and directory.journal.exists() and directory.source.exists()
    with directory.report_files() as building:
        assert not list(building.iterdir())
        (building / "plots").mkdir()
        (building / "report.json").write_text("{}")
    left = sorted(path.name for path in directory.path.iterdir())
    assert left == ["config.yaml", "plots", "report.json", "source.json"]


def test_a_model_that_changed_meanwhile_is_not_mixed_with_the_one_before(tmp_path: Path) -> None:
    directory = EvaluationDirectory(path=tmp_path / "a")
    directory.begin("", {"model": "1", "tasks": "2"}, {})
    directory.begin("", {"model": "1", "tasks": "2"}, {})
    with pytest.raises(ConfigurationError, match="the model of .* changed since it was begun"):
        directory.begin("", {"model": "3", "tasks": "2"}, {})


def test_decodings_may_come_go_and_come_back_as_they_were(tmp_path: Path) -> None:
    def begun(*, is_finished: bool = False, **decodings: float) -> None:
        """Goes on with decodings of some temperatures."""
        plain = {name: {"temperature": value} for name, value in decodings.items()}
        resolved = json.dumps({"decoder": list(decodings), "heldout": {"decodings": plain}})
        EvaluationDirectory.prepare(str(tmp_path), "a", resolved=resolved, resume=True, decodings=plain).begin(
            resolved, {"model": "1"}, plain
        )

    begun(free=1.0, greedy=0.0)
    begun(greedy=0.0)
    begun(greedy=0.0, sample=0.8)
    with pytest.raises(ConfigurationError, match="was begun with .*decodings.free.temperature was 1.0 and is 0.5"):
        begun(free=0.5, sample=0.8)
    begun(free=1.0, sample=0.8)
    (tmp_path / "a" / "report.json").write_text("{}")
    begun(free=1.0, sample=0.8)
    with pytest.raises(ConfigurationError, match="was finished with another configuration: decoder was"):
        begun(free=1.0)


PREDICTED = """
environment: {name: json, options: {schema_style: compact}}
data: {reader: bundled_json, options: {difficulties: [easy]}}
heldout: {metrics: [valid], tasks: 4}
name: predicted
"""


def evaluated(home: Path, *more: str) -> int | str | None:
    """Exit code of scoring a file in this process."""
    place = ["--config", str(home / "config.yaml"), "--output", str(home), "--predictions", str(home / "predictions")]
    try:
        run.main([*place, "--predictions.missing", "wrong", *more])
    except SystemExit as end:
        return end.code
    return 0


@pytest.fixture(scope="module")
def predicted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an evaluation of a file that the disk had no room for in the middle, and which then was finished;
    ``error`` holds what was said."""
    home = tmp_path_factory.mktemp("predicted")
    (home / "config.yaml").write_text(PREDICTED)
    (home / "predictions").write_text('{"nobody": null}')
    write = Journal.write

    def write_until_full(journal: Journal, one: Any) -> None:
        if len(journal.read()) == 2:
            journal._file = journal._path.open("rb", buffering=0)  # every further write is an OSError
        write(journal, one)

    said = StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stderr(said):
        patch.setattr(Journal, "write", write_until_full)
        code = evaluated(home)
    (home / "error").write_text(f"{code} {said.getvalue().splitlines()[-1]}")
    assert evaluated(home, "--resume") == 0
    return home


def test_what_cannot_be_written_is_said_and_what_is_finished_is_kept(predicted: Path) -> None:
    error = (predicted / "error").read_text()
    assert error.startswith("3 structrl: cannot write '") and "0-of-1.jsonl': File not open for writing" in error
    assert "2 of 4 tasks are finished" in error and "MiB are free" in error and "--resume goes on" in error
    assert len((predicted / "predicted" / "records.jsonl").read_text().splitlines()) == 4


def test_a_report_that_cannot_be_written_is_a_line_too(
    predicted: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(evaluation, "write_evaluation", full)
    assert evaluated(predicted, "--name", "unwritten") == 3
    error = capsys.readouterr().err.splitlines()[-1]
    assert "report.json': No space left" in error and "4 of 4 tasks" in error


def test_a_finished_evaluation_of_something_that_changed_is_not_taken_for_it(
    predicted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = predicted / "predictions"
    content, times = file.read_text(), file.stat()
    assert evaluated(predicted, "--resume", "--heldout.max_batch_rows", "7") == 0
    assert "is already finished" in capsys.readouterr().err
    file.write_text('{"nobody": null, "else": null}')
    assert evaluated(predicted, "--resume") == 2
    assert "the predictions of" in (error := capsys.readouterr().err) and error.count("\n") == 1
    file.write_text(content)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))


def test_results_that_wandb_has_not_got_are_sent_by_the_next_resume(
    predicted: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sent: list[Any] = []
    failures: list[BaseException | None] = [KeyboardInterrupt(), wandb.errors.CommError("no\nnetwork"), None]

    @contextmanager
    def opened(*_: Any, **__: Any) -> Iterator[Any]:
        failure = failures.pop(0)
        yield SimpleNamespace(log=sent.append, id="ab12")
        if failure is not None:
            raise failure

    monkeypatch.setattr(evaluation, "open_run", opened)
    codes, errors = [], []
    for _ in range(4):
        codes.append(evaluated(predicted, "--resume", "--tracking.wandb", "offline"))
        errors.append(capsys.readouterr().err.splitlines()[-1])
    assert codes == [130, 0, 0, 0] and len(sent) == 3 and not failures
    assert "interrupted; the report is written, and --resume sends it" in errors[0]
    assert "wandb has failed: no network; --resume sends it again" in errors[1]
    assert all("already finished" in error for error in errors[2:])


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
