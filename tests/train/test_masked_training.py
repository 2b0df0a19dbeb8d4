"""Training under grammars: windows that are used twice, resumed in their midst, through trees, with other engines."""

import json
import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor

from benchmarks.gradient_check import PROMPT, make_trainer, sampled_window
from benchmarks.letters import Letters, enumerable_model, letter_tokenizer
from decoding.engine import Generation, Request
from decoding.replay_session import ReplaySession
from decoding.transformers_engine import TransformersEngine
from envs.errors import ConfigurationError
from train.advantages import CreditConfig
from train.rollout_config import RolloutConfig
from train.rollout_engine import named_weights

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
    for tells in (True, False):
        engine = Renormalising(tells=tells)
        config = RolloutConfig(grammar="mixed", engine="vllm", importance_cap=None)
        trainer = make_trainer(tmp_path, config, **GROUPS, engine=engine)
        inputs = sampled_window(trainer)
        found.append(inputs["advantages"] * inputs["completion_mask"])
        assert trainer._metrics["train"]["grammar/masked"] == [0.5]
        assert trainer._metrics["train"]["grammar/structure_gap"][0] > 0
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=1e-5)
    assert found[0].abs().sum() > 0


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


SEQUENCE_LEVEL: list[dict[str, Any]] = [
    {"importance_sampling_level": "sequence"}, {"loss_type": "luspo"}, {"loss_type": "vespo"},
    {"off_policy_mask_threshold": 0.5},
]  # fmt: skip


@pytest.mark.parametrize("mode", ["mixed", "masked"])
@pytest.mark.parametrize("options", SEQUENCE_LEVEL)
def test_weights_of_whole_texts_are_refused_under_masks_with_the_reason(
    tmp_path: Path, mode: Any, options: dict[str, Any]
) -> None:
    with pytest.raises(ConfigurationError, match=f"trainer.{next(iter(options))} .*product over its tokens"):
        make_trainer(tmp_path, RolloutConfig(grammar=mode), **GROUPS, **options)
    make_trainer(tmp_path, RolloutConfig(), **GROUPS, **options)


def test_tasks_without_a_grammar_are_refused_where_none_has_one_and_counted_where_some_have(tmp_path: Path) -> None:
    nothing = Letters(regex={})
    with pytest.raises(ConfigurationError, match="'letters' has no grammar for any of the 1 tasks"):
        make_trainer(tmp_path, RolloutConfig(grammar="masked"), **GROUPS, environment=nothing)
    one = Letters(regex={PROMPT: REGEX})
    trainer = make_trainer(
        tmp_path, RolloutConfig(grammar="masked"), **{**GROUPS, "rows": 16, "tasks": (PROMPT, "ab")}, environment=one
    )  # fmt: skip
    inputs = sampled_window(trainer)
    assert trainer._metrics["train"]["grammar/error"] == trainer._metrics["train"]["grammar/masked"] == [0.5]
    assert not trainer._compute_loss(trainer.model, inputs).isnan()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mixed_fraction": 1.0}, "mixed_fraction is 1; expected a number between 0 and 1"),
        ({"grammar": "mixed", "branching": 2, "first_branching": 1}, "first_branching is 1; set it to 2"),
        ({"importance_cap": 0.5}, "importance_cap is 0.5; expected a number from 1"),
        ({"engine": "vllm", "device": "cuda:1"}, "rollout.device 'cuda:1' is for the policy's own copy"),
    ],
)
def test_numbers_without_a_meaning_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        RolloutConfig(**options)


def test_models_in_which_no_hook_can_stand_are_refused_for_the_masked_policy(tmp_path: Path) -> None:
    from peft import PromptTuningConfig

    model = get_peft_model(
        enumerable_model(letter_tokenizer("abcde")), PromptTuningConfig(num_virtual_tokens=2, task_type="CAUSAL_LM")
    )
    with pytest.raises(ConfigurationError, match="tokens of its own"):
        make_trainer(tmp_path, RolloutConfig(grammar="masked"), **GROUPS, model=model)
    with pytest.raises(ConfigurationError, match="a compiled model does not call"):
        make_trainer(tmp_path, RolloutConfig(grammar="masked"), **GROUPS, torch_compile=True)
