"""Engines of an evaluation: a server that goes away ends it so that it can go on; wandb gets what was measured."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from wandb_file import wandb_history

from decoding.models import load_tokenizer
from decoding.server_client import ServerClient
from envs.errors import ConfigurationError
from eval import engines
from eval.engines import EngineConfig, end_ids
from eval.run import main

CONFIG = {
    "name": "served",
    "environment": {"name": "json", "options": {"schema_style": "compact"}},
    "data": {"reader": "bundled_json", "options": {"difficulties": ["easy"]}},
    "heldout": {
        "metrics": ["valid"],
        "tasks": 4,
        "max_new_tokens": 4,
        "max_batch_rows": 1,
        "decodings": {"greedy": {"temperature": 0.0}},
    },
    "engine": {
        "name": "server",
        "url": "http://server:1",
        "api_key_variable": "KEY_OF_THE_SERVER",
        "attempts": 2,
        "first_wait_s": 0.001,
    },
}


class Server:
    """vLLM's answers, until it is told to be gone."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.answers_left: int | None = None
        self.prompts: list[Any] = []
        self.keys: set[str | None] = set()
        self.refused = 0

    def answer(self, request: httpx.Request) -> httpx.Response:
        if self.answers_left == 0:
            self.refused += 1
            raise httpx.ConnectError("connection refused")
        self.keys.add(request.headers.get("Authorization"))
        body = json.loads(request.content or b"{}")
        if request.url.path == "/v1/models":
            return httpx.Response(200, json={"data": [{"id": "tiny"}]})
        if request.url.path == "/detokenize":
            return httpx.Response(200, json={"prompt": self.tokenizer.decode(body["tokens"])})
        if len(body["prompt"]) > 1:  # not one of the questions by which the server is tried
            self.prompts.append(body["prompt"])
            self.answers_left = None if self.answers_left is None else self.answers_left - 1
        ids = [7] * body["max_tokens"]
        logprobs = [0.0 if body["temperature"] == 0.01 else -0.5] * len(ids)
        told = {"token_logprobs": logprobs, "tokens": [""] * len(ids), "text_offset": [0] * len(ids)}
        choice = {"index": 0, "text": "", "logprobs": told, "finish_reason": "length", "token_ids": ids}
        return httpx.Response(200, json={"choices": [{**choice, "stop_reason": None}]})


@pytest.fixture
def server(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    served = Server(load_tokenizer(str(tiny_model)))
    client = partial(ServerClient, transport=httpx.MockTransport(served.answer))
    monkeypatch.setattr(engines, "ServerClient", client)
    monkeypatch.setenv("KEY_OF_THE_SERVER", "secret")
    return served


@pytest.fixture
def evaluate(tiny_model: Path, tmp_path: Path) -> Callable[..., int]:
    """Returns a function that evaluates and returns the exit code."""
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    place = ["--config", str(tmp_path / "config.yaml"), "--model", str(tiny_model), "--output", str(tmp_path / "runs")]

    def run(*more: str) -> int:
        try:
            main([*place, *more])
        except SystemExit as end:
            return int(end.code or 0)
        return 0

    return run


def test_a_server_that_goes_away_costs_nothing_that_was_finished(
    server: Server, evaluate: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.answers_left = 2
    assert evaluate() == 3
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("structrl: POST http://server:1/v1/completions: no answer (ConnectError")
    assert "2 of 4 tasks are finished" in line and line.endswith("--resume goes on")
    assert server.refused == 2, "engine.attempts"
    assert server.keys == {"Bearer secret"}

    assert evaluate("--resume") == 3, "it is still gone"
    assert "2 of 4 tasks are finished" in capsys.readouterr().err
    server.answers_left = None
    assert evaluate("--resume", "--engine.url", "http://other:2", "--engine.concurrency", "3") == 0
    assert len(server.prompts) == 4 and len(set(map(tuple, server.prompts))) == 4
    summary = json.loads((tmp_path / "runs" / "served" / "report.json").read_text())
    assert summary["measurements"]["greedy"]["answers"] == 4


def test_a_server_that_was_never_there_leaves_nothing_behind(
    server: Server, evaluate: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.answers_left = 0
    assert evaluate() == 3
    assert "0 of 4 tasks are finished" in capsys.readouterr().err and not (tmp_path / "runs").exists()


def test_an_interrupted_evaluation_says_how_far_it_is(
    server: Server, evaluate: Callable[..., int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    own = Server.answer

    def interrupted(self: Server, request: httpx.Request) -> httpx.Response:
        if len(self.prompts) == 3:
            raise KeyboardInterrupt
        return own(self, request)

    monkeypatch.setattr(
        engines, "ServerClient", partial(ServerClient, transport=httpx.MockTransport(partial(interrupted, server)))
    )
    assert evaluate() == 130
    assert capsys.readouterr().err.splitlines()[-1].startswith("structrl: interrupted; 3 of 4 tasks are finished")


def test_results_go_to_a_wandb_run_of_their_own(server: Server, evaluate: Callable[..., int], tmp_path: Path) -> None:
    assert evaluate("--tracking", "{wandb: offline, answers: 3}") == 0
    directory = tmp_path / "runs" / "served"
    (file,) = directory.glob("wandb/offline-run-*/*.wandb")
    assert file.name == f"run-{(directory / 'wandb-run-id').read_text()}.wandb"
    (logged,) = wandb_history(file)
    assert logged["eval/greedy/valid/low"] <= logged["eval/greedy/valid"] == 0.0
    assert logged["eval/greedy/cost/generated_tokens"] == 16 and logged["eval/answers.nrows"] == 3


def test_predictions_need_no_model(
    evaluate: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eval.evaluation.load_tokenizer", lambda *_: pytest.fail("a model was loaded"))
    assert evaluate("--predictions", "gold", "--name", "gold") == 0
    summary = json.loads((tmp_path / "runs" / "gold" / "report.json").read_text())
    assert summary["measurements"]["predictions"]["metrics"]["valid"]["mean"] == 1.0
    records = (tmp_path / "runs" / "gold" / "records.jsonl").read_text().splitlines()
    path = tmp_path / "predictions.jsonl"
    rows = [{"id": record["task"], "prediction": record["segments"][0]["text"]} for record in map(json.loads, records)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows[1:]))
    assert evaluate("--predictions", str(path), "--name", "file") == 2
    assert evaluate(f"--predictions={path}", "--predictions.missing", "wrong", "--name", "file") == 0
    summary = json.loads((tmp_path / "runs" / "file" / "report.json").read_text())
    assert summary["measurements"]["predictions"]["metrics"]["valid"]["mean"] == 0.75
    assert summary["model"] == str(path)


def test_decodings_are_picked_by_name_from_the_configuration_and_the_presets(
    server: Server, evaluate: Callable[..., int], tmp_path: Path
) -> None:
    assert evaluate("--decoder", "self_consistency, greedy") == 0
    summary = json.loads((tmp_path / "runs" / "served" / "report.json").read_text())
    assert list(summary["measurements"]) == ["self_consistency", "greedy"]
    records = [json.loads(line) for line in (tmp_path / "runs" / "served" / "records.jsonl").read_text().splitlines()]
    searched = [record for record in records if record["decoding"] == "self_consistency"]
    assert len(searched) == 4
    for record in searched:
        said = "".join(segment["text"] for segment in record["segments"])
        chosen = [candidate for candidate in record["candidates"] if candidate["is_chosen"]]
        assert len(record["candidates"]) == 4 and [candidate["text"] for candidate in chosen] == [said]


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"name": "server"}, "needs engine.url"),
        ({"flavour": "tgi"}, "engine.flavour is 'tgi'; expected llama.cpp, openai, vllm"),
        ({"concurrency": 0}, "engine.concurrency is 0"),
        ({"attempts": 0}, "engine.attempts is 0"),
        ({"timeout_s": 0}, "engine.timeout_s 0"),
        ({"vllm": {"dtype": "float16"}}, "engine.vllm is for engine.name 'vllm'"),
    ],
)
def test_an_engine_that_means_nothing_is_refused(options: dict[str, Any], names: str) -> None:
    with pytest.raises(ConfigurationError, match=names):
        EngineConfig(**options)


def test_a_server_is_told_what_ends_a_text_by_the_models_own_settings(tiny_model: Path, tmp_path: Path) -> None:
    assert end_ids(str(tiny_model)) == {load_tokenizer(str(tiny_model)).eos_token_id}
    (tmp_path / "config.json").write_text("{}")
    assert end_ids(str(tmp_path)) == frozenset()
    (tmp_path / "generation_config.json").write_text('{"eos_token_id": [1, 2]}')
    assert end_ids(str(tmp_path)) == {1, 2}
