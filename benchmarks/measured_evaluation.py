"""What benchmarks of decoders measure on: environment, tasks and budgets of an evaluation's configuration, a model."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from benchmarks import measured_model
from data.registry import load_tasks, make_reader
from decoding.decoder import require_window
from decoding.models import ModelConfig, load_model, load_tokenizer, window
from decoding.token_budget import counting_tokens
from decoding.transformers_engine import TransformersEngine
from envs.configuration import parse
from envs.environment import Environment
from envs.registry import make_environment
from envs.task import Task
from eval.config import HeldoutConfig
from eval.measurement import draw_tasks
from eval.run_config import EvalConfig


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What all sides of a comparison have in common."""

    engine: TransformersEngine
    tokenizer: Any
    environment: Environment[Any]
    tasks: Sequence[Task]
    heldout: HeldoutConfig


def add_evaluation_options(parser: argparse.ArgumentParser) -> None:
    """The configuration, the model, and how many tasks are decoded how."""
    measured_model.add_model_options(parser)
    parser.add_argument("--config", required=True, help="of an evaluation, as eval/run.py takes it")
    parser.add_argument("--tasks", type=int, default=60, help="held-out tasks, drawn by seed 0 (default: %(default)s)")
    parser.add_argument("--temperature", type=float, default=0.8, help="default: %(default)s")
    parser.add_argument("--rows", type=int, default=32, help="rows in a batch (default: %(default)s)")


def open_bench(options: argparse.Namespace) -> Bench:
    """Loads what the options of ``add_evaluation_options`` name.

    Raises:
        ConfigurationError: the configuration, the data or the model cannot be used.
    """
    given = ["--config", options.config, "--model", options.model, "--heldout.tasks", str(options.tasks)]
    config = parse(EvalConfig, given, description="").config
    heldout = replace(config.heldout, max_batch_rows=options.rows)
    environment = make_environment(config.environment)
    heldout.require(environment)
    tasks = draw_tasks(load_tasks(make_reader(config.data, environment), environment, "heldout").tasks, heldout)
    tokenizer = load_tokenizer(options.model, config.chat_template_options)
    environment = counting_tokens(environment, tokenizer)
    model = load_model(ModelConfig(reference=options.model, dtype=options.dtype)).to(options.device)
    require_window(tokenizer, environment, tasks, max_new_tokens=heldout.max_new_tokens, window=window(model))
    engine = TransformersEngine(model, tokenizer, max_batch_rows=options.rows)
    return Bench(engine=engine, tokenizer=tokenizer, environment=environment, tasks=tasks, heldout=heldout)
