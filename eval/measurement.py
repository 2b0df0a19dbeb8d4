"""Measures a model on held-out tasks, once for each decoding. Used by eval/run.py and before and after training."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from accelerate import PartialState
from accelerate.utils import gather_object
from tqdm import tqdm
from transformers import PreTrainedTokenizerBase

from decoding.decoder import Decoder
from decoding.engine import Engine
from decoding.rollout import Ledger, Rollout
from envs.environment import Environment
from envs.task import Task
from eval.config import DecodingConfig, HeldoutConfig
from eval.intervals import Estimate, estimate
from rewards.component import Component
from rewards.registry import component


@dataclass(frozen=True, kw_only=True)
class Record:
    """One judged answer, as it is written to ``records.jsonl``."""

    task: str
    decoding: str
    sample: int
    labels: dict[str, str]
    text: str
    finish: str
    metrics: dict[str, float | None]
    error: str | None
    unjudged: str | None
    grammar_error: str | None
    grammar_lenient: str | None
    """What of the grammar the masks did not hold the answer to."""
    is_closed: bool
    """The budget cut the answer off, and its structure was ended in the model's place."""
    generated_tokens: int


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One decoding, summed up."""

    metrics: dict[str, Estimate | None]
    """Metric -> its estimate over tasks; None when no task could be judged."""
    by_label: dict[str, dict[str, dict[str, Estimate | None]]]
    """Label -> its value -> the same metrics over the tasks that carry it."""
    errors: dict[str, int]
    """Category -> number of answers, the most frequent first."""
    answers: int
    unjudged: int
    without_grammar: int
    """Answers that were to obey a grammar which could not be applied, or for which the environment has none."""
    lenient_grammar: int
    """Answers whose masks did not hold them to all of their grammar."""
    closed: int
    """Answers that the budget cut off, and whose structure was ended in the model's place."""
    ledger: Ledger


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """All decodings of one model."""

    measurements: dict[str, Measurement]
    records: tuple[Record, ...]


def draw_tasks(tasks: Sequence[Task], config: HeldoutConfig) -> list[Task]:
    """The tasks that ``config`` measures: all, or a sample that its seed fixes, in the dataset's order.

    Drawn by a hash of each task's id: neither the dataset's order nor rows added to it move a task's place in the draw.
    """
    if config.tasks is None or config.tasks >= len(tasks):
        return list(tasks)
    places = [hashlib.sha256(f"{config.seed}:{task.id}".encode(errors="surrogatepass")).digest() for task in tasks]
    chosen = sorted(range(len(tasks)), key=places.__getitem__)[: config.tasks]
    return [tasks[index] for index in sorted(chosen)]


def evaluate(
    engine: Engine,
    tokenizer: PreTrainedTokenizerBase,
    environment: Environment[Any],
    tasks: Sequence[Task],
    config: HeldoutConfig,
    *,
    title: str,
) -> Evaluation:
    """Decodes and judges ``tasks`` with every decoding of ``config``.

    Under several processes each takes every n-th task, and all get the whole result.

    Args:
        title: what the progress bar says is being measured.

    Raises:
        ConfigurationError: the environment has no metric of a configured name.
    """
    metrics = {name: component(environment, name) for name in config.metrics}
    measurements, records = {}, []
    for name, decoding in config.decodings.items():
        decoder = decoding.decoder(engine, tokenizer, environment, config)
        own, ledger = _decode(decoder, tasks, name, decoding, config, metrics, title)
        all_records = sorted(gather_object(own), key=lambda record: (record.task, record.sample))
        total = sum(gather_object([ledger]), Ledger())
        measurements[name] = measure(all_records, metrics, decoding, total)
        records += all_records
    return Evaluation(measurements=measurements, records=tuple(records))


def _decode(
    decoder: Decoder,
    tasks: Sequence[Task],
    name: str,
    decoding: DecodingConfig,
    config: HeldoutConfig,
    metrics: dict[str, Component],
    title: str,
) -> tuple[list[Record], Ledger]:
    """This process's share of the tasks, in batches that fill the engine."""
    state = PartialState()
    share = list(tasks[state.process_index :: state.num_processes])
    batch = max(1, config.max_batch_rows // decoding.samples)
    records: list[Record] = []
    ledger = Ledger()
    bar = tqdm(total=len(share), desc=f"{title} {name}", unit="task", disable=not state.is_main_process)
    with bar:
        for start in range(0, len(share), batch):
            chunk = share[start : start + batch]
            decoded = decoder.decode(chunk, n=[decoding.samples] * len(chunk), seed=config.seed)
            ledger += decoded.ledger
            for group in decoded.groups:
                for sample, rollout in enumerate(group.rollouts):
                    records.append(_record(group.task, sample, rollout, name, metrics))
            bar.update(len(chunk))
    return records, ledger


def _record(task: Task, sample: int, rollout: Rollout, decoding: str, metrics: dict[str, Component]) -> Record:
    verdict = rollout.verdict
    return Record(
        task=task.id,
        decoding=decoding,
        sample=sample,
        labels=dict(task.labels),
        text=rollout.transcript.text,
        finish=rollout.finish,
        metrics={
            name: None if verdict.unjudged is not None else metric.measure(verdict) for name, metric in metrics.items()
        },
        error=verdict.error,
        unjudged=verdict.unjudged,
        grammar_error=rollout.grammar_error,
        grammar_lenient=rollout.grammar_lenient,
        is_closed=bool(rollout.grammars) and not rollout.env_mask[-1],
        generated_tokens=sum(rollout.env_mask),
    )


def measure(
    records: Sequence[Record], metrics: dict[str, Component], decoding: DecodingConfig, ledger: Ledger
) -> Measurement:
    """Sums up the records of one decoding. Unjudged answers are left out of every mean and counted."""
    by_label: dict[str, dict[str, dict[str, Estimate | None]]] = defaultdict(dict)
    for label in dict.fromkeys(label for record in records for label in record.labels):
        for value in sorted({record.labels[label] for record in records if label in record.labels}):
            rows = [record for record in records if record.labels.get(label) == value]
            by_label[label][value] = _estimates(rows, metrics, decoding.samples)
    return Measurement(
        metrics=_estimates(records, metrics, decoding.samples),
        by_label=dict(by_label),
        errors=dict(Counter(record.error for record in records if record.error).most_common()),
        answers=len(records),
        unjudged=sum(record.unjudged is not None for record in records),
        without_grammar=sum(record.grammar_error is not None for record in records),
        lenient_grammar=sum(record.grammar_lenient is not None for record in records),
        closed=sum(record.is_closed for record in records),
        ledger=ledger,
    )


def _estimates(records: Sequence[Record], metrics: dict[str, Component], samples: int) -> dict[str, Estimate | None]:
    return {
        name: estimate(
            list(_task_means(records, name)),
            is_proportion=metric.is_rate and samples == 1,
        )
        for name, metric in metrics.items()
    }


def _task_means(records: Sequence[Record], metric: str) -> Iterator[float]:
    """One number a task, so that several samples of one task do not pass for independent ones."""
    values: dict[str, list[float]] = defaultdict(list)
    for record in records:
        measured = record.metrics[metric]
        if measured is not None:
            values[record.task].append(measured)
    for task_values in values.values():
        yield sum(task_values) / len(task_values)


def evaluation_from_json(content: dict[str, Any]) -> Evaluation:
    """The evaluation that ``dataclasses.asdict`` turned into plain values."""

    def estimates(values: dict[str, Any]) -> dict[str, Estimate | None]:
        return {name: Estimate(**value) if value else None for name, value in values.items()}

    measurements = {
        name: Measurement(
            **{
                **fields,
                "metrics": estimates(fields["metrics"]),
                "by_label": {
                    label: {value: estimates(metrics) for value, metrics in values.items()}
                    for label, values in fields["by_label"].items()
                },
                "ledger": Ledger(**fields["ledger"]),
            }
        )
        for name, fields in content["measurements"].items()
    }
    return Evaluation(measurements=measurements, records=tuple(Record(**record) for record in content["records"]))
