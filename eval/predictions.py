"""Scores predictions in place of a model: whose they are, what of each is the answer, and what it is worth."""

import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from data.reader import Reader, Reading, Split
from decoding.rollout import Ledger
from envs.environment import Environment, tags_of_environment
from envs.errors import ConfigurationError
from envs.layout import lay_out
from envs.task import Task
from envs.transcript import Transcript
from envs.verdict import Verdict
from eval.facts import facts_of
from eval.measurement import AnswerSource, measured
from eval.prediction_files import PredictionFile, read_prediction_file
from eval.records import Finished, Record
from rewards.component import Component

GOLD = "gold"
SHOWN_IDS = 3
BIRD_MARK = "\t----- bird -----\t"


@dataclass(frozen=True, kw_only=True)
class PredictionsConfig:
    """Answers of any system, scored in place of a model's."""

    path: str | None = None
    """A file of predictions (eval/prediction_files.py says in which layouts); gold: the tasks' own reference answers.
    Null: a model is measured."""
    missing: Literal["error", "wrong"] = "error"
    """What a task without a prediction is: a mistake in the file, or an empty answer."""

    def __post_init__(self) -> None:
        if self.path not in (None, GOLD) and not Path(str(self.path)).expanduser().is_file():
            raise ConfigurationError(
                f"predictions '{self.path}': no such file; give one of predictions, or '{GOLD}' for the reference"
                " answers"
            )


@dataclass(frozen=True, kw_only=True)
class ReadOnce:
    """A reader that has read one split already."""

    environment: str
    reading: Reading

    @classmethod
    def of(cls, reader: Reader, split: Split) -> "ReadOnce":
        """Reads the split."""
        return cls(environment=reader.environment, reading=reader.read(split))

    def read(self, split: Split) -> Reading:
        """What was read."""
        return self.reading


def predicted_texts(
    config: PredictionsConfig, environment: Environment[Any], reading: Reading, tasks: Sequence[Task]
) -> dict[str, str]:
    """What was predicted for each of ``tasks``, laid out as the environment wants it.

    Args:
        config: names the file.
        environment: of the tasks.
        reading: the dataset's split as it was read: predictions for tasks that are not measured are no mistake.
        tasks: those that are measured.

    Raises:
        ConfigurationError: the file cannot be read, or predictions are missing, repeated, or belong to no task.
    """
    assert config.path is not None
    if config.path == GOLD:
        return _references(environment, tasks)
    path = Path(config.path).expanduser()
    given = _by_task(read_prediction_file(path), reading, tasks, path, may_miss=config.missing == "wrong")
    return {task.id: laid_out(bare_text(given.get(task.id, ""), task), environment) for task in tasks}


def bare_text(text: str, task: Task) -> str:
    """A prediction without the database's name that BIRD's and Spider's files add to a query."""
    query, mark, _ = text.partition(BIRD_MARK)
    if mark:
        return query
    query, tab, name = text.rpartition("\t")
    return query if tab and name.strip() == task.labels.get("database") else text


def laid_out(text: str, environment: Environment[Any]) -> str:
    """A prediction as an answer of the environment: one without the tag of the answer is the whole answer."""
    tags = tags_of_environment(environment)
    if not text.strip() or tags.answer is None or f"<{tags.answer}>" in text:
        return text
    return lay_out(text, tags, reasoning="Not shown.", plan="1. Not shown.")


def prediction_source(
    texts: Mapping[str, str], environment: Environment[Any], metrics: Mapping[str, Component], *, at_once: int
) -> AnswerSource:
    """Judges predictions.

    Args:
        texts: task id -> laid-out prediction.
        environment: judges.
        metrics: what is measured.
        at_once: answers that are judged together.
    """

    def answers(decoding: str, tasks: Sequence[Task]) -> Iterator[Finished]:
        for start in range(0, len(tasks), at_once):
            chunk = tasks[start : start + at_once]
            began = time.perf_counter()
            transcripts = [Transcript.of(texts[task.id]) for task in chunk]
            verdicts = environment.judge(list(zip(chunk, transcripts, strict=True)))
            seconds = (time.perf_counter() - began) / len(chunk)
            for task, transcript, verdict in zip(chunk, transcripts, verdicts, strict=True):
                record = _record(task, transcript, verdict, decoding, metrics)
                cost = Ledger(judged=1, judge_seconds=seconds)
                yield Finished(task=task.id, decoding=decoding, records=(record,), cost=cost)

    return answers


def _record(
    task: Task, transcript: Transcript, verdict: Verdict, decoding: str, metrics: Mapping[str, Component]
) -> Record:
    return Record(
        task=task.id,
        decoding=decoding,
        sample=0,
        labels=dict(task.labels),
        segments=transcript.segments,
        answer=verdict.answer,
        finish="given",
        metrics=measured(verdict, metrics),
        error=verdict.error,
        facts=facts_of(verdict),
        unjudged=verdict.unjudged,
        grammar_error=None,
        grammar_lenient=None,
        is_closed=False,
        generated_tokens=0,
    )


def _references(environment: Environment[Any], tasks: Sequence[Task]) -> dict[str, str]:
    references = {task.id: environment.reference(task) for task in tasks}
    if lacking := [name for name, reference in references.items() if reference is None]:
        raise ConfigurationError(
            f"predictions '{GOLD}': {len(lacking)} of {len(tasks)} tasks have no reference answer{_shown(lacking)};"
            " choose a dataset with gold answers"
        )
    return {name: str(reference) for name, reference in references.items()}


def _by_task(
    file: PredictionFile, reading: Reading, tasks: Sequence[Task], path: Path, *, may_miss: bool
) -> dict[str, str]:
    """Task id -> prediction."""
    names: dict[str, str | None] = {task.id: task.id for task in reading.tasks}
    given = [name for name, _ in file.entries]
    left_out = sum(reading.skipped.values())  # rows that the reader could not use may well have predictions
    if file.is_in_order or (all(name.isdecimal() for name in given) and not names.keys() & set(given)):
        names, left_out = _numbered(file, reading, path)
    told = {names.get(name) for name in given}
    missing = [task.id for task in tasks if task.id not in told]
    extra = [name for name in dict.fromkeys(given) if name not in names]
    repeated = [name for name, count in Counter(given).items() if count > 1]
    faults = []
    if missing and not may_miss:
        faults.append(f"{len(missing)} of {len(tasks)} tasks have no prediction{_shown(missing)}")
    if len(extra) > left_out:
        faults.append(f"{len(extra)} predictions belong to no task{_shown(extra)}")
    if repeated:
        faults.append(f"{len(repeated)} ids occur more than once{_shown(repeated)}")
    if faults:
        hint = "mend the file" if may_miss or not missing else "mend the file, or set predictions.missing to 'wrong'"
        raise ConfigurationError(f"predictions '{path}': {'; '.join(faults)}; {hint}")
    return {task: text for name, text in file.entries if (task := names.get(name)) is not None}


def _numbered(file: PredictionFile, reading: Reading, path: Path) -> tuple[dict[str, str | None], int]:
    """Number -> task id, None for a row that was left out; and how many further numbers may belong to such rows.

    Ids that end with numbers of rows say which row a number means. Other ids may end with numbers of their own (BIRD's
    question_id). Where neither helps, numbers are places, which a row that was left out would shift.

    Raises:
        ConfigurationError: rows were left out, and nothing says which.
    """
    ids = [task.id for task in reading.tasks]
    given = {name for name, _ in file.entries}
    ends = [int(end.group(1)) for name in ids if (end := re.search(r"([0-9]+)$", name))]
    left_out = sum(reading.skipped.values())
    rows = len(ids) + left_out
    if len(set(ends)) == len(ids):
        own: dict[str, str | None] = dict(zip(map(str, ends), ids, strict=True))
        if ends == sorted(ends) and ends[-1] < rows:
            return {**dict.fromkeys(map(str, range(rows))), **own}, 0
        may_be_part = not file.is_in_order and (left_out > 0 or given <= own.keys())
        if own.keys() <= given or may_be_part:
            return own, left_out
    if left_out:
        raise ConfigurationError(
            f"predictions '{path}' gives places, but {left_out} of the dataset's {rows} rows were left out"
            f" ({', '.join(reading.skipped)}), and the tasks' ids do not tell which; name ids such as '{ids[0]}'"
        )
    return {str(place): name for place, name in enumerate(ids)}, 0


def _shown(names: Sequence[str]) -> str:
    more = ", ..." if len(names) > SHOWN_IDS else ""
    return f" ({', '.join(repr(name) for name in names[:SHOWN_IDS])}{more})"
