"""Measures answers to held-out tasks, once for each decoding. Used by eval/run.py and before and after training.

Where answers come from (``AnswerSource``): a model with a decoder, here; a file, in ``eval.predictions``.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from accelerate import PartialState
from accelerate.utils import gather_object
from transformers import PreTrainedTokenizerBase

from decoding.decoder import Finish
from decoding.engine import Engine
from decoding.rollout import Ledger, Rollout
from decoding.search.strategy import Candidate
from envs.environment import Environment
from envs.task import Task
from envs.verdict import Verdict
from eval.config import DecodingConfig, HeldoutConfig
from eval.facts import facts_of
from eval.intervals import Estimate, estimate
from eval.journal import Journal
from eval.progress import Progress
from eval.record_lines import record_from_json
from eval.records import CandidateRecord, Finished, Record
from rewards.component import Component
from rewards.registry import component

AnswerSource = Callable[[str, Sequence[Task]], Iterator[Finished]]
"""From a decoding's name and tasks to the answers, judged: task by task, in any order."""


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
    window: int | None = None,
) -> Evaluation:
    """Decodes and judges ``tasks`` with every decoding of ``config``; as ``evaluate_answers``.

    Raises:
        ConfigurationError: the environment has no metric of a configured name, or cannot be decoded so.
    """
    source = decoded_answers(engine, tokenizer, environment, config, window=window)
    return evaluate_answers(source, environment, tasks, config, title=title)


def decoded_answers(
    engine: Engine,
    tokenizer: PreTrainedTokenizerBase,
    environment: Environment[Any],
    config: HeldoutConfig,
    *,
    window: int | None = None,
) -> AnswerSource:
    """The answers of a model.

    Args:
        engine: of the model.
        tokenizer: of the model.
        environment: asks and judges.
        config: how they are decoded.
        window: positions that the model has; None: it is not known.

    Raises:
        ConfigurationError: the environment has no metric of a configured name, or cannot be decoded so.
    """
    metrics = metrics_of(environment, config)
    decoders = {
        name: decoding.decoder(engine, tokenizer, environment, config, window=window)
        for name, decoding in config.decodings.items()
    }

    def answers(decoding: str, tasks: Sequence[Task]) -> Iterator[Finished]:
        samples = config.decodings[decoding].samples
        stream = decoders[decoding].stream(
            tasks, n=[samples] * len(tasks), seed=config.seed, most_rows=config.max_batch_rows
        )
        return (_finished(finish, decoding, metrics) for finish in stream)

    return answers


def evaluate_answers(
    source: AnswerSource,
    environment: Environment[Any],
    tasks: Sequence[Task],
    config: HeldoutConfig,
    *,
    title: str,
    journal: Journal | None = None,
) -> Evaluation:
    """Measures what ``source`` answers, for every decoding of ``config``.

    Under several processes each takes its share of what is left to do, and all get the whole result.

    Args:
        title: what the progress bar says is being measured.
        journal: keeps what is finished, and knows what was finished before; None: nothing is kept on the way.

    Raises:
        ConfigurationError: the environment has no metric of a configured name.
    """
    metrics = metrics_of(environment, config)
    state = PartialState()
    ids = {task.id for task in tasks}
    before = [one for one in journal.read() if one.task in ids] if journal else []
    state.wait_for_everyone()  # nobody writes before all have read
    measurements: dict[str, Measurement] = {}
    records: list[Record] = []
    for name, decoding in config.decodings.items():
        done = [one for one in before if one.decoding == name]
        known = {one.task for one in done}
        share = [task for task in tasks if task.id not in known][state.process_index :: state.num_processes]
        with Progress(f"{title} {name}", tasks, share, done, headline=config.metrics[0], journal=journal) as progress:
            own = []
            for finished in source(name, share):
                if journal:
                    journal.write(finished)
                own.append(finished)
                progress.update(finished)
        finished_all = [*done, *gather_object(own)]
        these = sorted(
            (record for one in finished_all for record in one.records), key=lambda record: (record.task, record.sample)
        )
        total = sum((one.cost for one in finished_all), Ledger())
        measurements[name] = measure(these, metrics, decoding, total)
        records += these
    return Evaluation(measurements=measurements, records=tuple(records))


def metrics_of(environment: Environment[Any], config: HeldoutConfig) -> dict[str, Component]:
    """The configured metrics.

    Raises:
        ConfigurationError: the environment has none of a name.
    """
    return {name: component(environment, name) for name in config.metrics}


def measured(verdict: Verdict, metrics: Mapping[str, Component]) -> dict[str, float | None]:
    """Each metric of an answer; None for one that could not be judged."""
    return {name: None if verdict.unjudged is not None else metric.measure(verdict) for name, metric in metrics.items()}


def _finished(finish: Finish, decoding: str, metrics: Mapping[str, Component]) -> Finished:
    """What is kept of a task that a decoder has finished."""
    group = finish.group
    candidates = finish.candidates or ((),) * len(group.rollouts)
    return Finished(
        task=group.task.id,
        decoding=decoding,
        records=tuple(
            _record(group.task, sample, rollout, decoding, metrics, _candidates(rollout, candidates[sample]))
            for sample, rollout in enumerate(group.rollouts)
        ),
        cost=finish.cost,
    )


def _record(
    task: Task,
    sample: int,
    rollout: Rollout,
    decoding: str,
    metrics: Mapping[str, Component],
    candidates: tuple[CandidateRecord, ...],
) -> Record:
    verdict = rollout.verdict
    return Record(
        task=task.id,
        decoding=decoding,
        sample=sample,
        labels=dict(task.labels),
        segments=rollout.transcript.segments,
        answer=verdict.answer,
        finish=rollout.finish,
        metrics=measured(verdict, metrics),
        error=verdict.error,
        facts=facts_of(verdict),
        unjudged=verdict.unjudged,
        grammar_error=rollout.grammar_error,
        grammar_lenient=rollout.grammar_lenient,
        is_closed=bool(rollout.grammars) and not rollout.env_mask[-1],
        generated_tokens=sum(rollout.env_mask),
        timing=None if rollout.timing is None else asdict(rollout.timing),
        candidates=candidates,
    )


def _candidates(rollout: Rollout, candidates: Sequence[Candidate]) -> tuple[CandidateRecord, ...]:
    """What a search chose from; chosen is the first that says what the rollout says."""
    texts = [candidate.state.transcript.text for candidate in candidates]
    chosen = texts.index(rollout.transcript.text) if rollout.transcript.text in texts else None
    return tuple(
        CandidateRecord(
            text=text,
            score=candidate.score,
            digest=candidate.digest,
            is_chosen=place == chosen,
            tokens=candidate.state.tokens,
        )
        for place, (text, candidate) in enumerate(zip(texts, candidates, strict=True))
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
    records = tuple(map(record_from_json, content["records"]))
    return Evaluation(measurements=measurements_from_json(content["measurements"]), records=records)


def measurements_from_json(content: dict[str, Any]) -> dict[str, Measurement]:
    """Decoding -> the measurement that ``dataclasses.asdict`` turned into plain values."""

    def estimates(values: dict[str, Any]) -> dict[str, Estimate | None]:
        return {name: Estimate(**value) if value else None for name, value in values.items()}

    return {
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
        for name, fields in content.items()
    }
