"""Measures a model on held-out tasks and writes a report.

    python eval/run.py --config configs/eval/json.yaml --model runs/quickstart
    python eval/run.py --config configs/eval/sql.yaml --model Qwen/Qwen3-0.6B --heldout.tasks 100

``--model`` takes a run's directory, a model or adapter directory, a hub id, or package://NAME/FILE.gguf. The report is
written to OUTPUT/NAME: report.md, report.json, metrics.png, records.jsonl and the resolved config.yaml.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from accelerate import PartialState
from transformers.utils import logging as transformers_logging

from data.registry import load_tasks, make_reader
from decoding.decoder import require_window
from decoding.lockstep import leave_process_group
from decoding.models import ModelConfig, load_model, load_tokenizer, window
from decoding.token_budget import counting_tokens
from decoding.transformers_engine import TransformersEngine
from envs.configuration import Parsed, exit_with, parse
from envs.errors import ConfigurationError
from envs.registry import make_environment
from eval.config import EvalConfig
from eval.measurement import draw_tasks, evaluate
from eval.plots import save_metrics
from eval.report import metrics_table, whole_directory, write_evaluation


def run(parsed: Parsed[EvalConfig]) -> Path:
    """Evaluates as configured and returns the report's directory.

    Raises:
        ConfigurationError: whatever is wrong with the configuration, the model, the data or the output directory.
    """
    config = parsed.config
    directory = Path(config.output).expanduser() / config.name
    _require_free(directory)
    environment = make_environment(config.environment)
    config.heldout.require(environment)  # what cannot be measured is an error now, not after the model has loaded
    reading = load_tasks(make_reader(config.data, environment), environment, "heldout")
    tasks = draw_tasks(reading.tasks, config.heldout)
    tokenizer = load_tokenizer(config.model, config.chat_template_options)
    environment = counting_tokens(environment, tokenizer)
    model = load_model(ModelConfig(reference=config.model, dtype=config.dtype))
    require_window(tokenizer, environment, tasks, max_new_tokens=config.heldout.max_new_tokens, window=window(model))
    state = PartialState()
    engine = TransformersEngine(model.to(state.device), tokenizer, max_batch_rows=config.heldout.max_batch_rows)
    evaluation = evaluate(engine, tokenizer, environment, tasks, config.heldout, title="evaluate")
    if state.is_main_process:
        title = f"Evaluation: {config.name}"
        with whole_directory(directory) as building:
            write_evaluation(
                building,
                evaluation,
                title=title,
                model=config.model,
                resolved=parsed.resolved,
                skipped=reading.skipped,
            )
            save_metrics(building / "metrics.png", evaluation.measurements)
        print(f"\n{metrics_table(evaluation.measurements)}\n\nreport: {directory / 'report.md'}")
    return directory


def _require_free(directory: Path) -> None:
    """Checks that the report can be written, before hours are spent on what it shall say."""
    if directory.is_dir() and any(directory.iterdir()):
        raise ConfigurationError(f"'{directory}' already holds a report; choose another --name or remove it")
    home = next(parent for parent in (directory, *directory.absolute().parents) if parent.exists())
    if not home.is_dir() or not os.access(home, os.W_OK):
        raise ConfigurationError(f"'{home}' is no directory that can be written to; choose another --output")


def main(arguments: Sequence[str]) -> None:
    """Parses the command line and runs; a mistake that the user can mend ends in one line and exit code 2."""
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    torch.set_grad_enabled(False)
    try:
        run(parse(EvalConfig, arguments, description=__doc__ or ""))
        leave_process_group()
    except ConfigurationError as error:
        exit_with(error)


if __name__ == "__main__":
    main(sys.argv[1:])
