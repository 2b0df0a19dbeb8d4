"""Does training under grammars follow the gradient that it should? Ours in each mode, and stock TRL beside it.

    python benchmarks/grammar_gradient.py
    python benchmarks/grammar_gradient.py --rows 32768

On a model of two layers and few tokens all strings can be enumerated, and with them the gradient of an objective.
Against it stands the gradient of one window of rollouts: sampled by the engine under real masks (with Sobol points for
its random numbers), judged, and put through the trainer's own loss.

`free`, `mixed` and `masked` are held against the objectives that `train/grammar_objective.py` states. `trl_default` and
`trl_no_is` are TRL's own GRPOTrainer, from `_generate_and_score_completions` to `_compute_loss`, fed the rollouts of
`masked` with log-probabilities renormalised over the mask, as vLLM gives them: with its default importance sampling
correction, and without one. They are held against the masked objective.

Of the other languages, `wide` has 64 tokens, of which it allows 28 to 40: their bits lie on both sides of a border
between the words of a mask, and on the sign of one. `long` has sentences of 20 tokens, half of which the grammar
forces.

`cosine` is 1 and `norm_ratio` (found by exact) is 1 where the gradient is right. The last line is one JSON object.
"""

import argparse
import json
import sys
import tempfile
import warnings
from pathlib import Path
from string import ascii_letters, digits
from typing import Any

import torch
from datasets import Dataset
from torch import Tensor
from trl import GRPOConfig, GRPOTrainer

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.gradient_check import (  # noqa: E402
    PROMPT,
    TEMPERATURE,
    Enumeration,
    agreement,
    flat_gradient,
    make_trainer,
    sampled_gradient,
    sobol_uniforms,
)
from benchmarks.letters import enumerable_model, letter_tokenizer  # noqa: E402
from envs.grammar import Grammar  # noqa: E402
from train.rollout_config import RolloutConfig  # noqa: E402
from train.rollouts import ScoredRollout  # noqa: E402

LETTERS, SCALE, FRACTION = "abcde", 0.2, 0.5
SHORT, SHORT_TOKENS = "(b|c)(a|de)?", 4
LONG, LONG_TOKENS = "(ab|cd){10}", 21
WIDE_LETTERS = ascii_letters + digits  # tokens 2 to 63
WIDE, WIDE_TOKENS = "[CD][A-M]?", 3


def pay(text: str) -> float:
    """Of what the grammar allows, and of what it does not, some is worth more."""
    return 0.4 * (text[:1] in ("c", "a")) + 0.3 * (text[-1:] == "e") + 0.3 * (len(text) == 2)


def long_pay(text: str) -> float:
    """More of one of the two choices of a long sentence is better, the sooner the better."""
    return sum(text[place : place + 2] == "cd" for place in range(0, 10, 2)) / 5


def wide_pay(text: str) -> float:
    """Pays for tokens on both sides of the border."""
    return 0.5 * (text[:1] == "D") + 0.5 * (text[1:2] in ("A", "B", "C", "D"))


def ours(
    mode: Any, regex: str, longest: int, rows: int, paying: Any, letters: str
) -> tuple[Any, Tensor, Enumeration, float]:
    """The trainer after a window, its gradient, the exact ones, and the mean reward, from which advantages count."""
    with tempfile.TemporaryDirectory() as directory, sobol_uniforms(longest, rows=rows):
        trainer = make_trainer(
            Path(directory), RolloutConfig(grammar=mode, mixed_fraction=FRACTION, max_batch_rows=1024), regex=regex,
            rows=rows, longest=longest, letters=letters, pay=paying, model=policy(letters),
        )  # fmt: skip
        found, baseline = sampled_gradient(trainer)
    grammar = Grammar(kind="regex", source=regex)
    return (
        trainer,
        found,
        Enumeration(policy(letters), trainer.processing_class, grammar, longest=longest, pay=paying),
        baseline,
    )


def policy(letters: str) -> Any:
    """The same one each time."""
    return enumerable_model(letter_tokenizer(letters), scale=SCALE)


def stock(rollouts: list[ScoredRollout], longest: int, letters: str, *, corrects: bool) -> Tensor:
    """The gradient of TRL's own trainer from the same rollouts, as if vLLM had made them."""

    def rolled_out(prompts: list[Any], trainer: GRPOTrainer) -> dict[str, list[Any]]:
        return {
            "prompt_ids": [list(one.rollout.prompt_ids) for one in rollouts],
            "completion_ids": [list(one.rollout.completion_ids) for one in rollouts],
            "logprobs": [list(one.rollout.logprobs) for one in rollouts],
            "paid": [one.score.value for one in rollouts],
        }

    def reward(paid: list[float], **columns: Any) -> list[float]:
        return paid

    rows = len(rollouts)
    with tempfile.TemporaryDirectory() as directory:
        trainer = GRPOTrainer(
            model=policy(letters),
            reward_funcs=reward,
            args=GRPOConfig(
                output_dir=directory, use_cpu=True, bf16=False, report_to=[], disable_tqdm=True,
                per_device_train_batch_size=rows, gradient_accumulation_steps=1, num_generations=rows,
                max_completion_length=longest, temperature=TEMPERATURE, loss_type="dr_grpo", scale_rewards="none",
                dataloader_pin_memory=False, gradient_checkpointing=False, save_strategy="no",
                vllm_importance_sampling_correction=corrects,
            ),
            train_dataset=Dataset.from_list([{"prompt": PROMPT}]),
            processing_class=letter_tokenizer(letters),
            rollout_func=rolled_out,
        )  # fmt: skip
        # From here on it takes the rollouts for those of a vLLM that has its weights.
        trainer.use_vllm = True
        trainer._last_loaded_step = trainer.state.global_step
        trainer.current_gradient_accumulation_steps = 1
        trainer.model.train()
        inputs = trainer._generate_and_score_completions([{"prompt": PROMPT} for _ in rollouts])
        trainer._compute_loss(trainer.model, inputs).backward()
    return -flat_gradient(trainer.model) * longest


def measured(found: Tensor, expected: Tensor) -> dict[str, float]:
    """What is reported of a gradient."""
    cosine, ratio = agreement(found, expected)
    return {"cosine": cosine, "norm_ratio": ratio}


def compare(
    regex: str, longest: int, rows: int, paying: Any, modes: tuple[str, ...], letters: str = LETTERS
) -> dict[str, dict[str, float]]:
    """All that is measured of one language."""
    found = {}
    for mode in modes:
        trainer, gradient, exact, baseline = ours(mode, regex, longest, rows, paying, letters)
        expected = exact.mixed(baseline, FRACTION) if mode == "mixed" else getattr(exact, mode)(baseline)
        found[mode] = measured(gradient, expected)
        if mode == "masked":
            for name, corrects in (("trl_default", True), ("trl_no_is", False)):
                found[name] = measured(stock(trainer.latest, longest, letters, corrects=corrects), expected)
    return found


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=16_384, help="rollouts of a window, best a power of two")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.manual_seed(0)
    short = compare(SHORT, SHORT_TOKENS, options.rows, pay, ("free", "mixed", "masked"))
    long = compare(LONG, LONG_TOKENS, min(options.rows, 4096), long_pay, ("masked",))
    wide = compare(WIDE, WIDE_TOKENS, options.rows, wide_pay, ("masked",), WIDE_LETTERS)
    for title, results in (("up to 4 tokens", short), ("20 tokens", long), ("2 of 64 tokens", wide)):
        print(f"\n{title:16} {'cosine':>10} {'norm ratio':>12}")
        for name, result in results.items():
            print(f"{name:16} {result['cosine']:10.5f} {result['norm_ratio']:12.4g}")
    print(json.dumps({"rows": options.rows, **short, "long": long, "wide": wide}))


if __name__ == "__main__":
    main()
