"""The gradient that training follows is that of the objective which its mode states: on a model so small that all of
its strings can be enumerated, through the engine's own samples, masks and numbers, and the trainer's own loss."""

from pathlib import Path
from string import ascii_letters, digits
from typing import Any

import pytest
import torch

from benchmarks.gradient_check import (
    Enumeration,
    agreement,
    make_trainer,
    sampled_gradient,
    sampled_window,
    sobol_uniforms,
)
from benchmarks.letters import enumerable_model, letter_tokenizer
from envs.grammar import Grammar
from train.rollout_config import RolloutConfig

LETTERS, REGEX, LONGEST, ROWS, FRACTION = "abcde", "(b|c)(a|de)?", 4, 4096, 0.5


def pay(text: str) -> float:
    """Of what the grammar allows, and of what it does not, some is worth more."""
    return 0.4 * (text[:1] in ("c", "a")) + 0.3 * (text[-1:] == "e") + 0.3 * (len(text) == 2)


@pytest.mark.parametrize("mode", ["free", "mixed", "masked"])
def test_the_sampled_gradient_is_that_of_the_stated_objective(mode: Any, tmp_path: Path) -> None:
    trainer = make_trainer(
        tmp_path, RolloutConfig(grammar=mode, mixed_fraction=FRACTION, max_batch_rows=1024), regex=REGEX, rows=ROWS,
        longest=LONGEST, letters=LETTERS, pay=pay, model=enumerable_model(letter_tokenizer(LETTERS), scale=0.2),
    )  # fmt: skip
    with sobol_uniforms(LONGEST, rows=ROWS):
        found, baseline = sampled_gradient(trainer)
    exact = Enumeration(
        trainer.model, trainer.processing_class, Grammar(kind="regex", source=REGEX), longest=LONGEST, pay=pay
    )
    expected = {
        "free": exact.free(baseline),
        "mixed": exact.mixed(baseline, FRACTION),
        "masked": exact.masked(baseline),
    }
    cosine, ratio = agreement(found, expected[mode])
    assert cosine >= 0.999 and abs(ratio - 1) <= 0.01, (cosine, ratio)
    # The objectives are different ones.
    assert all(agreement(found, other)[0] < 0.99 for name, other in expected.items() if name != mode)
    if mode != "free":
        told = trainer._metrics["train"]["grammar/structure_gap"][0]
        assert told == pytest.approx(exact.structure_gap(), rel=0.01)


def test_choices_on_both_sides_of_a_words_border_are_trained(tmp_path: Path) -> None:
    """Masks of tokens 28 to 40, some of which reach the sign of the word of 31."""
    tokenizer = letter_tokenizer(ascii_letters + digits)
    letters = tokenizer.convert_ids_to_tokens(list(range(28, 41)))
    regex, rows, longest = f"[{''.join(letters[2:4])}][{''.join(letters)}]", 1024, 3

    def paid(text: str) -> float:
        return 0.5 * (text[:1] == letters[3]) + 0.5 * (text[1:2] in letters[:4])

    trainer = make_trainer(
        tmp_path, RolloutConfig(grammar="masked", max_batch_rows=1024), regex=regex, rows=rows, longest=longest,
        letters=ascii_letters + digits, pay=paid, model=enumerable_model(tokenizer, scale=0.2),
    )  # fmt: skip
    with sobol_uniforms(longest, rows=rows):
        found, baseline = sampled_gradient(trainer)
    exact = Enumeration(
        trainer.model, trainer.processing_class, Grammar(kind="regex", source=regex), longest=longest, pay=paid
    )
    cosine, ratio = agreement(found, exact.masked(baseline))
    assert cosine >= 0.999 and abs(ratio - 1) <= 0.01, (cosine, ratio)


def test_masses_that_weigh_tokens_are_those_of_the_policy_that_sampled(tmp_path: Path) -> None:
    """Over several steps Z p'/p_old is p'/q_old, whatever p' is by then."""
    trainer = make_trainer(
        tmp_path, RolloutConfig(grammar="mixed"), regex=REGEX, rows=64, longest=LONGEST, letters=LETTERS, pay=pay,
        num_iterations=2,
    )  # fmt: skip
    # All rows are one group, which keeps its order.
    inputs = sampled_window(trainer)
    rewards = torch.tensor([one.score.value for one in trainer.latest])
    is_masked = [bool(one.rollout.grammars) for one in trainer.latest]
    assert is_masked == [True] * 32 + [False] * 32
    for row, (one, advantage) in enumerate(zip(trainer.latest, rewards - rewards.mean(), strict=True)):
        own = slice(0, len(one.rollout.completion_ids))
        log_z = torch.tensor(one.rollout.log_z or [0.0] * own.stop)
        torch.testing.assert_close(inputs["advantages"][row, own], advantage * log_z.exp(), rtol=0, atol=1e-5)
        log_q = inputs["old_per_token_logps"][row, own] - log_z
        torch.testing.assert_close(log_q, torch.tensor(one.rollout.logprobs), rtol=0, atol=1e-4)
