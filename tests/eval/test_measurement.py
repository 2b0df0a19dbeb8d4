"""Measuring the tiny model: every task, sample and decoding is there, and what was not judged counts for nothing."""

import json
import math
import random
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from decoding.models import ModelConfig, load_model, load_tokenizer
from decoding.rollout import Ledger
from decoding.transformers_engine import TransformersEngine
from envs.errors import ConfigurationError
from envs.json.environment import JsonEnvironment
from envs.json.task import JsonTask
from envs.task import Task
from eval.config import DecodingConfig, HeldoutConfig
from eval.measurement import Evaluation, draw_tasks, evaluate, evaluation_from_json, measure
from eval.records import Record
from eval.run_config import EvalConfig
from rewards.registry import COMPONENTS

SCHEMA = '{"type": "boolean"}'
METRICS = ["valid", "content", "correct"]
FREE_TWICE = DecodingConfig(temperature=1.0, samples=2)
CONSTRAINED = DecodingConfig(temperature=1.0, grammar=True)


def make_tasks(count: int, schema: str = SCHEMA) -> list[JsonTask]:
    """Tasks whose ids do not sort as they are numbered."""
    parity = ("even", "odd")
    return [
        JsonTask(
            id=f"task-{number}", schema=schema, text="It is true.", gold="true", labels={"number": parity[number % 2]}
        )
        for number in range(count)
    ]


def measured_with(
    model: Path,
    tasks: Sequence[Task],
    decodings: dict[str, DecodingConfig],
    metrics: list[str] = METRICS,
    **options: Any,
) -> Evaluation:
    """An evaluation of the tiny model."""
    tokenizer = load_tokenizer(str(model))
    rows = options.pop("max_batch_rows", 64)
    config = HeldoutConfig(metrics=metrics, decodings=decodings, max_new_tokens=8, max_batch_rows=rows, **options)
    engine = TransformersEngine(load_model(ModelConfig(reference=str(model))), tokenizer, max_batch_rows=rows)
    return evaluate(engine, tokenizer, JsonEnvironment(), tasks, config, title="test")


@pytest.fixture(scope="module")
def evaluation(tiny_model: Path) -> Evaluation:
    """Twelve tasks, decoded freely twice each and once under their grammar."""
    return measured_with(tiny_model, make_tasks(12), {"free": FREE_TWICE, "constrained": CONSTRAINED})


def untimed(evaluation: Evaluation) -> list[Record]:
    """The records without what is never the same twice."""
    return [replace(record, timing=None) for record in evaluation.records]


def test_every_task_sample_and_decoding_has_its_record(evaluation: Evaluation) -> None:
    ids = {f"task-{number}" for number in range(12)}
    keys = [(record.decoding, record.task, record.sample) for record in evaluation.records]
    expected = {("free", name, sample) for name in ids for sample in (0, 1)} | {
        ("constrained", name, 0) for name in ids
    }
    assert len(keys) == 36 and set(keys) == expected
    assert list(evaluation.measurements) == ["free", "constrained"]
    assert [measured.answers for measured in evaluation.measurements.values()] == [24, 12]
    for measured in evaluation.measurements.values():
        assert all(each is not None and each.count == 12 for each in measured.metrics.values())


def test_the_grammar_makes_every_finished_answer_valid(evaluation: Evaluation) -> None:
    constrained = [record for record in evaluation.records if record.decoding == "constrained"]
    assert all(record.metrics["valid"] == 1.0 and record.text.strip() in ("true", "false") for record in constrained)
    assert evaluation.measurements["constrained"].without_grammar == 0
    valid = evaluation.measurements["constrained"].metrics["valid"]
    assert valid is not None and valid.mean == 1.0 and valid.low < 0.8


def test_the_ledger_counts_what_the_records_hold(evaluation: Evaluation) -> None:
    for name, measured in evaluation.measurements.items():
        generated = sum(record.generated_tokens for record in evaluation.records if record.decoding == name)
        assert measured.ledger.generated_tokens == generated > 0
        assert measured.ledger.judged == measured.answers


def test_a_record_holds_what_was_said_what_it_was_taken_for_and_what_was_found(evaluation: Evaluation) -> None:
    for record in evaluation.records:
        assert [segment.author for segment in record.segments] == ["model"]
        assert record.answer is None or record.answer in record.text
        assert record.facts["is_correct"] == bool(record.metrics["correct"])
        assert {"is_parsed", "is_valid", "defect"} <= set(record.facts) and not {"answer", "layout"} & set(record.facts)
        assert record.candidates == ()


def test_labels_divide_the_tasks_among_them(evaluation: Evaluation) -> None:
    for measured in evaluation.measurements.values():
        strata = measured.by_label["number"]
        assert list(strata) == ["even", "odd"]
        for metric, whole in measured.metrics.items():
            parts = [estimates[metric] for estimates in strata.values()]
            assert whole is not None and all(part is not None and part.count == 6 for part in parts)
            assert sum(part.mean for part in parts if part) / 2 == pytest.approx(whole.mean)


def test_the_same_seed_measures_the_same_whatever_the_batch(tiny_model: Path, evaluation: Evaluation) -> None:
    decodings = {"free": FREE_TWICE, "constrained": CONSTRAINED}
    again = measured_with(tiny_model, make_tasks(12)[::-1], decodings, max_batch_rows=3)
    assert untimed(again) == untimed(evaluation)
    other = measured_with(tiny_model, make_tasks(12), {"free": FREE_TWICE}, seed=1)
    assert [record.text for record in other.records] != [record.text for record in evaluation.records[:24]]


def test_an_evaluation_comes_back_from_json(evaluation: Evaluation) -> None:
    assert evaluation_from_json(json.loads(json.dumps(asdict(evaluation)))) == evaluation


def test_unjudged_answers_are_left_out_of_every_mean_and_counted(tiny_model: Path) -> None:
    defective = [replace(task, id=f"defective-{task.id}", gold="{") for task in make_tasks(3)]
    evaluation = measured_with(tiny_model, [*make_tasks(4), *defective], {"constrained": CONSTRAINED})
    measured = evaluation.measurements["constrained"]
    assert (measured.answers, measured.unjudged) == (7, 3)
    assert all(each is not None and each.count == 4 for each in measured.metrics.values())
    unjudged = [record for record in evaluation.records if record.unjudged]
    assert len(unjudged) == 3 and all(set(record.metrics.values()) == {None} for record in unjudged)


def test_when_nothing_could_be_judged_there_is_no_estimate(tiny_model: Path) -> None:
    defective = [replace(task, gold="{") for task in make_tasks(2)]
    measured = measured_with(tiny_model, defective, {"constrained": CONSTRAINED}).measurements["constrained"]
    assert measured.metrics == dict.fromkeys(METRICS)
    assert measured.unjudged == measured.answers == 2


def test_a_grammar_that_cannot_be_applied_is_counted(tiny_model: Path) -> None:
    # A JSON Schema that no value meets.
    schema = '{"type": "integer", "minimum": 5, "maximum": 1}'
    measured = measured_with(tiny_model, make_tasks(2, schema), {"constrained": CONSTRAINED}).measurements[
        "constrained"
    ]
    assert measured.without_grammar == 2


def test_an_unknown_metric_is_refused(tiny_model: Path) -> None:
    with pytest.raises(ConfigurationError, match="'vaild'; did you mean 'valid'"):
        measured_with(tiny_model, make_tasks(1), {"free": FREE_TWICE}, metrics=["vaild"])


def answer(task: str, sample: int, value: float | None, error: str | None = None) -> Record:
    """A record with one metric."""
    return Record(
        task=task,
        decoding="free",
        sample=sample,
        labels={},
        segments=(),
        answer=None,
        finish="eos",
        metrics={"correct": value},
        error=error,
        facts={},
        unjudged="deadline" if value is None else None,
        grammar_error=None,
        grammar_lenient=None,
        is_closed=False,
        generated_tokens=1,
    )


def test_several_samples_of_a_task_are_one_number() -> None:
    # Two tasks: one always right in eight samples, one always wrong in two that could be judged.
    records = [answer("a", sample, 1.0) for sample in range(8)]
    records += [answer("b", sample, 0.0, "wrong") for sample in range(2)] + [answer("b", 2, None)]
    metrics = {"correct": COMPONENTS["json"]["correct"]}
    measured = measure(records, metrics, DecodingConfig(samples=8), Ledger())
    estimate = measured.metrics["correct"]
    assert estimate is not None and estimate.mean == 0.5 and estimate.count == 2
    assert (estimate.low, estimate.high) == (
        0.0,
        1.0,
    )  # means of samples are no 0/1 values: the bootstrap's, not Wilson's
    assert measured.errors == {"wrong": 2} and measured.unjudged == 1 and measured.answers == 11


def config(**options: Any) -> HeldoutConfig:
    """A configuration of which only the draw matters."""
    return HeldoutConfig(metrics=["valid"], **options)


def test_a_draw_is_fixed_by_its_seed_and_not_by_the_order() -> None:
    tasks = make_tasks(200)
    drawn = draw_tasks(tasks, config(tasks=20))
    assert len(drawn) == len({task.id for task in drawn}) == 20
    assert drawn == draw_tasks(tasks, config(tasks=20))
    shuffled = random.Random(0).sample(tasks, len(tasks))
    assert {task.id for task in draw_tasks(shuffled, config(tasks=20))} == {task.id for task in drawn}
    assert {task.id for task in draw_tasks(tasks, config(tasks=20, seed=1))} != {task.id for task in drawn}


def test_a_draw_keeps_the_datasets_order_and_a_larger_one_the_smaller() -> None:
    tasks = make_tasks(200)
    drawn = draw_tasks(tasks, config(tasks=20))
    assert [task for task in tasks if task in drawn] == drawn
    assert {task.id for task in drawn} < {task.id for task in draw_tasks(tasks, config(tasks=50))}


def test_a_draw_of_more_than_there_are_takes_all() -> None:
    tasks = make_tasks(5)
    assert (
        draw_tasks(tasks, config(tasks=5)) == draw_tasks(tasks, config(tasks=9)) == draw_tasks(tasks, config()) == tasks
    )


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"metrics": []}, "at least one metric"),
        ({"decodings": {}}, "one decoding"),
        ({"tasks": 0}, "heldout.tasks must be at least 1 .*got 0"),
        ({"max_new_tokens": 0}, "heldout.max_new_tokens must be at least 1, got 0"),
        ({"max_batch_rows": -1}, "heldout.max_batch_rows must be at least 1, got -1"),
    ],
)
def test_a_measurement_that_means_nothing_is_refused(options: dict[str, Any], names: str) -> None:
    with pytest.raises(ConfigurationError, match=names):
        HeldoutConfig(**{"metrics": ["valid"], **options})


@pytest.mark.parametrize("options", [{"temperature": -1.0}, {"temperature": math.nan}, {"samples": 0}])
def test_a_decoding_that_means_nothing_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=f"{next(iter(options))} must be"):
        DecodingConfig(**options)


@pytest.mark.parametrize("name", ["", "..", "a/b"])
def test_a_name_that_is_no_directory_name_is_refused(name: str) -> None:
    from data.registry import DataConfig
    from envs.registry import EnvironmentConfig

    with pytest.raises(ConfigurationError, match="plain directory name"):
        EvalConfig(
            model="m",
            name=name,
            environment=EnvironmentConfig(name="json"),
            data=DataConfig(reader="bundled_json"),
            heldout=config(),
        )
