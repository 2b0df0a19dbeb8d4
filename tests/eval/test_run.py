"""``eval/run.py`` as its users start it: what a good command line writes, and the one line that a bad one gets."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from eval import evaluation, run

ROOT = Path(__file__).resolve().parents[2]

CONFIG = """
name: tiny
environment: {name: json, options: {schema_style: compact}}
data: {reader: bundled_json, options: {difficulties: [easy]}}
heldout:
  metrics: [valid, content]
  tasks: 3
  max_new_tokens: 24
  decodings:
    free: {}
    constrained: {grammar: true}
"""

# Runs many command lines, each in a process of its own with its own standard error. They are forked after the import,
# which takes longer than all the rest.
FORKS = """
import json, os, sys, traceback
from pathlib import Path
from eval.run import main
codes = []
for index, arguments in enumerate(json.loads(sys.argv[1])):
    child = os.fork()
    if child == 0:
        os.dup2(os.open(Path(sys.argv[2]) / str(index), os.O_CREAT | os.O_WRONLY), 2)
        code = 1
        try:
            main(arguments)
            code = 0
        except SystemExit as end:
            code = end.code
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)  # without the long farewell of an interpreter that holds torch
    codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print(json.dumps(codes))
"""


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A fresh interpreter in the repository's root, without a network."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the configuration, a finished report and an empty dataset."""
    home = tmp_path_factory.mktemp("run")
    (home / "config.yaml").write_text(CONFIG)
    (home / "runs" / "done").mkdir(parents=True)
    (home / "runs" / "done" / "report.json").write_text("done")
    (home / "runs" / "other").mkdir()
    (home / "runs" / "other" / "diary.txt").write_text("mine")
    (home / "spider").mkdir()
    return home


def arguments(folder: Path, model: Path | str, *more: str) -> list[str]:
    """The command line of an evaluation."""
    return ["--config", str(folder / "config.yaml"), "--model", str(model), "--output", str(folder / "runs"), *more]


def bad_command_lines(folder: Path, model: Path) -> dict[str, list[str]]:
    """What a user gets wrong -> the command line."""
    spider = ["--data", f"{{reader: spider, options: {{path: {folder / 'spider'}}}}}", "--heldout.metrics", "[correct]"]
    return {
        "unknown key": arguments(folder, model, "--heldout.task", "5"),
        "unknown flag": arguments(folder, model, "--nme", "x"),
        "wrong type": arguments(folder, model, "--heldout.tasks", "many"),
        "no configuration": ["--config", str(folder / "missing.yaml")],
        "no model given": ["--config", str(folder / "config.yaml")],
        "unknown environment": arguments(folder, model, "--environment.name", "jsn"),
        "unknown option": arguments(folder, model, "--data.options.exmples", "2"),
        "unknown metric": arguments(folder, model, "--heldout.metrics", "[valid, contnt]"),
        "wrong reader": arguments(folder, model, "--data", "{reader: bundled_math}"),
        "no such folder": arguments(folder, folder / "no-model"),
        "no such hub model": arguments(folder, "nobody/no-model"),
        "no such package": arguments(folder, "package://no_such_package/model.gguf"),
        "finished report": arguments(folder, model, "--name", "done"),
        "something else": arguments(folder, model, "--name", "other", "--resume"),
        "name with a slash": arguments(folder, model, "--name", "a/b"),
        "unknown decoder": arguments(folder, model, "--decoder", "free,gredy"),
        "no such predictions": arguments(folder, model, "--predictions", str(folder / "no-file")),
        "server without address": arguments(folder, model, "--engine.name", "server"),
        "options of another engine": arguments(folder, model, "--engine.vllm", "{max_model_len: 9}"),
        "no key of the server": arguments(
            folder, model, "--engine", "{name: server, url: 'http://localhost:1', api_key_variable: NO_SUCH_KEY}"
        ),
        "output is a file": arguments(folder, model, "--output", str(folder / "config.yaml")),
        "dataset lacks a file": arguments(folder, model, *spider, "--environment", "{name: sql, options: {}}"),
        "longer than the window": arguments(folder, model, "--heldout.max_new_tokens", "100000"),
    }


NAMED = {
    "unknown key": ["'task' in 'heldout'", "did you mean 'tasks'?"],
    "unknown flag": ["'nme'", "did you mean 'name'?"],
    "wrong type": ["'heldout.tasks' is 'many'", "an integer or null"],
    "no configuration": ["missing.yaml' cannot be read"],
    "no model given": ["lacks 'model'", "--model"],
    "unknown environment": ["'jsn'", "did you mean 'json'?", "json, math, sql"],
    "unknown option": ["'exmples'", "'bundled_json'", "did you mean 'examples'?"],
    "unknown metric": ["'contnt'", "did you mean 'content'?"],
    "wrong reader": ["'bundled_math'", "'math', not 'json'"],
    "no such folder": ["no-model'", "no such directory"],
    "no such hub model": ["'nobody/no-model' cannot be loaded"],
    "no such package": ["'no_such_package'", "pip install"],
    "finished report": ["done' already holds a report", "another --name"],
    "something else": ["other' holds something that is no evaluation"],
    "unknown decoder": ["unknown decoder 'gredy'; did you mean 'greedy'?", "self_consistency"],
    "no such predictions": ["predictions", "no-file': no such file"],
    "server without address": ["engine.url"],
    "options of another engine": ["engine.vllm is for engine.name 'vllm'"],
    "no key of the server": ["NO_SUCH_KEY", "not set"],
    "name with a slash": ["'a/b'", "plain directory name"],
    "output is a file": ["config.yaml' is no directory", "another --output"],
    "dataset lacks a file": ["spider' lacks 'dev.json'"],
    "longer than the window": ["task 'json-heldout-", "100000", "window of"],
}


@pytest.fixture(scope="module")
def refusals(folder: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, str]]:
    """What was wrong -> exit code and standard error."""
    lines = bad_command_lines(folder, tiny_model)
    errors = tmp_path_factory.mktemp("errors")
    result = python("-c", FORKS, json.dumps(list(lines.values())), str(errors))
    assert result.returncode == 0, result.stderr
    codes = json.loads(result.stdout.splitlines()[-1])
    return {name: (codes[index], (errors / str(index)).read_text()) for index, name in enumerate(lines)}


@pytest.mark.parametrize("mistake", NAMED)
def test_a_mistake_is_one_line_that_names_it(mistake: str, refusals: dict[str, tuple[int, str]]) -> None:
    code, error = refusals[mistake]
    assert code == 2, error
    assert error.startswith("structrl: ") and error.count("\n") == 1 and error.endswith("\n"), error
    assert all(name in error for name in NAMED[mistake]), error


@pytest.mark.usefixtures("refusals")
def test_a_mistake_writes_nothing(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == ["config.yaml", "runs", "spider"]
    assert not list((folder / "spider").iterdir())
    kept = {str(path.relative_to(folder / "runs")): path.read_text() for path in (folder / "runs").glob("*/*")}
    assert kept == {"done/report.json": "done", "other/diary.txt": "mine"}


def test_the_script_itself_ends_with_code_2_and_one_line(folder: Path, tiny_model: Path) -> None:
    result = python("eval/run.py", *arguments(folder, tiny_model, "--heldout.task", "5"))
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.count("\n") == 1 and "did you mean 'tasks'?" in result.stderr


@pytest.mark.parametrize("script", ["run", "watch"])
def test_an_interruption_during_the_imports_is_one_line(script: str, tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    result = subprocess.run(
        [sys.executable, f"eval/{script}.py"], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert (result.returncode, result.stdout, result.stderr) == (130, "", "structrl: interrupted\n")


def test_an_interruption_before_the_decoding_is_one_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(evaluation, "load_tasks", interrupted)
    with pytest.raises(SystemExit) as exit_:
        run.main(arguments(folder, "model", "--name", "interrupted"))
    assert (exit_.value.code, capsys.readouterr().err) == (130, "structrl: interrupted\n")


def test_an_evaluation_writes_its_whole_report(tmp_path: Path, folder: Path, tiny_model: Path) -> None:
    result = python("eval/run.py", *arguments(folder, tiny_model, "--output", str(tmp_path / "new" / "runs")))
    assert result.returncode == 0, result.stderr
    assert "Warning" not in result.stderr and "Traceback" not in result.stderr, result.stderr
    report = tmp_path / "new" / "runs" / "tiny"
    assert [path.name for path in report.parent.iterdir()] == ["tiny"]
    written = {path.name for path in report.iterdir()}
    pictures = {name for name in written if name.endswith(".png")}
    texts = {"report.md", "report.json", "report.html", "records.jsonl", "tasks.jsonl", "config.yaml", "source.json"}
    assert written == texts | pictures and "metrics.png" in pictures
    assert f"report: {report / 'report.md'}" in result.stdout
    records = [json.loads(line) for line in (report / "records.jsonl").read_text().splitlines()]
    assert len(records) == 6 and len({record["task"] for record in records}) == 3
    cards = [json.loads(line) for line in (report / "tasks.jsonl").read_text().splitlines()]
    assert {card["task"] for card in cards} == {record["task"] for record in records} and len(cards) == 3
    summary = json.loads((report / "report.json").read_text())
    assert summary["model"] == str(tiny_model)
    assert {name: each["answers"] for name, each in summary["measurements"].items()} == {"free": 3, "constrained": 3}
    resolved = yaml.safe_load((report / "config.yaml").read_text())
    assert resolved["heldout"]["tasks"] == 3 and resolved["dtype"] == "float32"
    assert (report / "metrics.png").read_bytes().startswith(b"\x89PNG")
    text = (report / "report.md").read_text()
    assert "| constrained |" in text and "![metrics](metrics.png)" in text and "schema_style: compact" in text
