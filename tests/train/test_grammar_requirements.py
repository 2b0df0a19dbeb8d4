"""What training under grammars refuses before anything is sampled, or loaded, with the reason."""

from pathlib import Path
from typing import Any

import pytest
from peft import get_peft_model
from transformers import ByT5Tokenizer

from benchmarks import gradient_check
from benchmarks.gradient_check import PROMPT, make_trainer, sampled_window
from benchmarks.letters import Letters, enumerable_model, letter_tokenizer
from envs.errors import ConfigurationError
from train import grammar_requirements
from train.rollout_config import RolloutConfig

REGEX = "(b|c)(a|de)?"
GROUPS: dict[str, Any] = {"regex": REGEX, "rows": 8, "group": 8, "longest": 4, "letters": "abcde"}

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


@pytest.mark.parametrize(
    ("regex", "longest", "reason"),
    [
        ("(ab|cd){10}", 4, "no sentence of the grammar was found within 4 tokens"),
        ("(", 4, "1 different ones were tried"),
        ("[^\\x00-\\U0010FFFF]", 4, "1 different ones were tried"),
    ],
)
@pytest.mark.parametrize("mode", ["mixed", "masked"])
def test_grammars_none_of_which_can_be_applied_are_refused_with_the_reason(
    tmp_path: Path, mode: Any, regex: str, longest: int, reason: str
) -> None:
    options = {**GROUPS, "regex": regex, "longest": longest}
    with pytest.raises(ConfigurationError, match=f"none can be applied .that of task 'ba': .+|{reason}") as error:
        make_trainer(tmp_path, RolloutConfig(grammar=mode), **options)
    assert reason in str(error.value) and "(that of task 'ba': " in str(error.value)
    make_trainer(tmp_path, RolloutConfig(), **options)


def test_one_grammar_that_can_be_applied_is_enough_if_it_is_among_those_that_are_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = Letters(regex={"ba": "(", "ab": "a(", "cd": "(", "ee": REGEX})
    options: dict[str, Any] = {**GROUPS, "tasks": ("ba", "ab", "cd", "ee"), "environment": environment}
    make_trainer(tmp_path, RolloutConfig(grammar="masked"), **options)
    monkeypatch.setattr(grammar_requirements, "MOST_TRIED", 2)
    with pytest.raises(ConfigurationError, match="for the 4 tasks, 2 different ones were tried"):
        make_trainer(tmp_path, RolloutConfig(grammar="masked"), **options)


def test_the_first_turn_must_have_room_for_a_sentence(tmp_path: Path) -> None:
    options = {**GROUPS, "regex": "abcd", "longest": 20}
    make_trainer(tmp_path, RolloutConfig(grammar="masked", max_turn_tokens=4), **options)
    with pytest.raises(ConfigurationError, match="within 3 tokens"):
        make_trainer(tmp_path, RolloutConfig(grammar="masked", max_turn_tokens=3), **options)


def test_a_tokenizer_that_no_grammar_can_read_is_refused_at_construction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = ByT5Tokenizer()
    slow.chat_template = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
    monkeypatch.setattr(gradient_check, "letter_tokenizer", lambda letters: slow)
    model = enumerable_model(slow)
    with pytest.raises(ConfigurationError, match="grammars need a fast tokenizer"):
        make_trainer(tmp_path, RolloutConfig(grammar="masked"), **GROUPS, model=model)
    make_trainer(tmp_path, RolloutConfig(), **GROUPS, model=model)
