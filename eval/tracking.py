"""Weights & Biases: metrics with their intervals, costs, and a table of answers.

Not covered: other trackers.
"""

import os
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from envs.errors import ConfigurationError
from eval.measurement import Evaluation
from eval.records import Record

RUN_ID_FILE = "wandb-run-id"
STEP = "eval/step"
ANSWER_COLUMNS = ("task", "decoding", "sample", "text", "answer", "error", "unjudged", "tokens")
LONGEST_CELL = 4000


@dataclass(frozen=True, kw_only=True)
class TrackingConfig:
    """Where the results go besides the report."""

    wandb: Literal["disabled", "offline", "online"] = "disabled"
    """Whether they go to Weights & Biases, or to files that ``wandb sync`` sends later."""
    project: str = "structrl"
    """The wandb project."""
    answers: int = 200
    """Most answers of each decoding in the table."""

    def __post_init__(self) -> None:
        if self.answers < 0:
            raise ConfigurationError(f"tracking.answers is {self.answers}; expected an integer from 0")


def require_login(mode: Literal["disabled", "offline", "online"]) -> None:
    """Checks that an online run can be opened without asking anybody.

    Raises:
        ConfigurationError: there is no API key.
    """
    if mode != "online":
        return
    import wandb

    if not wandb.login(prompt=False):
        raise ConfigurationError(
            "tracking.wandb=online but there is no API key: set WANDB_API_KEY, run 'wandb login', "
            "or use tracking.wandb=offline and 'wandb sync' later"
        )


def run_id(directory: Path) -> str:
    """The id of a directory's wandb run: kept in a file, so that whoever goes on draws on in the same curves."""
    file = directory / RUN_ID_FILE
    if not file.exists():
        file.write_text(uuid.uuid4().hex[:8], encoding="utf-8")
    return file.read_text(encoding="utf-8").strip()


def open_run(
    mode: Literal["offline", "online"],
    project: str,
    directory: Path,
    *,
    name: str,
    resolved: str,
    job_type: str | None = None,
) -> Any:
    """Opens a wandb run, or continues the one whose id is kept in its directory. In the main process only.

    Args:
        mode: where it goes.
        project: of wandb.
        directory: where its files and its id are kept.
        name: of the run.
        resolved: the configuration as YAML.
        job_type: what wandb groups runs by.
    """
    import wandb

    os.environ.setdefault("WANDB_SILENT", "true")
    return wandb.init(
        project=project,
        name=name,
        id=run_id(directory),
        resume="allow" if mode == "online" else None,
        mode=mode,
        dir=str(directory),
        job_type=job_type,
        config=yaml.safe_load(resolved),
        settings=wandb.Settings(silent=True),
    )


def join_run(config: TrackingConfig, run: Path, directory: Path) -> Any:
    """Joins the wandb run of a training run, which may go on meanwhile in another process.

    Online both write to one run (wandb's shared mode: this process neither ends it nor replaces its files). Offline
    each process has files of its own; ``wandb sync`` of them puts both into the run whose id they share. Either way
    the training's steps are left alone: what is logged has an axis of its own, ``eval/step``.

    Args:
        config: where it goes; not ``disabled``.
        run: the training run's directory, with its id.
        directory: where this process's files are kept.
    """
    import wandb

    os.environ.setdefault("WANDB_SILENT", "true")
    # Several watchers may begin in the same second, after which wandb names its folders.
    wishes: dict[str, Any] = {"mode": config.wandb, "x_sync_dir_suffix": str(os.getpid())}
    if config.wandb == "online":
        wishes |= {"mode": "shared", "x_primary": False, "x_label": "evaluation", "x_update_finish_state": False}
    options = {name: value for name, value in wishes.items() if name in wandb.Settings.model_fields}
    directory.mkdir(parents=True, exist_ok=True)
    joined = wandb.init(
        project=config.project,
        id=run_id(run),
        dir=str(directory),
        settings=wandb.Settings(silent=True, **options),
    )
    joined.define_metric(STEP)
    joined.define_metric("eval/*", step_metric=STEP)
    return joined


def logged(evaluation: Evaluation, *, answers: int, step: int | None = None) -> dict[str, Any]:
    """What a run is told of an evaluation: each metric with its interval, each cost, and the table of answers.

    Args:
        evaluation: what was measured.
        answers: most rows of each decoding.
        step: of the checkpoint; None: it is none of a training run.
    """
    import wandb

    values: dict[str, Any] = {} if step is None else {STEP: step}
    for decoding, measurement in evaluation.measurements.items():
        for metric, estimate in measurement.metrics.items():
            if estimate is not None:
                place = f"eval/{decoding}/{metric}"
                values |= {place: estimate.mean, f"{place}/low": estimate.low, f"{place}/high": estimate.high}
        values |= {f"eval/{decoding}/cost/{name}": value for name, value in asdict(measurement.ledger).items()}
    metrics = list(next(iter(evaluation.measurements.values())).metrics)
    columns = [*(("step",) if step is not None else ()), *ANSWER_COLUMNS, *metrics]
    table = wandb.Table(columns=columns)
    for record in _first(evaluation.records, answers):
        row = [*_row(record), *(record.metrics[metric] for metric in metrics)]
        table.add_data(*(row if step is None else [step, *row]))
    if answers:
        values["eval/answers"] = table
    return values


def _first(records: Sequence[Record], most: int) -> list[Record]:
    """The first ``most`` of each decoding."""
    by_decoding: dict[str, list[Record]] = {}
    for record in records:
        by_decoding.setdefault(record.decoding, []).append(record)
    return [record for each in by_decoding.values() for record in each[:most]]


def _row(record: Record) -> list[Any]:
    return [
        _cell(record.task),
        record.decoding,
        record.sample,
        _cell(record.text),
        _cell(record.answer),
        record.error,
        record.unjudged,
        record.generated_tokens,
    ]


def _cell(text: str | None) -> str | None:
    """A text that wandb can write: it encodes tables as UTF-8, which knows no lone surrogates."""
    if text is None:
        return None
    shown = text if len(text) <= LONGEST_CELL else text[:LONGEST_CELL] + " ... (cut)"
    return shown.encode("utf-8", errors="backslashreplace").decode()
