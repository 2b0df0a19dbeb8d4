"""train/grpo.py from tasks to report, on a random two-layer model: the plumbing, not the learning."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

from decoding.models import ModelConfig, load_model

ROOT = Path(__file__).resolve().parents[2]

Train = Callable[..., Path]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("config", ["json.yaml", "math.yaml", "sql.yaml", "quickstart.yaml"])
def test_every_environment_trains_evaluates_and_reports(config: str, train: Train) -> None:
    run = train(config)

    resolved = yaml.safe_load((run / "config.yaml").read_text())
    steps = lines(run / "metrics.jsonl")
    assert [step["step"] for step in steps] == [1, 2]
    for part in resolved["reward"]["parts"]:
        assert all(f"rewards/{part}" in step for step in steps), part
    assert all(step["unjudged"] == 0 and not math.isnan(step["loss"]) for step in steps)

    report = json.loads((run / "report.json").read_text())
    for moment in ("before", "after"):
        for decoding in resolved["heldout"]["decodings"]:
            measured = report[moment][decoding]
            assert measured["answers"] == 4
            assert set(measured["metrics"]) == set(resolved["heldout"]["metrics"])
    assert (run / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert "Held-out tasks before and after" in (run / "report.md").read_text()
    assert len(lines(run / "transcripts.jsonl")) == 2 * resolved["tracking"]["transcripts"]
    assert (run / "checkpoints" / "checkpoint-2" / "config.yaml").read_text() == (run / "config.yaml").read_text()
    load_model(ModelConfig(reference=str(run)))


def test_constrained_decoding_is_valid_where_it_ends_even_with_a_random_model(train: Train) -> None:
    run = train("json.yaml", "--heldout.max_new_tokens", "300", "--heldout.decodings", "{constrained: {grammar: true}}")

    answers = lines(run / "after.jsonl")
    assert any(answer["finish"] == "eos" for answer in answers)
    assert all(answer["metrics"]["valid"] == 1 for answer in answers if answer["finish"] == "eos")
    assert all(answer["grammar_error"] is None for answer in answers)


def test_full_fine_tuning_moves_the_weights_and_lora_moves_only_the_adapter(tiny_model: Path, train: Train) -> None:
    # How far noise gets before it is no JSON any more differs, so there is an advantage to follow.
    reward = ["--reward.parts", "{progress: {weight: 1}}"]
    full = train("json.yaml", *reward, "--trainer.num_generations", "8", name="full")
    lora = train("json.yaml", *reward, "--trainer.num_generations", "8", "--lora", "{rank: 4, alpha: 8}", name="lora")

    base = load_file(tiny_model / "model.safetensors")
    trained = load_file(full / "model" / "model.safetensors")
    assert any(not torch.equal(base[name], trained[name]) for name in base)
    assert {path.name for path in (lora / "model").glob("*.safetensors")} == {"adapter_model.safetensors"}
    adapter = load_file(lora / "model" / "adapter_model.safetensors")
    assert any(tensor.abs().sum() > 0 for name, tensor in adapter.items() if "lora_B" in name)
    configuration = json.loads((lora / "model" / "adapter_config.json").read_text())
    assert configuration["base_model_name_or_path"] == str(tiny_model)
    merged = load_model(ModelConfig(reference=str(lora))).state_dict()
    assert any(not torch.equal(base[name], merged[name]) for name in base)


def test_a_resumed_run_ends_where_an_uninterrupted_one_does(train: Train) -> None:
    straight = train("json.yaml", "--trainer.max_steps", "4", name="straight")
    train("json.yaml", "--trainer.max_steps", "2", name="stopped")
    stopped = train("json.yaml", "--trainer.max_steps", "4", "--resume", name="stopped")

    assert [step["step"] for step in lines(stopped / "metrics.jsonl")] == [1, 2, 3, 4]
    for uninterrupted, resumed in zip(lines(straight / "metrics.jsonl"), lines(stopped / "metrics.jsonl"), strict=True):
        for key in ("loss", "reward", "grad_norm", "completions/mean_length"):
            assert uninterrupted[key] == resumed[key], key
    weights, resumed_weights = (load_file(run / "model" / "model.safetensors") for run in (straight, stopped))
    assert all(torch.equal(weights[name], resumed_weights[name]) for name in weights)
    # The measurement after training is of the four steps, not the one kept from the first two.
    assert json.loads((stopped / "after.json").read_text())["step"] == 4


def test_resume_starts_a_run_that_does_not_exist_yet(train: Train) -> None:
    assert (train("math.yaml", "--resume") / "report.md").exists()


def test_wandb_offline_asks_nothing_and_gets_a_curve_for_every_part_and_the_transcripts(
    train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("WANDB_DISABLED", "")
    run = train("json.yaml", "--tracking.wandb", "offline")

    record = next((run / "wandb").glob("offline-run-*/*.wandb")).read_bytes()
    for part in ("parsed", "usable", "content"):
        assert f"train/rewards/{part}".encode() in record
    tables = list((run / "wandb").glob("offline-run-*/files/media/table/transcripts*"))
    assert tables, "no transcripts table was written"
    content = json.loads(tables[-1].read_text())
    assert content["columns"] == ["step", "task", "reward", "parts", "error", "unjudged", "completion"]
    assert content["data"]


def test_a_preset_of_the_literature_is_one_flag_and_the_tags_that_it_needs(train: Train) -> None:
    tags = "{reasoning: think, step: intermediate_sql, observation: result, answer: final_sql}"
    options = f"{{tags: {tags}, observation_tokens: 32, executor: {{facts: [parsed]}}}}"
    reward = ["--reward", str(ROOT / "configs" / "rewards" / "reex_sql.yaml")]
    room = ["--trainer.max_completion_length", "64", "--heldout.max_new_tokens", "64"]
    free = ["--heldout.decodings", "{free: {temperature: 1.0}}"]
    run = train("sql.yaml", *reward, *room, *free, "--environment.options", options)
    steps = lines(run / "metrics.jsonl")
    for part in ("format", "exact", "execution", "entity_match", "exploration"):
        assert all(f"rewards/{part}" in step for step in steps), part


def test_a_preset_without_its_tags_is_refused_before_anything_is_written(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        train(
            "sql.yaml",
            "--reward",
            str(ROOT / "configs" / "rewards" / "reasoning_sql.yaml"),
            "--environment.options",
            "{tags: {reasoning: null}}",
        )
    message = capsys.readouterr().err
    assert "'format' needs environment.options.tags" in message and not (tmp_path / "runs").exists(), message
