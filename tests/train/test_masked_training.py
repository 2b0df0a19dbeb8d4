"""Training under grammars: windows that are used twice, resumed in their midst, through trees, with other engines."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model

from benchmarks.gradient_check import make_trainer, sampled_window
from benchmarks.letters import Letters, enumerable_model, letter_tokenizer
from envs.errors import ConfigurationError
from train.advantages import CreditConfig
from train.rollout_config import RolloutConfig

REGEX = "(b|c)(a|de)?"
GROUPS: dict[str, Any] = {"regex": REGEX, "rows": 8, "group": 8, "longest": 4, "letters": "abcde"}
TASKS = ("ba", "ab", "cd", "ee")


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_configuration_trains_the_masked_policy_and_its_curves_tell_how_far_the_free_one_is(
    train: Callable[..., Path],
) -> None:
    run = train(
        "math.yaml", "--trainer.max_completion_length", "40", "--rollout.grammar", "masked",
        "--heldout.decodings", "{free: {temperature: 1.0}}",
        "--trainer.num_iterations", "2", "--trainer.beta", "0.1", "--trainer.gradient_accumulation_steps", "1",
    )  # fmt: skip
    first, second = lines(run / "metrics.jsonl")
    assert first["grammar/masked"] == 1 and first["grammar/error"] == 0
    assert first["grammar/structure_gap"] > first["grammar/structure_gap_per_token"] > 0
    assert not math.isnan(first["loss"]) and not math.isnan(second["loss"]) and second["kl"] >= 0


def weights_after(directory: Path, steps: int, resume: Path | None = None, **options: Any) -> tuple[list[Any], Any]:
    """The logged lines of a run of some steps, and the weights at its end."""
    trainer = make_trainer(
        directory, RolloutConfig(grammar="masked"), **{**GROUPS, "tasks": TASKS, **options},
        gradient_accumulation_steps=2, steps_per_generation=4, num_iterations=2, beta=0.1, learning_rate=5e-2,
        save_strategy="steps", save_steps=1, logging_steps=1, max_steps=steps,
    )  # fmt: skip
    trainer.train(resume_from_checkpoint=None if resume is None else str(resume))
    return trainer.state.log_history, {name: value.clone() for name, value in trainer.model.state_dict().items()}


@pytest.mark.parametrize("prefix_tree", [True, False])
def test_a_masked_run_that_was_stopped_in_the_midst_of_a_window_goes_on_as_if_it_had_not_been(
    tmp_path: Path, prefix_tree: bool
) -> None:
    # A window is 4 micro-batches, used twice: 4 steps. The stop is within its second use.
    log, weights = weights_after(tmp_path / "straight", 6, prefix_tree=prefix_tree)
    weights_after(tmp_path / "stopped", 3, prefix_tree=prefix_tree)
    resume = tmp_path / "stopped" / "checkpoint-3"
    resumed_log, resumed = weights_after(tmp_path / "stopped", 6, resume, prefix_tree=prefix_tree)
    for key in ("loss", "grad_norm", "kl", "entropy"):
        kept = [[line[key] for line in one if key in line] for one in (log, resumed_log)]
        assert kept[0] == kept[1] and len(kept[0]) == 6, key
    assert all(weights[name].equal(resumed[name]) for name in weights)
    # The second use of a window is off its policy, which has left the reference.
    assert log[2]["loss"] != log[0]["loss"] and log[2]["kl"] > 0


def test_what_is_sampled_scores_as_the_engine_recorded_it(tmp_path: Path) -> None:
    trainer = make_trainer(
        tmp_path, RolloutConfig(grammar="masked"), **{**GROUPS, "rows": 16, "tasks": TASKS}, num_iterations=2
    )  # fmt: skip
    inputs = sampled_window(trainer)
    rollouts = [one.rollout for one in trainer.latest]
    grammar = trainer._grammar
    assert grammar is not None
    grammar.take_inputs(inputs)
    # Groups change places when a window is split.
    texts = [(list(one.prompt_ids), list(one.completion_ids)) for one in rollouts]
    rows_of_inputs = zip(unpadded(inputs, "prompt"), unpadded(inputs, "completion"), strict=True)
    order = [texts.index(own) for own in rows_of_inputs]
    ids, seen = (torch.cat([inputs[f"prompt_{name}"], inputs[f"completion_{name}"]], dim=1) for name in ("ids", "mask"))
    width = inputs["completion_ids"].shape[1]
    with torch.no_grad():
        rows = super(type(trainer), trainer)._get_per_token_logps_and_entropies
        scores = grammar.score(rows, trainer.model, ids, seen, width, 16)
    for row, place in enumerate(order):
        rollout = rollouts[place]
        length = len(rollout.completion_ids)
        recorded = torch.tensor([list(rollout.logprobs), list(rollout.log_z or ())])
        torch.testing.assert_close(scores.log_q[row, :length], recorded[0], rtol=0, atol=1e-4)
        torch.testing.assert_close(scores.log_z[row, :length], recorded[1], rtol=0, atol=1e-4)
        torch.testing.assert_close(inputs["old_per_token_logps"][row, :length], recorded[0], rtol=0, atol=1e-4)
    assert any(sum(one.log_z or ()) < -1 for one in rollouts)


def unpadded(inputs: dict[str, Any], name: str) -> list[list[int]]:
    pairs = zip(inputs[f"{name}_ids"], inputs[f"{name}_mask"], strict=True)
    return [ids[mask.bool()].tolist() for ids, mask in pairs]


@pytest.mark.parametrize("adapter", [False, True])
def test_trees_and_rows_give_the_masked_loss_and_its_gradient(tmp_path: Path, adapter: bool) -> None:
    found = []
    for prefix_tree in (True, False):
        model = None
        if adapter:
            torch.manual_seed(1)
            model = enumerable_model(letter_tokenizer("abcde"))
            model = get_peft_model(model, LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False))
        trainer = make_trainer(
            tmp_path, RolloutConfig(grammar="masked"), **GROUPS, prefix_tree=prefix_tree, model=model, beta=0.1,
            entropy_coef=0.1,
        )  # fmt: skip
        inputs = sampled_window(trainer)
        loss = trainer._compute_loss(trainer.model, inputs)
        loss.backward()
        gradient = torch.cat([p.grad.flatten() for p in trainer.model.parameters() if p.grad is not None])
        found.append((loss.detach(), gradient))
    torch.testing.assert_close(found[0][0], found[1][0], rtol=0, atol=1e-6)
    assert (found[0][1] - found[1][1]).norm() <= 1e-5 * found[1][1].norm() and found[1][1].norm() > 0


def test_turns_of_a_tree_are_held_to_the_grammar_each_from_its_own_start(tmp_path: Path) -> None:
    environment = Letters(regex="(b|c)(a|de)?f", stops=("f",), observation="gg")
    trainer = make_trainer(
        tmp_path, RolloutConfig(grammar="masked", branching=2), **{**GROUPS, "letters": "abcdefg", "longest": 12},
        environment=environment, credit=CreditConfig(advantage="siblings"),
    )  # fmt: skip
    inputs = sampled_window(trainer)
    spans = [one.rollout.grammars for one in trainer.latest]
    assert all(len(own) == 2 and own[1].start == own[0].end + 2 for own in spans)
    loss = trainer._compute_loss(trainer.model, inputs)
    loss.backward()
    assert any(p.grad.abs().sum() > 0 for p in trainer.model.parameters())


@pytest.mark.parametrize("prefix_tree", [True, False])
def test_what_went_on_freely_after_a_limit_of_its_matcher_is_scored_as_free(tmp_path: Path, prefix_tree: bool) -> None:
    # No token writes the z: after a d the matcher allows nothing, and the text goes on without it.
    trainer = make_trainer(
        tmp_path, RolloutConfig(grammar="masked"), **{**GROUPS, "regex": "(b|c)(a|dz)?", "rows": 16, "group": 16},
        num_iterations=2, prefix_tree=prefix_tree,
    )  # fmt: skip
    inputs = sampled_window(trainer)
    rollouts = [one.rollout for one in trainer.latest]
    assert any(one.grammar_error is not None and one.grammars for one in rollouts)
    # Without trees the rows of a window change places.
    texts = [list(one.completion_ids) for one in rollouts]
    for row, ids in enumerate(unpadded(inputs, "completion")):
        one = rollouts[texts.index(ids)]
        own = inputs["old_per_token_logps"][row, : len(ids)]
        torch.testing.assert_close(own, torch.tensor(list(one.logprobs)), rtol=0, atol=1e-4)
    loss = trainer._compute_loss(trainer.model, inputs)
    loss.backward()
    assert loss.isfinite()


def test_a_window_of_masked_rollouts_is_refused_to_a_run_in_another_mode(tmp_path: Path) -> None:
    options: dict[str, Any] = {
        **GROUPS, "tasks": TASKS, "gradient_accumulation_steps": 2, "steps_per_generation": 4, "num_iterations": 2,
    }  # fmt: skip
    trainer = make_trainer(
        tmp_path, RolloutConfig(grammar="masked"), **options, save_strategy="steps", save_steps=1, max_steps=1
    )
    trainer.train()
    checkpoint = str(tmp_path / "checkpoint-1")
    trainer.require_resumable(checkpoint)
    other = make_trainer(tmp_path, RolloutConfig(grammar="mixed"), **options)
    with pytest.raises(ConfigurationError, match="rollout.grammar was masked and is mixed"):
        other.require_resumable(checkpoint)
