"""One evaluation from tasks to report: what eval/run.py does once, and eval/watch.py for each checkpoint."""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from accelerate import PartialState

from data.registry import load_tasks, make_reader
from decoding.models import load_tokenizer
from decoding.server_client import ServerError
from decoding.token_budget import counting_tokens
from envs.configuration import Parsed
from envs.environment import Environment
from envs.registry import make_environment
from envs.task import Task
from eval.config import HeldoutConfig
from eval.evaluation_directory import EvaluationDirectory, fingerprint_of_files, fingerprint_of_lines, held
from eval.journal import Journal, count_lines, cut_torn_lines
from eval.main_process import on_main
from eval.measurement import (
    AnswerSource,
    Evaluation,
    decoded_answers,
    draw_tasks,
    evaluate_answers,
    evaluation_from_json,
    metrics_of,
)
from eval.predictions import GOLD, ReadOnce, predicted_texts, prediction_source
from eval.record_lines import card_of, line_of
from eval.report import write_evaluation
from eval.run_config import EvalConfig
from eval.tracking import logged, open_run, require_login

SERVER_GONE = 3
INTERRUPTED = 130


class Unfinished(RuntimeError):
    """The evaluation ended early, through no mistake in it: what is finished is kept, and --resume goes on."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, kw_only=True)
class _Subject:
    """What is measured."""

    environment: Environment[Any]
    source: AnswerSource
    fingerprints: dict[str, str]


def run(parsed: Parsed[EvalConfig], *, resume: bool, title: str = "evaluate") -> EvaluationDirectory:
    """Evaluates as configured, or goes on with it. Everything that a user can get wrong is checked before the first
    file is written.

    Args:
        parsed: the configuration.
        resume: go on with what is there, or start where nothing is.
        title: what the progress bars say.

    Raises:
        ConfigurationError: whatever is wrong with the configuration, the model, the data or the output directory.
        Unfinished: the server was gone, or somebody interrupted it.
    """
    config = parsed.config
    directory = on_main(
        lambda: EvaluationDirectory.prepare(config.output, config.name, resolved=parsed.resolved, resume=resume)
    )
    if on_main(lambda: directory.is_finished):
        return directory
    on_main(lambda: require_login(config.tracking.wandb))
    environment = make_environment(config.environment)
    heldout = config.measured
    heldout.require(environment)  # what cannot be measured is an error now, not after the model has loaded
    reader = make_reader(config.data, environment)
    once = ReadOnce.of(reader, "heldout")
    reading = load_tasks(once, environment, "heldout")
    tasks = draw_tasks(reading.tasks, heldout)
    pairs = len(tasks) * len(heldout.decodings)
    try:
        with _subject(config, heldout, environment, tasks, once) as subject:
            _measure(parsed, directory, subject, tasks, heldout, reading.skipped, title)
    except ServerError as error:
        raise Unfinished(f"{error}; {_so_far(directory, pairs)}", SERVER_GONE) from error
    except KeyboardInterrupt as error:
        raise Unfinished(f"interrupted; {_so_far(directory, pairs)}", INTERRUPTED) from error
    if config.tracking.wandb != "disabled" and PartialState().is_main_process:
        _track(parsed, directory)
    return directory


def read_evaluation(directory: EvaluationDirectory) -> Evaluation:
    """What a finished evaluation has measured."""
    lines = (directory.path / "records.jsonl").read_text(encoding="utf-8").splitlines()
    summary = json.loads(directory.report.read_text(encoding="utf-8"))
    return evaluation_from_json(
        {"measurements": summary["measurements"], "records": [json.loads(line) for line in lines]}
    )


@contextmanager
def _subject(
    config: EvalConfig, heldout: HeldoutConfig, environment: Environment[Any], tasks: Sequence[Task], once: ReadOnce
) -> Iterator[_Subject]:
    """The model, loaded, or the file of predictions, read."""
    if config.predictions.path is not None:
        texts = predicted_texts(config.predictions, environment, once.reading, tasks)
        path = config.predictions.path
        yield _Subject(
            environment=environment,
            source=prediction_source(
                texts, environment, metrics_of(environment, heldout), at_once=heldout.max_batch_rows
            ),
            fingerprints={} if path == GOLD else {"predictions": fingerprint_of_files(path)},
        )
        return
    assert config.model is not None
    reference = config.engine.tokenizer_reference(config.model)
    tokenizer = load_tokenizer(reference, config.chat_template_options)
    environment = counting_tokens(environment, tokenizer)
    what = "tokenizer" if config.engine.name == "server" else "model"
    fingerprints = {what: fingerprint_of_files(reference)}
    with config.engine.opened(config.model, config.dtype, tokenizer, environment, tasks, heldout) as opened:
        source = decoded_answers(opened.engine, tokenizer, environment, heldout, window=opened.window)
        yield _Subject(environment=environment, source=source, fingerprints=fingerprints)


def _measure(
    parsed: Parsed[EvalConfig],
    directory: EvaluationDirectory,
    subject: _Subject,
    tasks: Sequence[Task],
    heldout: HeldoutConfig,
    skipped: dict[str, int],
    title: str,
) -> None:
    """Does what is left to do, and writes the report."""
    state = PartialState()
    cards = [card_of(task, subject.environment) for task in tasks] if state.is_main_process else []
    with ExitStack() as stack:

        def begin() -> bool:
            stack.enter_context(held(directory.lock, str(directory.path)))
            if directory.is_finished:  # by another process, meanwhile
                return False
            tasks_now = fingerprint_of_lines(map(line_of, cards))
            directory.begin(parsed.resolved, {**subject.fingerprints, "tasks": tasks_now})
            cut_torn_lines(directory.journal)
            return True

        if not on_main(begin):
            return
        journal = stack.enter_context(
            Journal(directory.journal, rank=state.process_index, processes=state.num_processes)
        )
        evaluation = evaluate_answers(subject.source, subject.environment, tasks, heldout, title=title, journal=journal)
        if state.is_main_process:
            costs = {(one.decoding, one.task): one.cost for one in journal.read()}
            with directory.report_files() as building:
                write_evaluation(
                    building,
                    evaluation,
                    title=f"Evaluation: {parsed.config.name}",
                    model=parsed.config.subject,
                    resolved=parsed.resolved,
                    skipped=skipped,
                    cards=cards,
                    costs=costs,
                )
        state.wait_for_everyone()


def _so_far(directory: EvaluationDirectory, pairs: int) -> str:
    return (
        f"{count_lines(directory.journal)} of {pairs} tasks are finished (those of every decoding counted), and"
        " --resume goes on"
    )


def _track(parsed: Parsed[EvalConfig], directory: EvaluationDirectory) -> None:
    """Sends the results to wandb. The report is there by now: a service that is not is no reason to lose it."""
    import wandb

    config = parsed.config
    try:
        with open_run(config.tracking, directory.path, name=config.name, resolved=parsed.resolved) as tracker:
            tracker.log(logged(read_evaluation(directory), answers=config.tracking.answers))
    except wandb.errors.Error as error:
        print(f"structrl: the report is written, but wandb has failed: {error}", file=sys.stderr)
