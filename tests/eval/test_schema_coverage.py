"""Declared and empirical coverage of schemas, compliance, and times over the covered ones."""

import json
from dataclasses import asdict, replace
from statistics import median
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decoding import closing
from decoding.grammars.matcher import GrammarError
from envs.transcript import Segment
from eval.records import Record
from eval.schema_coverage import coverage_table, schema_coverage

RECORD = Record(
    task="0",
    decoding="constrained",
    sample=0,
    labels={},
    segments=(Segment(author="model", text="{}"),),
    answer="{}",
    finish="eos",
    metrics={"valid": 1.0},
    error=None,
    facts={},
    unjudged=None,
    grammar_error=None,
    grammar_lenient=None,
    is_closed=False,
    generated_tokens=11,
    timing={"grammar": 0.1, "first_token": 0.2, "last_token": 0.7},
)


def record(task: object, *, valid: float | None = 1.0, error: str | None = None, **other: Any) -> Record:
    return replace(RECORD, task=str(task), metrics={"valid": valid}, grammar_error=error, **other)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=30))
def test_compliance_is_the_empirical_share_of_the_declared(schemas: list[tuple[bool, bool]]) -> None:
    records = [
        record(task, valid=float(valid), error=None if taken else "unsupported")
        for task, (taken, valid) in enumerate(schemas)
    ]
    coverage = schema_coverage(records)
    assert coverage is not None
    # A valid answer that was written freely is the model's doing, and not the engine's.
    assert coverage.declared.mean == pytest.approx(sum(taken for taken, _ in schemas) / len(schemas))
    assert coverage.empirical.mean == pytest.approx(sum(taken and valid for taken, valid in schemas) / len(schemas))
    assert (coverage.compliance is None) == (coverage.declared.mean == 0)
    if coverage.compliance is not None:
        assert coverage.compliance.mean * coverage.declared.mean == pytest.approx(coverage.empirical.mean)
        assert coverage.compliance.count == sum(taken for taken, _ in schemas)
    assert (coverage.compile_time is None) == (coverage.empirical.mean == 0)


def test_what_an_engine_can_express_does_not_depend_on_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closing, "has_no_sentence_within", lambda compiled, most: True)
    with pytest.raises(GrammarError) as refused:
        closing.require_room(None, 7)  # type: ignore[arg-type]
    too_long = str(refused.value)
    # The second was written freely, and is valid by chance.
    records = [
        record(0),
        record(1, error=too_long),
        record(2, error=too_long, valid=0.0),
        record(3, error="unsupported"),
    ]
    coverage = schema_coverage(records)
    assert coverage is not None and coverage.compliance is not None
    assert (coverage.declared.mean, coverage.empirical.mean, coverage.beyond_budget) == (0.75, 0.25, 2)
    assert (coverage.compliance.mean, coverage.compliance.count) == (pytest.approx(1 / 3), 3)
    table = coverage_table({"constrained": coverage})
    assert dict(zip(table.header, table.rows[0], strict=True))["too long for the budget"] == "2"


def test_samples_of_a_task_are_no_further_tasks() -> None:
    records = [
        record(0),
        record(0, sample=1, valid=0.0),
        record(1, error="unsupported"),
        record(1, error="unsupported"),
    ]
    coverage = schema_coverage(records)
    assert coverage is not None and coverage.compliance is not None
    assert (coverage.declared.mean, coverage.declared.count) == (0.5, 2)
    assert (coverage.empirical.mean, coverage.compliance.mean, coverage.compliance.count) == (0.25, 0.5, 1)


def test_times_are_those_of_covered_schemas() -> None:
    timings = [{"grammar": seconds, "first_token": 2 * seconds, "last_token": 4 * seconds} for seconds in (1, 2, 4)]
    records = [record(task, timing=timing) for task, timing in enumerate(timings)]
    slow = {"grammar": 900.0, "first_token": 900.0, "last_token": 900.0}
    records += [record(8, valid=0.0, timing=slow), record(9, error="too slow", timing=slow), record(10, timing=None)]
    coverage = schema_coverage(records)
    assert coverage is not None
    assert coverage.compile_time is not None and (coverage.compile_time.median, coverage.compile_time.count) == (2, 3)
    assert coverage.first_token is not None and coverage.first_token.median == 4
    assert coverage.per_token is not None
    assert coverage.per_token.median == pytest.approx(median(2 * seconds / 10 for seconds in (1, 2, 4)))
    assert coverage.per_token.median <= coverage.per_token.p95 <= 0.8


def test_the_time_per_token_leaves_out_what_was_not_timed_or_taken_back() -> None:
    turns = (*RECORD.segments, Segment(author="environment", text="?"), *RECORD.segments)
    records = [
        record(0, segments=turns),
        record(1, is_closed=True, finish="length"),
        record(2, generated_tokens=1),
    ]
    coverage = schema_coverage(records)
    assert coverage is not None and coverage.per_token is None
    assert coverage.first_token is not None and coverage.first_token.count == 3
    assert coverage.closed == 1


def test_what_could_not_be_judged_is_left_out_and_counted() -> None:
    coverage = schema_coverage([record(0), record(1, valid=None, unjudged="too deep")])
    assert coverage is not None and (coverage.declared.count, coverage.unjudged) == (1, 1)


@pytest.mark.parametrize(
    "records",
    [
        [],
        [replace(RECORD, timing=None)],
        [replace(RECORD, timing={"grammar": 0.0, "first_token": 0.1, "last_token": 0.2})],
        [replace(RECORD, metrics={"correct": 1.0})],
        [replace(RECORD, metrics={"valid": None})],
    ],
    ids=["nothing", "no times", "no grammar", "no schemas", "nothing judged"],
)
def test_without_grammars_or_validity_there_is_no_coverage(records: list[Record]) -> None:
    assert schema_coverage(records) is None


def test_an_engine_that_tells_no_times_has_a_coverage_all_the_same() -> None:
    wide = "made masks of its own"
    coverage = schema_coverage([record(0, timing=None, grammar_lenient=wide), record(1, timing=None, valid=0.0)])
    assert coverage is not None and coverage.empirical.mean == 0.5 and coverage.first_token is None


def test_the_report_gets_a_row_a_decoding_and_plain_values() -> None:
    told, untold = schema_coverage([record(0)]), schema_coverage([record(0, error="unsupported", timing=None)])
    assert told is not None and untold is not None
    written = str(coverage_table({"constrained": told, "server": untold}))
    assert "| constrained | 1.000 [" in written and "| 100.0 (100.0) | 200.0 (200.0) | 50.0 (50.0) |" in written
    assert "| server | 0.000 [" in written and "| - | 0 | 0 | - | - | - |" in written
    assert json.loads(json.dumps(asdict(told), allow_nan=False))["first_token"]["median"] == 0.2
