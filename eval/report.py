"""Writes what was measured: report.md for people, report.json for programs, records.jsonl for every answer.

Text of models and datasets may be anything (Markdown, HTML, control characters, lone surrogates): in report.md it stays
inside its block or cell, in the JSON files it is escaped and otherwise untouched.
"""

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from eval.intervals import Estimate, are_separate
from eval.measurement import Evaluation, Measurement, Record

LONGEST_ANSWER = 1200


def number(value: float) -> str:
    """Three digits after the point, as all reports print them."""
    return f"{value:.3f}"


def interval(estimate: Estimate | None) -> str:
    """``mean [low, high]``, or a dash when nothing could be judged."""
    if estimate is None:
        return "-"
    return f"{number(estimate.mean)} [{number(estimate.low)}, {number(estimate.high)}]"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell(text) for text in line) + " |" for line in lines)


def cell(text: str) -> str:
    """``text`` on one line that neither ends a table's cell nor opens an HTML tag."""
    # Entities and not backslashes: a backslash before the pipe would undo the escape.
    return _printable(" ".join(text.split())).replace("|", "&#124;").replace("<", "&lt;")


def fenced(text: str, language: str) -> str:
    """A fenced code block, whose fence is longer than any run of backticks in ``text``."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.strip()}\n{fence}"


def metrics_table(measurements: Mapping[str, Measurement]) -> str:
    """One row a decoding, one column a metric, each with its 95 % interval."""
    names = list(next(iter(measurements.values())).metrics)
    rows = [
        [name, *(interval(measurement.metrics[metric]) for metric in names), _counts(measurement)]
        for name, measurement in measurements.items()
    ]
    return table(["decoding", *names, "answers"], rows)


def change_table(before: Mapping[str, Measurement], after: Mapping[str, Measurement]) -> str:
    """One row a decoding and metric: before, after, the difference, and whether the intervals are apart."""
    rows = []
    for decoding, measured in after.items():
        for metric, late in measured.metrics.items():
            early = before[decoding].metrics[metric]
            known = early is not None and late is not None
            rows.append(
                [
                    decoding,
                    metric,
                    interval(early),
                    interval(late),
                    f"{late.mean - early.mean:+.3f}" if early and late else "-",
                    ("yes" if early and late and are_separate(early, late) else "no") if known else "-",
                ]
            )
    return table(["decoding", "metric", "before", "after", "change", "intervals apart"], rows)


def label_tables(measurements: Mapping[str, Measurement]) -> str:
    """The metrics by every label of the tasks, for each decoding."""
    parts = []
    for decoding, measurement in measurements.items():
        for label, values in measurement.by_label.items():
            names = list(measurement.metrics)
            rows = [
                [value, str(_count(estimates)), *(interval(estimates[name]) for name in names)]
                for value, estimates in values.items()
            ]
            parts.append(f"### {decoding}, by {label}\n\n" + table([label, "tasks", *names], rows))
    return "\n\n".join(parts)


def error_table(measurements: Mapping[str, Measurement]) -> str:
    """What was wrong with the answers, by category."""
    categories = dict.fromkeys(category for each in measurements.values() for category in each.errors)
    rows = [
        [category, *(str(measurement.errors.get(category, 0)) for measurement in measurements.values())]
        for category in categories
    ]
    return table(["error", *measurements], rows) if rows else "None of the answers had an error."


def cost_table(measurements: Mapping[str, Measurement]) -> str:
    """Tokens and seconds of each decoding."""
    rows = []
    for name, measurement in measurements.items():
        ledger = measurement.ledger
        rows.append(
            [
                name,
                str(ledger.generated_tokens),
                str(ledger.prefilled_tokens),
                f"{ledger.generate_seconds:.1f}",
                f"{ledger.judge_seconds:.2f}",
            ]
        )
    return table(["decoding", "generated tokens", "prompt tokens", "seconds generating", "seconds judging"], rows)


def transcripts(records: Sequence[Record], count: int) -> str:
    """The first answers of each decoding, as quoted blocks that model text cannot break out of."""
    parts = []
    for decoding in dict.fromkeys(record.decoding for record in records):
        for record in [record for record in records if record.decoding == decoding][:count]:
            measured = ", ".join(
                f"{name} {'unjudged' if value is None else number(value)}" for name, value in record.metrics.items()
            )
            parts.append(f"**{cell(record.task)}** ({cell(decoding)}; {measured})\n\n{quoted(record.text)}")
    return "\n\n".join(parts)


def quoted(text: str) -> str:
    """Model text as an indented code block, cut to a readable length."""
    if not text.strip():
        return f"    ({'white space only' if text else 'empty'})"
    shown = text if len(text) <= LONGEST_ANSWER else text[:LONGEST_ANSWER] + " ... (cut)"
    # Split at "\n" alone: every other kind of line break is not printable and is replaced.
    return "\n".join(f"    {_printable(line.expandtabs(4))}" for line in shown.split("\n"))


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "�" for character in text)


def skipped_lines(skipped: Mapping[str, int]) -> str:
    """Rows of the dataset that were left out, with the reason."""
    lines = [f"- {count} rows left out: {cell(reason)}" for reason, count in skipped.items()]
    return "\n".join(lines) or "No row was left out."


def write_records(path: Path, records: Sequence[Record]) -> None:
    """One JSON line an answer."""
    with path.open("w", encoding="utf-8") as lines:
        lines.writelines(json.dumps(asdict(record)) + "\n" for record in records)


def write_evaluation(
    directory: Path, evaluation: Evaluation, *, title: str, model: str, resolved: str, skipped: Mapping[str, int]
) -> None:
    """Writes the report of one evaluation, but for its picture, into a directory that is there."""
    measurements = evaluation.measurements
    text = f"""# {title}

Model: `{model}`. Means over held-out tasks with 95 % intervals (Wilson for rates, bootstrap otherwise).

{metrics_table(measurements)}

![metrics](metrics.png)

## What was wrong

{error_table(measurements)}

## Strata

{label_tables(measurements)}

## Cost

{cost_table(measurements)}

## Sample answers

{transcripts(evaluation.records, 4)}

## Data

{skipped_lines(skipped)}

## Configuration

{fenced(resolved, "yaml")}
"""
    summary: dict[str, Any] = {
        "title": title,
        "model": model,
        "measurements": {name: asdict(measurement) for name, measurement in measurements.items()},
        "skipped": dict(skipped),
    }
    write_records(directory / "records.jsonl", evaluation.records)
    (directory / "config.yaml").write_text(resolved, encoding="utf-8")
    (directory / "report.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    (directory / "report.md").write_text(text, encoding="utf-8")


@contextmanager
def whole_directory(directory: Path) -> Iterator[Path]:
    """A directory beside ``directory`` to write into; it takes that name at the end, and is removed when that fails."""
    building = directory.with_name(f".{directory.name}.{os.getpid()}")
    building.mkdir(parents=True)
    try:
        yield building
        building.rename(directory)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _counts(measurement: Measurement) -> str:
    notes = [str(measurement.answers)]
    if measurement.unjudged:
        notes.append(f"{measurement.unjudged} unjudged")
    if measurement.without_grammar:
        notes.append(f"{measurement.without_grammar} without grammar")
    if measurement.lenient_grammar:
        notes.append(f"{measurement.lenient_grammar} under a part of their grammar")
    if measurement.closed:
        notes.append(f"{measurement.closed} closed by the budget")
    return ", ".join(notes)


def _count(estimates: Mapping[str, Estimate | None]) -> int:
    return max((estimate.count for estimate in estimates.values() if estimate), default=0)
