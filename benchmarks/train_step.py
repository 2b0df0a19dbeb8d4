"""A whole GRPO step on SQL tasks, generation to optimizer, against stock TRL with the same batch, in one run.

    python benchmarks/train_step.py
    python benchmarks/train_step.py --spider DIR --model Qwen/Qwen3-0.6B --device cuda --dtype bfloat16 --tasks 4

Stock is a `GRPOTrainer` of TRL with its own generation and a reward function that asks the same judge; ours is the
trainer of `train/`. Both have the same model, adapters (LoRA of rank 16 on all linear layers; `--full` trains all
weights), tasks in the same order, prompts, group size and optimizer, and no gradient checkpointing. Micro-batches
are of one group's size, those of TRL of `--trl-rows` for the sake of memory, which changes nothing in its loss. The
learning rate is so small that both models stay as they were. Every completion has exactly `--completion` tokens,
because special tokens are forbidden while generating, on both sides alike; `--natural` lets the model end its texts.

Timed are steps of `Trainer.train()` itself, between its callbacks: `generate_s` is what `_generate` takes without
judging, `judge_s` verdicts and rewards, `update_s` all else (forward, backward, clipping, optimizer). Each system has a
process of its own, and they take turns step by step; the first one warms up, medians of the others are reported. Peak
memory is the process' resident memory (on CUDA: what torch allocated) since all was loaded, the model included. The
last line is one JSON object.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset
from peft import LoraConfig
from transformers import PreTrainedTokenizerBase, PrinterCallback, TrainerCallback
from trl import GRPOConfig, GRPOTrainer

from decoding.models import ModelConfig, load_model, load_tokenizer
from envs.configuration import exit_with
from envs.errors import ConfigurationError
from envs.sql.task import SqlTask
from envs.transcript import Transcript
from rewards.composite import Composite
from rewards.configuration import PartConfig, RewardConfig
from train.advantages import CreditConfig
from train.reward_state import RewardState
from train.rollout_config import RolloutConfig
from train.trainer import StructuredGRPOTrainer

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks import measured_model, peer_trl  # noqa: E402

REWARD = RewardConfig(parts={"executed": PartConfig(weight=0.2), "correct": PartConfig(weight=0.8)})
PHASES = ("generate_s", "judge_s", "update_s")
RANK = 16


class StepClock(TrainerCallback):
    """Lets the trainer go one step a turn, and tells what each part of it took."""

    def __init__(self, turns: peer_trl.Turns) -> None:
        """
        Args:
            turns: when to go on.
        """
        self._turns = turns
        self._trainer: GRPOTrainer | None = None
        self._seconds: dict[str, float] = {}
        self._tokens: list[int] = []

    def watch(self, trainer: GRPOTrainer) -> None:
        """Times the parts of a trainer's steps."""
        self._trainer = trainer
        trainer._generate = self._timed("generate", trainer._generate)
        trainer._calculate_rewards = self._timed("judge", trainer._calculate_rewards)
        trainer.add_callback(self)

    def _timed(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any) -> Any:
            self._turns.synchronize()
            start = time.perf_counter()
            result = method(*arguments)
            self._turns.synchronize()
            self._seconds[name] = self._seconds.get(name, 0.0) + time.perf_counter() - start
            if name == "generate":
                self._tokens += map(len, result[1])
            return result

        return timed

    def _judged_inside(self) -> float:
        """Seconds that our trainer has spent judging within ``_generate``."""
        return self._trainer.ledger.judge_seconds if isinstance(self._trainer, StructuredGRPOTrainer) else 0.0

    def on_train_begin(self, *arguments: Any, **options: Any) -> None:
        """All is loaded."""
        self._turns.ready()

    def on_step_begin(self, *arguments: Any, **options: Any) -> None:
        """Waits for the turn."""
        self._turns.begin()
        self._seconds, self._tokens = {}, []
        self._inside = self._judged_inside()
        self._start = time.perf_counter()

    def on_step_end(self, *arguments: Any, **options: Any) -> None:
        """Tells of the step."""
        self._turns.synchronize()
        whole = time.perf_counter() - self._start
        inside = self._judged_inside() - self._inside
        generate, judge = self._seconds["generate"] - inside, self._seconds["judge"] + inside
        self._turns.end(
            {
                "step_s": whole,
                "generate_s": generate,
                "judge_s": judge,
                "update_s": whole - generate - judge,
                "tokens": sum(self._tokens),
            }
        )


def run_trl(options: argparse.Namespace, turns: peer_trl.Turns) -> None:
    """TRL's side."""
    tokenizer, tasks = load(options)
    composite = Composite(peer_trl.SQL, REWARD)

    def reward(
        completions: list[Any], completion_ids: list[list[int]], task: list[int], **columns: Any
    ) -> list[float | None]:
        episodes = [
            (tasks[place], Transcript.of(messages[0]["content"], tokens=len(ids)))
            for place, messages, ids in zip(task, completions, completion_ids, strict=True)
        ]
        return [composite.score(verdict).value for verdict in peer_trl.SQL.judge(episodes)]

    with tempfile.TemporaryDirectory() as directory:
        trainer = GRPOTrainer(
            model=policy(options),
            reward_funcs=reward,
            args=trainer_config(options, directory, options.trl_rows),
            train_dataset=Dataset.from_list(
                [{"prompt": peer_trl.SQL.prompt(task), "task": place} for place, task in enumerate(tasks)]
            ),
            processing_class=tokenizer,
            peft_config=adapters(options),
        )
        train(trainer, options, turns)


def run_ours(options: argparse.Namespace, turns: peer_trl.Turns) -> None:
    """Our side."""
    tokenizer, tasks = load(options)
    with tempfile.TemporaryDirectory() as directory:
        trainer = StructuredGRPOTrainer(
            model=policy(options),
            tokenizer=tokenizer,
            environment=peer_trl.SQL,
            composite=Composite(peer_trl.SQL, REWARD),
            normalization=REWARD.normalization,
            reward_state=RewardState(REWARD.unjudged),
            tasks=tasks,
            args=trainer_config(options, directory, options.group),
            rollout=RolloutConfig(max_batch_rows=options.tasks * options.group),
            credit=CreditConfig(),
            prefix_tree=True,
            peft_config=adapters(options),
        )
        train(trainer, options, turns)


def load(options: argparse.Namespace) -> tuple[PreTrainedTokenizerBase, list[SqlTask]]:
    """What both sides begin with: as many tasks as all steps need, in their order."""
    tokenizer = load_tokenizer(options.model)
    tasks = peer_trl.sql_tasks(options, tokenizer, options.tasks * (options.repeats + 1))
    # Golds run once before training.
    peer_trl.SQL.judge([(task, Transcript.of(peer_trl.SQL.reference(task))) for task in tasks])
    return tokenizer, tasks


def policy(options: argparse.Namespace) -> Any:
    """The model before training."""
    return load_model(ModelConfig(reference=options.model, dtype=options.dtype))


def adapters(options: argparse.Namespace) -> LoraConfig | None:
    """LoRA as runs have it; None trains all weights."""
    if options.full:
        return None
    return LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules="all-linear", task_type="CAUSAL_LM")


def trainer_config(options: argparse.Namespace, directory: str, rows: int) -> GRPOConfig:
    """The same for both, but for the ``rows`` of a micro-batch."""
    return GRPOConfig(
        output_dir=directory, report_to="none", disable_tqdm=True, save_strategy="no", logging_strategy="no",
        use_cpu=options.device == "cpu", dataloader_pin_memory=options.device != "cpu",
        bf16=options.dtype == "bfloat16", fp16=options.dtype == "float16", gradient_checkpointing=False,
        per_device_train_batch_size=rows, gradient_accumulation_steps=options.tasks * options.group // rows,
        num_generations=options.group, max_completion_length=options.completion, temperature=1.0, top_k=0,
        max_steps=options.repeats + 1, learning_rate=1e-8, lr_scheduler_type="constant", shuffle_dataset=False,
    )  # fmt: skip


def train(trainer: GRPOTrainer, options: argparse.Namespace, turns: peer_trl.Turns) -> None:
    """All steps, each in its turn."""
    generate = trainer._generate

    def generate_exactly(prompts: list[Any]) -> Any:
        model = trainer.model
        with peer_trl.fixed_lengths(model, peer_trl.special_ids(model, trainer.processing_class)):
            return generate(prompts)

    if not options.natural:
        trainer._generate = generate_exactly
    trainer.remove_callback(PrinterCallback)
    StepClock(turns).watch(trainer)
    trainer.train()


def benchmark(options: argparse.Namespace) -> dict[str, Any]:
    """Runs both systems by turns and returns what each took."""
    peers = [peer_trl.Peer("trl", run_trl, options), peer_trl.Peer("ours", run_ours, options)]
    try:
        results = dict(zip(("trl", "ours"), peer_trl.by_turns(peers, options.repeats, told), strict=True))
    finally:
        for peer in peers:
            peer.close()
    seconds = {
        name: {key: statistics.median(one[key] for one in ones) for key in ("step_s", *PHASES)}
        for name, ones in results.items()
    }
    return {
        "model": options.model,
        "data": "spider" if options.spider else "bundled",
        **{
            name: getattr(options, name)
            for name in ("tasks", "group", "completion", "trl_rows", "dtype", "full", "natural")
        },
        "trl_s": round(seconds["trl"]["step_s"], 3),
        "ours_s": round(seconds["ours"]["step_s"], 3),
        "ratio": round(seconds["trl"]["step_s"] / seconds["ours"]["step_s"], 3),
        **{name: {key: round(seconds[name][key], 3) for key in PHASES} for name in results},
        **{f"tokens_{name}": [one["tokens"] for one in ones] for name, ones in results.items()},
        **{f"peak_mib_{name}": max(one["peak_mib"] for one in ones) for name, ones in results.items()},
        "hardware": measured_model.hardware(options.device),
    }


def told(result: dict[str, Any]) -> str:
    """A step in words."""
    phases = ", ".join(f"{key.removesuffix('_s')} {result[key]:.2f} s" for key in PHASES)
    return f"{result['step_s']:.2f} s ({phases}), {result['tokens']} tokens, peak {result['peak_mib']} MiB"


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    peer_trl.add_common_options(parser)
    parser.add_argument("--tasks", type=int, default=1, help="tasks of a step (default: %(default)s)")
    parser.add_argument("--completion", type=int, default=64, help="tokens of a completion (default: %(default)s)")
    parser.add_argument(
        "--trl-rows", type=int, help="rows of TRL's micro-batches (default: 4, or the group without it)"
    )
    parser.add_argument("--full", action="store_true", help="train all weights instead of LoRA adapters")
    parser.add_argument("--natural", action="store_true", help="let the model end its texts")
    options = parser.parse_args(arguments)
    measured_model.require_options(parser, options, {"tasks": 1, "group": 2, "repeats": 1, "completion": 1})
    if options.trl_rows is None:
        options.trl_rows = 4 if options.group % 4 == 0 else options.group
    if options.trl_rows < 1 or options.group % options.trl_rows:
        parser.error(f"--trl-rows must divide --group {options.group}")
    return options


if __name__ == "__main__":
    peer_trl.quiet()
    try:
        print(json.dumps(benchmark(parse())))
    except ConfigurationError as error:
        exit_with(error)
