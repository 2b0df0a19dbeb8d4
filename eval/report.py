"""Writes what was measured: report.md for people, report.json for programs, records.jsonl for every answer."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from eval.evaluate import Evaluation, Measurement, Record
from eval.intervals import Estimate, are_separate

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
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


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
            parts.append(f"**{record.task}** ({decoding}; {measured})\n\n{quoted(record.text)}")
    return "\n\n".join(parts)


def quoted(text: str) -> str:
    """Model text as an indented code block, cut to a readable length."""
    shown = text if len(text) <= LONGEST_ANSWER else text[:LONGEST_ANSWER] + " ... (cut)"
    printable = "".join(character if character.isprintable() or character == "\n" else "�" for character in shown)
    return "\n".join(f"    {line}" for line in printable.split("\n"))


def skipped_lines(skipped: Mapping[str, int]) -> str:
    """Rows of the dataset that were left out, with the reason."""
    return "\n".join(f"- {count} rows left out: {reason}" for reason, count in skipped.items()) or "No row was left out."


def write_records(path: Path, records: Sequence[Record]) -> None:
    """One JSON line an answer."""
    with path.open("w", encoding="utf-8") as lines:
        lines.writelines(json.dumps(asdict(record)) + "\n" for record in records)


def write_evaluation(
    directory: Path, evaluation: Evaluation, *, title: str, model: str, resolved: str, skipped: Mapping[str, int]
) -> None:
    """The report of one evaluation: report.md, report.json, records.jsonl and config.yaml in ``directory``."""
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

```yaml
{resolved.strip()}
```
"""
    summary: dict[str, Any] = {
        "title": title,
        "model": model,
        "measurements": {name: asdict(measurement) for name, measurement in measurements.items()},
        "skipped": dict(skipped),
    }
    directory.mkdir(parents=True, exist_ok=True)
    write_records(directory / "records.jsonl", evaluation.records)
    (directory / "config.yaml").write_text(resolved, encoding="utf-8")
    (directory / "report.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    (directory / "report.md").write_text(text, encoding="utf-8")


def _counts(measurement: Measurement) -> str:
    notes = [str(measurement.answers)]
    if measurement.unjudged:
        notes.append(f"{measurement.unjudged} unjudged")
    if measurement.without_grammar:
        notes.append(f"{measurement.without_grammar} without grammar")
    return ", ".join(notes)


def _count(estimates: Mapping[str, Estimate | None]) -> int:
    return max((estimate.count for estimate in estimates.values() if estimate), default=0)
