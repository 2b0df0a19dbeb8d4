"""Advantages by the formulas: of the sum (GRPO), of each part (GDPO), and of groups with unjudged answers."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from rewards.composite import Composite, Score
from train.trainer import StructuredGRPOTrainer

Batches = list[tuple[torch.Tensor, list[Score]]]

PARTS = "{answered: {weight: 1}, long: {weight: 3, component: finished}}"
SHORT = ["--trainer.max_completion_length", "40", "--trainer.num_generations", "8", "--trainer.max_steps", "3"]
GROUP = 8


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> Batches:
    """Advantages and scores of each batch that is trained on while the test runs."""
    seen: Batches = []
    made = StructuredGRPOTrainer._generate_and_score_completions

    def watched(self: StructuredGRPOTrainer, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        output = made(self, inputs)
        seen.append((output["advantages"].clone(), [one.score for one in self.latest]))
        return output

    monkeypatch.setattr(StructuredGRPOTrainer, "_generate_and_score_completions", watched)
    return seen


@pytest.fixture
def every_fifth_unjudged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every fifth score says that nothing could be said; the others vary more than a random model's answers do."""
    counter = iter(range(10**6))
    scored = Composite.score

    def spotty(self: Composite, *arguments: Any) -> Score:
        number = next(counter)
        score = scored(self, *arguments)
        if number % 5 == 4:
            return Score(value=None, parts=dict.fromkeys(score.parts))
        paid = {"answered": float(number % 3 > 0), "long": (number % 7) / 7}
        return replace(score, paid=paid, value=(paid["answered"] + 3 * paid["long"]) / 4)

    monkeypatch.setattr(Composite, "score", spotty)


def normalised(values: list[float | None]) -> list[float]:
    """(r - mean) / (deviation + 1e-4) over what was judged; 0 for what was not."""
    judged = torch.tensor([value for value in values if value is not None], dtype=torch.float32)
    return [0.0 if value is None else ((value - judged.mean()) / (judged.std() + 1e-4)).item() for value in values]


def groups(scores: list[Score]) -> list[list[Score]]:
    return [scores[start : start + GROUP] for start in range(0, len(scores), GROUP)]


def test_the_sum_is_normalised_in_its_group_without_the_unjudged(
    train: Callable[..., Path], batches: Batches, every_fifth_unjudged: None
) -> None:
    train("json.yaml", "--reward.parts", PARTS, *SHORT)
    assert len(batches) == 3
    for advantages, scores in batches:
        expected = [value for group in groups(scores) for value in normalised([score.value for score in group])]
        assert advantages.tolist() == pytest.approx(expected, abs=1e-4)
        assert any(expected)


def test_each_part_is_normalised_in_its_group_and_the_weighted_sum_in_the_batch(
    train: Callable[..., Path], batches: Batches, every_fifth_unjudged: None
) -> None:
    train("json.yaml", "--reward.parts", PARTS, "--reward.normalization", "parts", *SHORT)
    assert len(batches) == 3
    for advantages, scores in batches:
        sums: list[float | None] = []
        for group in groups(scores):
            parts = {name: normalised([score.paid.get(name) for score in group]) for name in ("answered", "long")}
            sums += [
                None if score.value is None else 0.25 * parts["answered"][place] + 0.75 * parts["long"][place]
                for place, score in enumerate(group)
            ]
        assert advantages.tolist() == pytest.approx(normalised(sums), abs=1e-3)


def test_parts_that_are_normalised_apart_have_curves_of_their_own(train: Callable[..., Path]) -> None:
    import json

    run = train("json.yaml", "--reward.parts", PARTS, "--reward.normalization", "parts", *SHORT)
    step = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
    assert {"rewards/answered", "rewards/long", "rewards/long/mean", "rewards/long/std"} <= step.keys()


def test_the_trainers_own_aggregation_is_refused_with_the_remedy(
    train: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        train("json.yaml", "--trainer.multi_objective_aggregation", "normalize_then_sum")
    assert "set reward.normalization" in capsys.readouterr().err
