"""Rollouts from an engine beside the policy: its weights, and what is done about all that it computes otherwise."""

import itertools
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor

from benchmarks.gradient_check import make_trainer, sampled_window
from benchmarks.letters import Letters, enumerable_model, letter_tokenizer
from decoding.engine import Generation, Request
from decoding.replay_session import ReplaySession
from decoding.transformers_engine import TransformersEngine
from train.rollout_config import RolloutConfig
from train.rollout_engine import named_weights

REGEX = "(b|c)(a|de)?"
GROUPS: dict[str, Any] = {"regex": REGEX, "rows": 8, "group": 8, "longest": 4, "letters": "abcde"}
TASKS = ("ba", "ab", "cd", "ee")


class Renormalising:
    """Stands for vLLM: weights of its own, log q and no log Z, and an arithmetic that is off by a little."""

    def __init__(self, *, off_by: float = 0.0, tells: bool = False) -> None:
        self._tokenizer = letter_tokenizer("abcde")
        self._model = enumerable_model(self._tokenizer, seed=5).eval()
        self._off_by, self._tells = off_by, tells

    def load_weights(self, weights: Iterable[tuple[str, Tensor]]) -> None:
        self._model.load_state_dict(dict(weights))

    def generate(self, requests: Sequence[Request]) -> list[Generation]:
        made = TransformersEngine(self._model, self._tokenizer).generate(requests)
        return [
            Generation(
                token_ids=one.token_ids, logprobs=tuple(value + self._off_by for value in one.logprobs),
                log_z=one.log_z if self._tells else None, finish=one.finish, grammar=one.grammar,
            )
            for one in made
        ]  # fmt: skip

    def session(self) -> ReplaySession:
        return ReplaySession(self.generate)


def test_an_engine_that_tells_no_mass_gets_the_weights_of_one_that_does(tmp_path: Path) -> None:
    found = []
    # Without a difference in arithmetic the weights that make up for one are 1, and change nothing.
    for tells, cap in itertools.product((True, False), (None, 2.0)):
        engine = Renormalising(tells=tells)
        config = RolloutConfig(grammar="mixed", engine="vllm", importance_cap=cap)
        trainer = make_trainer(tmp_path, config, **GROUPS, engine=engine)
        inputs = sampled_window(trainer)
        found.append(inputs["advantages"] * inputs["completion_mask"])
        assert trainer._metrics["train"]["grammar/masked"] == [0.5]
        assert trainer._metrics["train"]["grammar/structure_gap"][0] > 0
    for other in found[1:]:
        torch.testing.assert_close(found[0], other, rtol=1e-4, atol=1e-5)
    assert found[0].abs().sum() > 0


def test_gaps_are_of_the_groups_that_are_trained_on_whether_the_engine_tells_masses_or_not(tmp_path: Path) -> None:
    # Only one task's sentences differ in what they are paid, so that it takes the place of the others.
    environment = Letters(regex={"ba": "b", "ab": REGEX, "cd": "b", "ee": "b"})
    gaps = []
    for tells in (True, False):
        trainer = make_trainer(
            tmp_path, RolloutConfig(grammar="masked", refill=3, engine="vllm", importance_cap=None),
            **{**GROUPS, "tasks": TASKS}, environment=environment, engine=Renormalising(tells=tells),
            pay=lambda text: float("c" in text),
        )  # fmt: skip
        sampled_window(trainer)
        assert trainer.batch is not None and trainer.batch.groups != trainer.batch.first
        assert {one.task.id for one in trainer.latest} == {"ab"}
        curves = trainer._metrics["train"]
        gaps.append([curves[f"grammar/structure_gap{name}"][0] for name in ("", "_per_token")])
    assert gaps[0] == pytest.approx(gaps[1], rel=1e-4) and gaps[0][0] > 0


@pytest.mark.parametrize("mode", ["free", "mixed", "masked"])
def test_weights_make_up_for_another_arithmetic_up_to_the_cap(tmp_path: Path, mode: Any) -> None:
    advantages = {}
    for off_by in (0.0, 0.5, -0.5):
        config = RolloutConfig(grammar=mode, engine="vllm", importance_cap=1.5)
        trainer = make_trainer(tmp_path, config, **GROUPS, engine=Renormalising(off_by=off_by))
        inputs = sampled_window(trainer)
        advantages[off_by] = inputs["advantages"] * inputs["completion_mask"]
        difference = trainer._metrics["train"]["importance/difference"][0]
        # The engine has taken over the trainer's weights: what is left is what its arithmetic adds.
        assert difference == pytest.approx(abs(off_by), abs=1e-4)
    assert trainer._metrics["train"]["importance/truncated"] == [1.0]
    torch.testing.assert_close(advantages[0.5], advantages[0.0] * math.exp(-0.5), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(advantages[-0.5], advantages[0.0] * 1.5, rtol=1e-4, atol=1e-5)


def test_weights_of_adapters_are_named_and_merged_as_in_checkpoints() -> None:
    model = enumerable_model(letter_tokenizer("abcde"))
    names = set(dict(model.named_parameters()))
    adapted = get_peft_model(model, LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False))
    own = {name: value.clone() for name, value in adapted.state_dict().items()}
    found = {name: value.clone() for name, value in named_weights(adapted)}
    assert set(found) == names and all(own[name].equal(value) for name, value in adapted.state_dict().items())
    ids = torch.tensor([[2, 3, 4]])
    expected = adapted(ids).logits
    plain = enumerable_model(letter_tokenizer("abcde"))
    plain.load_state_dict(found)
    torch.testing.assert_close(plain(ids).logits, expected, rtol=0, atol=1e-5)
