"""Reads what a report keeps on disk, to compare it with another one.

A report is the directory of an evaluation (report.json, records.jsonl), or what a training run has measured: its
directory stands for the measurement after training, and the files before.jsonl and after.jsonl in it for either.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from decoding.rollout import Ledger
from envs.errors import ConfigurationError

SECTIONS = ("environment", "data", "heldout")
"""Of a configuration: what decides whether two measurements are of the same thing."""
MOMENTS = ("before", "after")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a comparison needs of a record."""

    task: str
    labels: Mapping[str, str]
    metrics: Mapping[str, float | None]


@dataclass(frozen=True, kw_only=True)
class KeptReport:
    """One side of a comparison."""

    name: str
    """The path as it was given."""
    model: str
    answers: Mapping[str, tuple[Answer, ...]]
    """By decoding."""
    ledgers: Mapping[str, Ledger]
    """By decoding; those that no report kept are missing."""
    settings: Mapping[str, str]
    """Dotted key -> value, of the ``SECTIONS`` of its configuration."""
    prompts: Mapping[str, str]
    """Task -> its messages and its reference as JSON; empty where no tasks were kept."""

    @property
    def metrics(self) -> list[str]:
        """Names, the headline first."""
        return list(dict.fromkeys(name for each in self.answers.values() for answer in each for name in answer.metrics))


def read_report(path: Path) -> KeptReport:
    """Reads a report.

    Raises:
        ConfigurationError: there is none, or it is not whole.
    """
    directory, records, moment = _locate(path)
    report = _object(directory / "report.json") if (directory / "report.json").is_file() else {}
    try:
        measurements = report.get("measurements" if moment is None else moment, {})
        return KeptReport(
            name=str(path),
            model=str(report.get("model", "unknown")),
            answers=_answers(records),
            ledgers={name: _ledger(measured["ledger"]) for name, measured in measurements.items()},
            settings=_settings(directory / "config.yaml"),
            prompts=_prompts(directory / "tasks.jsonl"),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ConfigurationError(
            f"'{directory}' was not written by this version of structrl, or is damaged"
            f" ({type(error).__name__}: {error}); measure again"
        ) from error


def _locate(path: Path) -> tuple[Path, Path, str | None]:
    """The directory of a report, its records, and of a training run the moment."""
    if path.is_file() and path.suffix == ".jsonl" and path.stem in MOMENTS:
        return path.parent, path, path.stem
    if (path / "records.jsonl").is_file():
        return path, path / "records.jsonl", None
    if (path / "after.jsonl").is_file():
        return path, path / "after.jsonl", "after"
    what = "holds neither records.jsonl nor after.jsonl" if path.is_dir() else "is no directory of a report"
    raise ConfigurationError(
        f"'{path}' {what}; expected what eval/run.py has written, a training run, or its before.jsonl or after.jsonl"
    )


def _answers(path: Path) -> dict[str, tuple[Answer, ...]]:
    found: dict[str, list[Answer]] = {}
    for record in _json_lines(path):
        metrics = {name: None if value is None else float(value) for name, value in record["metrics"].items()}
        answer = Answer(task=record["task"], labels=dict(record["labels"]), metrics=metrics)
        found.setdefault(record["decoding"], []).append(answer)
    if not found:
        raise ConfigurationError(f"'{path}' holds no answer")
    return {decoding: tuple(answers) for decoding, answers in found.items()}


def _ledger(content: Mapping[str, Any]) -> Ledger:
    """Figures that are not kept any more, or were not yet, are left out."""
    known = {item.name for item in fields(Ledger)}
    return Ledger(**{name: value for name, value in content.items() if name in known})


def _settings(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ConfigurationError(f"'{path}' is not YAML: {error}") from error
    if not isinstance(content, dict):
        return {}
    return dict(_flat({section: content[section] for section in SECTIONS if section in content}))


def _flat(content: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    found = []
    for key, value in content.items():
        if isinstance(value, Mapping) and value:
            found += _flat(value, f"{prefix}{key}.")
        else:
            found.append((f"{prefix}{key}", json.dumps(value, default=str)))
    return found


def _prompts(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    return {card["task"]: json.dumps([card["messages"], card["reference"]]) for card in _json_lines(path)}


def _object(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"'{path}' is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise ConfigurationError(
            f"'{path}' holds {json.dumps(content)[:40]}; expected the JSON object of a report: measure again"
        )
    return content


def _json_lines(path: Path) -> list[Any]:
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]
