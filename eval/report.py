"""Writes what was measured into a directory.

    report.md                    for people
    report.json                  the same numbers for programs
    report.html                  to browse tasks and answers; one file that needs nothing else
    records.jsonl, tasks.jsonl   every answer, every task
    *.png                        pictures of report.md

Text of models and datasets may be anything: see eval/markdown_text.py for report.md and eval/report_html.py for
report.html; in the JSON files it is escaped and otherwise untouched.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import Any

from eval.markdown_text import Table, cell, fenced, printable, titled
from eval.measurement import Evaluation, Measurement
from eval.page_data import Costs
from eval.paired import Comparison, compare, holm, values_by_task
from eval.pass_at_k import PassAtK, pass_at_k, pass_at_k_table
from eval.plots import save_plots
from eval.record_lines import line_of
from eval.records import Record, TaskCard
from eval.report_html import page
from eval.report_tables import (
    comparison_table,
    cost_table,
    error_table,
    label_tables,
    metrics_table,
    note_table,
    skipped_lines,
    timing_table,
    transcripts,
)
from eval.schema_coverage import SchemaCoverage, coverage_table, schema_coverage

METHODS = "Means over held-out tasks with 95 % intervals (Wilson for rates, bootstrap otherwise)."
PAIRED_METHODS = (
    "Task by task on the same tasks: McNemar's exact test and Newcombe's interval where each task has one value of 0 or"
    " 1, else a sign-flip permutation test and a bootstrap of the mean difference."
)

Coverages = dict[str, SchemaCoverage]
"""Decoding -> how many of its schemas the engine could hold it to; those without a grammar are missing."""
OPTIONAL = ("pass_at_k", "coverage")
"""Tables that a report has only where they have rows; that of times says why it has none."""
Comparisons = dict[tuple[str, str], Comparison | None]
"""(decoding, metric) -> how it compares with the first decoding."""


def write_records(path: Path, records: Sequence[Record]) -> None:
    """One JSON line an answer."""
    with path.open("w", encoding="utf-8") as lines:
        lines.writelines(map(line_of, records))


def write_evaluation(
    directory: Path,
    evaluation: Evaluation,
    *,
    title: str,
    model: str,
    resolved: str,
    skipped: Mapping[str, int],
    cards: Sequence[TaskCard] = (),
    costs: Costs = MappingProxyType({}),
) -> None:
    """Writes the report of one evaluation into a directory that is there.

    Args:
        directory: where to.
        evaluation: what was measured.
        title: of the report.
        model: how the model was named.
        resolved: the configuration as YAML.
        skipped: reason -> rows of the dataset that were left out.
        cards: the tasks, for those who browse them; one that is missing is shown by its answers alone.
        costs: what the answers to each task cost, for those who browse them.
    """
    comparisons = compare_decodings(evaluation)
    passes = passes_of(evaluation)
    coverages = coverages_of(evaluation)
    tables = _tables(evaluation, comparisons, passes, coverages)
    write_records(directory / "records.jsonl", evaluation.records)
    with (directory / "tasks.jsonl").open("w", encoding="utf-8") as lines:
        lines.writelines(map(line_of, cards))
    (directory / "config.yaml").write_text(resolved, encoding="utf-8")
    summary = _summary(
        evaluation,
        comparisons,
        passes,
        coverages,
        tables["timing"],
        title=title,
        model=model,
        resolved=resolved,
        skipped=skipped,
    )
    (directory / "report.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    plots = save_plots(directory, evaluation.measurements)
    text = _markdown(evaluation, tables, plots, title=title, model=model, resolved=resolved, skipped=skipped)
    (directory / "report.md").write_text(text, encoding="utf-8")
    shown = [table for name, table in tables.items() if table.rows or name not in OPTIONAL]
    shown += label_tables(evaluation.measurements)
    pictures = {caption: directory / name for name, caption in plots.items()}
    html = page(evaluation, cards, shown, pictures, title=title, model=model, resolved=resolved, costs=costs)
    (directory / "report.html").write_text(html, encoding="utf-8")


def compare_decodings(evaluation: Evaluation) -> Comparisons:
    """Every decoding but the first with the first one, metric by metric, on the same tasks."""
    by_decoding = _by_decoding(evaluation)
    first, *others = evaluation.measurements
    return {
        (name, metric): compare(values_by_task(by_decoding[first], metric), values_by_task(by_decoding[name], metric))
        for name in others
        for metric in evaluation.measurements[first].metrics
    }


def coverages_of(evaluation: Evaluation) -> Coverages:
    """The coverage of schemas, of each decoding that was held to some."""
    found = {name: schema_coverage(records) for name, records in _by_decoding(evaluation).items()}
    return {name: coverage for name, coverage in found.items() if coverage is not None}


def passes_of(evaluation: Evaluation) -> dict[str, PassAtK]:
    """pass@k of each decoding with several samples a task."""
    found = {name: pass_at_k(records) for name, records in _by_decoding(evaluation).items()}
    return {name: each for name, each in found.items() if each}


def _by_decoding(evaluation: Evaluation) -> dict[str, list[Record]]:
    by_decoding: dict[str, list[Record]] = {name: [] for name in evaluation.measurements}
    for record in evaluation.records:
        by_decoding[record.decoding].append(record)
    return by_decoding


def task_counts(records: Sequence[Record]) -> dict[str, int]:
    """Decoding -> number of tasks that it answered."""
    tasks: dict[str, set[str]] = {}
    for record in records:
        tasks.setdefault(record.decoding, set()).add(record.task)
    return {decoding: len(ids) for decoding, ids in tasks.items()}


def _tables(
    evaluation: Evaluation, comparisons: Comparisons, passes: Mapping[str, PassAtK], coverages: Coverages
) -> dict[str, Table]:
    """Section -> its table."""
    measurements, records = evaluation.measurements, evaluation.records
    first = next(iter(measurements))
    return {
        "metrics": metrics_table(measurements),
        "pass_at_k": pass_at_k_table(passes),
        "comparison": comparison_table(
            comparisons, first, "this one", f"Compared with {first}", _headline_note(measurements, comparisons)
        ),
        "errors": error_table(measurements),
        "cost": cost_table(measurements, task_counts(records)),
        "coverage": coverage_table(coverages),
        "timing": timing_table(records),
        "notes": note_table(records),
    }


def _headline_note(measurements: Mapping[str, Measurement], comparisons: Comparisons) -> str:
    """What is left of the headline's p-values when they are corrected for their number."""
    headline = next(iter(next(iter(measurements.values())).metrics))
    found = {name: each for (name, metric), each in comparisons.items() if metric == headline and each is not None}
    if len(found) < 2:
        return ""
    corrected = dict(zip(found, holm([each.p_value for each in found.values()]), strict=True))
    still = [name for name, value in corrected.items() if value < 0.05]
    names = ", ".join(still) or "none"
    return f"Of {len(found)} comparisons of {headline}, below p = 0.05 after Holm's correction: {names}."


def _summary(
    evaluation: Evaluation,
    comparisons: Comparisons,
    passes: Mapping[str, PassAtK],
    coverages: Coverages,
    timing: Table,
    *,
    title: str,
    model: str,
    resolved: str,
    skipped: Mapping[str, int],
) -> dict[str, Any]:
    paired: dict[str, dict[str, Any]] = {}
    for (decoding, metric), found in comparisons.items():
        paired.setdefault(decoding, {})[metric] = asdict(found) if found else None
    return {
        "title": title,
        "model": model,
        "tasks": task_counts(evaluation.records),
        "measurements": {name: asdict(measurement) for name, measurement in evaluation.measurements.items()},
        "compared_with": next(iter(evaluation.measurements)),
        "pass_at_k": {
            name: {metric: {str(k): asdict(each) for k, each in shares.items()} for metric, shares in metrics.items()}
            for name, metrics in passes.items()
        },
        "comparisons": paired,
        "timing": [dict(zip(timing.header, row, strict=True)) for row in timing.rows],
        "coverage": {name: asdict(coverage) for name, coverage in coverages.items()},
        "skipped": dict(skipped),
        "configuration": resolved,
    }


def _markdown(
    evaluation: Evaluation,
    tables: Mapping[str, Table],
    plots: Mapping[str, str],
    *,
    title: str,
    model: str,
    resolved: str,
    skipped: Mapping[str, int],
) -> str:
    pictures = "\n\n".join(f"![{caption}]({name})" for name, caption in plots.items())
    optional = {
        name: f"### {tables[name].title}\n\n{tables[name]}\n\n" if tables[name].rows else ""
        for name in (*OPTIONAL, "timing")
    }
    return f"""# {cell(title)}

Model: `{printable(model)}`. {METHODS}

{tables["metrics"]}

{optional["pass_at_k"]}{pictures}

## Compared with {cell(next(iter(evaluation.measurements)))}

{PAIRED_METHODS}

{tables["comparison"]}

## What was wrong

{tables["errors"]}

## Cost

{tables["cost"]}

{optional["coverage"]}{optional["timing"]}## Strata

{titled(label_tables(evaluation.measurements))}

## Grammars and judge

{tables["notes"]}

## Sample answers

All answers: `report.html`, `records.jsonl`.

{transcripts(evaluation.records, 4)}

## Data

{skipped_lines(skipped)}

## Configuration

{fenced(resolved, "yaml")}
"""
