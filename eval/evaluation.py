"""One evaluation from tasks to report: what eval/run.py does once, and eval/watch.py for each checkpoint."""

import json
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from typing import Any

from accelerate import PartialState

from data.registry import load_tasks, make_reader
from decoding.models import load_tokenizer
from decoding.server_client import ServerError
from decoding.token_budget import counting_tokens
from envs.configuration import Parsed
from envs.configuration_keys import one_line
from envs.environment import Environment
from envs.registry import make_environment
from envs.task import Task
from eval.config import HeldoutConfig
from eval.evaluation_directory import EvaluationDirectory, fingerprint_of_files, fingerprint_of_lines, held
from eval.interruption import INTERRUPTED
from eval.journal import Journal, cut_torn_lines, finished_pairs
from eval.main_process import on_main
from eval.measurement import (
    AnswerSource,
    Evaluation,
    Measurement,
    decoded_answers,
    draw_tasks,
    evaluate_answers,
    measurements_from_json,
    metrics_of,
)
from eval.predictions import GOLD, ReadOnce, predicted_texts, prediction_source
from eval.record_lines import card_of, line_of, record_from_json
from eval.records import TaskCard
from eval.report import write_evaluation
from eval.run_config import EvalConfig
from eval.tracking import logged, open_run, require_login
from eval.whole_file import is_write_error, write_text

SERVER_GONE = 3
UNWRITABLE = 3


class Unfinished(RuntimeError):
    """The evaluation ended early, through no mistake in it: what is finished is kept, and --resume goes on."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, kw_only=True)
class _Subject:
    """What is measured."""

    environment: Environment[Any]
    fingerprints: dict[str, str]
    opened: Callable[[], AbstractContextManager[AnswerSource]]
    """Loads it."""


@dataclass(frozen=True, kw_only=True)
class _Job:
    """One evaluation, checked as far as it can be without its model."""

    parsed: Parsed[EvalConfig]
    directory: EvaluationDirectory
    heldout: HeldoutConfig
    subject: _Subject
    tasks: Sequence[Task]
    cards: Sequence[TaskCard]
    """Of the tasks; in the main process alone."""
    skipped: dict[str, int]
    title: str

    @property
    def source(self) -> dict[str, str]:
        """Fingerprints of what is measured. For the main process."""
        return {**self.subject.fingerprints, "tasks": fingerprint_of_lines(map(line_of, self.cards))}


def run(parsed: Parsed[EvalConfig], *, resume: bool, title: str = "evaluate") -> EvaluationDirectory:
    """Evaluates as configured, or goes on with it. Everything that a user can get wrong is checked before the first
    file is written.

    Args:
        parsed: the configuration.
        resume: go on with what is there, or start where nothing is.
        title: what the progress bars say.

    Raises:
        ConfigurationError: whatever is wrong with the configuration, the model, the data or the output directory.
        Unfinished: the server was gone, somebody interrupted it, or something could not be written.
    """
    config = parsed.config
    job = _prepared(parsed, resume, title)
    directory = job.directory
    if on_main(lambda: directory.is_finished):
        on_main(lambda: directory.require_same(job.source))
        if PartialState().is_main_process:
            print(f"'{directory.path}' is already finished: the same configuration, model and tasks", file=sys.stderr)
    else:
        _finish(job)
    if config.tracking.wandb != "disabled" and PartialState().is_main_process and not directory.logged.exists():
        _track(parsed, directory)
    return directory


def _prepared(parsed: Parsed[EvalConfig], resume: bool, title: str) -> _Job:
    config = parsed.config
    heldout = config.measured
    decodings = _plain_decodings(heldout)
    directory = on_main(
        lambda: EvaluationDirectory.prepare(
            config.output, config.name, resolved=parsed.resolved, resume=resume, decodings=decodings
        )
    )
    on_main(lambda: require_login(config.tracking.wandb))
    environment = make_environment(config.environment)
    heldout.require(environment)  # what cannot be measured is an error now, not after the model has loaded
    once = ReadOnce.of(make_reader(config.data, environment), "heldout")
    reading = load_tasks(once, environment, "heldout")
    tasks = draw_tasks(reading.tasks, heldout)
    subject = _subject(config, heldout, environment, tasks, once)
    is_main = PartialState().is_main_process
    return _Job(
        parsed=parsed,
        directory=directory,
        heldout=heldout,
        subject=subject,
        tasks=tasks,
        cards=[card_of(task, subject.environment) for task in tasks] if is_main else [],
        skipped=reading.skipped,
        title=title,
    )


def _finish(job: _Job) -> None:
    """Loads what is measured, and measures it; whatever ends it early says how far it came."""
    try:
        with job.subject.opened() as source:
            _measure(job, source)
    except ServerError as error:
        raise Unfinished(f"{error}; {_so_far(job)}", SERVER_GONE) from error
    except KeyboardInterrupt as error:
        raise Unfinished(f"interrupted; {_so_far(job)}", INTERRUPTED) from error
    except OSError as error:
        if not is_write_error(error):
            raise
        home = next(each for each in (job.directory.path, *job.directory.path.absolute().parents) if each.exists())
        free = f"{shutil.disk_usage(home).free / 2**20:,.0f} MiB are free there"
        raise Unfinished(f"{error}; {free}; {_so_far(job)}", UNWRITABLE) from error


def read_evaluation(directory: EvaluationDirectory) -> Evaluation:
    """What a finished evaluation has measured, and every answer."""
    lines = (directory.path / "records.jsonl").read_text(encoding="utf-8").splitlines()
    records = tuple(record_from_json(json.loads(line)) for line in lines)
    return Evaluation(measurements=read_measurements(directory), records=records)


def read_measurements(directory: EvaluationDirectory) -> dict[str, Measurement]:
    """What a finished evaluation has measured, without its answers, which are many."""
    return measurements_from_json(json.loads(directory.report.read_text(encoding="utf-8"))["measurements"])


def _subject(
    config: EvalConfig, heldout: HeldoutConfig, environment: Environment[Any], tasks: Sequence[Task], once: ReadOnce
) -> _Subject:
    """The model, not loaded yet, or the file of predictions, read."""
    if (path := config.predictions.path) is not None:
        texts = predicted_texts(config.predictions, environment, once.reading, tasks)
        metrics = metrics_of(environment, heldout)
        given = prediction_source(texts, environment, metrics, at_once=heldout.max_batch_rows)
        fingerprints = {} if path == GOLD else {"predictions": fingerprint_of_files(path)}
        return _Subject(environment=environment, fingerprints=fingerprints, opened=lambda: nullcontext(given))
    model = config.model
    assert model is not None
    reference = config.engine.tokenizer_reference(model)
    tokenizer = load_tokenizer(reference, config.chat_template_options)
    counting = counting_tokens(environment, tokenizer)
    what = "tokenizer" if config.engine.name == "server" else "model"

    @contextmanager
    def opened() -> Iterator[AnswerSource]:
        with config.engine.opened(model, config.dtype, tokenizer, counting, tasks, heldout) as loaded:
            yield decoded_answers(loaded.engine, tokenizer, counting, heldout, window=loaded.window)

    return _Subject(environment=counting, fingerprints={what: fingerprint_of_files(reference)}, opened=opened)


def _measure(job: _Job, source: AnswerSource) -> None:
    """Does what is left to do, and writes the report."""
    state, directory = PartialState(), job.directory
    with ExitStack() as stack:

        def begin() -> bool:
            stack.enter_context(held(directory.lock, str(directory.path)))
            if directory.is_finished:  # by another process, meanwhile
                return False
            directory.begin(job.parsed.resolved, job.source, _plain_decodings(job.heldout))
            cut_torn_lines(directory.journal)
            return True

        if not on_main(begin):
            return
        journal = stack.enter_context(
            Journal(directory.journal, rank=state.process_index, processes=state.num_processes)
        )
        evaluation = evaluate_answers(
            source, job.subject.environment, job.tasks, job.heldout, title=job.title, journal=journal
        )
        if state.is_main_process:
            costs = {(one.decoding, one.task): one.cost for one in journal.read()}
            with directory.report_files() as building:
                write_evaluation(
                    building,
                    evaluation,
                    title=f"Evaluation: {job.parsed.config.name}",
                    model=job.parsed.config.subject,
                    resolved=job.parsed.resolved,
                    skipped=job.skipped,
                    cards=job.cards,
                    costs=costs,
                )
        state.wait_for_everyone()


def _plain_decodings(heldout: HeldoutConfig) -> dict[str, Any]:
    """Name -> configuration as plain values: what the journal keeps is found by the name."""
    return {name: json.loads(json.dumps(asdict(decoding))) for name, decoding in heldout.decodings.items()}


def _so_far(job: _Job) -> str:
    wanted = {(name, task.id) for name in job.heldout.decodings for task in job.tasks}
    done = len(wanted & finished_pairs(job.directory.journal))
    return f"{done} of {len(wanted)} tasks are finished (those of every decoding counted), and --resume goes on"


def _track(parsed: Parsed[EvalConfig], directory: EvaluationDirectory) -> None:
    """Sends the results to wandb. The report is there by now: a service that is not is no reason to lose it."""
    import wandb

    config = parsed.config
    tracking = config.tracking
    assert tracking.wandb != "disabled"
    options = {"name": config.name, "resolved": parsed.resolved, "job_type": "evaluation"}
    try:
        with open_run(tracking.wandb, tracking.project, directory.path, **options) as tracker:
            tracker.log(logged(read_evaluation(directory), answers=tracking.answers))
            sent_to = tracker.id
        write_text(directory.logged, f"{sent_to}\n")
    except KeyboardInterrupt as error:
        raise Unfinished("interrupted; the report is written, and --resume sends it to wandb", INTERRUPTED) from error
    except (wandb.errors.Error, OSError) as error:
        print(
            f"structrl: the report is written, but wandb has failed: {one_line(str(error))}; --resume sends it again",
            file=sys.stderr,
        )
