"""The report of a training run: report.md, report.json and curves.png."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from decoding.rollout import Ledger
from eval.markdown_text import fenced, number, table, titled
from eval.measurement import Evaluation
from eval.paired import Comparison, compare, values_by_task
from eval.report import PAIRED_METHODS
from eval.report_tables import (
    change_table,
    comparison_table,
    error_table,
    label_tables,
    skipped_lines,
    transcripts,
)
from eval.whole_file import write_json, write_text
from train.config import RunConfig
from train.curves import read_metrics, save_curves
from train.run_directory import RunDirectory

SHOWN_STEPS = 12


def write_training_report(
    directory: RunDirectory,
    config: RunConfig,
    *,
    resolved: str,
    before: Evaluation,
    after: Evaluation,
    skipped: Mapping[str, int],
    costs: Mapping[str, float],
    ledger: Ledger,
) -> None:
    """Writes report.md, report.json and curves.png into the run's directory.

    Args:
        directory: of the run.
        config: of the run.
        resolved: the configuration as YAML.
        before: the held-out measurement before training.
        after: the same after training.
        skipped: reason -> rows of the datasets that were left out.
        costs: name -> seconds or MiB, printed as they are.
        ledger: what the rollouts cost.
    """
    metrics = read_metrics(directory.metrics)
    parts = list(config.reward.parts)
    comparisons = _compare(before, after)
    save_curves(directory.path / "curves.png", metrics, parts, before.measurements, after.measurements)
    write_json(
        directory.path / "report.json",
        {
            "name": config.name,
            "model": config.model.reference,
            "before": {name: asdict(measured) for name, measured in before.measurements.items()},
            "after": {name: asdict(measured) for name, measured in after.measurements.items()},
            "comparisons": [
                {"decoding": decoding, "metric": metric, **(asdict(found) if found else {"tasks": 0})}
                for (decoding, metric), found in comparisons.items()
            ],
            "steps": metrics,
            "skipped": dict(skipped),
            "costs": dict(costs),
            "rollouts": asdict(ledger),
        },
    )
    text = f"""# Training run: {config.name}

`{config.model.reference}` on `{config.data.reader}`, {"LoRA" if config.lora else "all weights"}, \
{metrics[-1]["step"] if metrics else 0} steps.

## Held-out tasks before and after

Means with 95 % intervals (Wilson for rates, bootstrap otherwise), on the same tasks and with the same random numbers.

{change_table(before.measurements, after.measurements)}

{PAIRED_METHODS}

{comparison_table(comparisons, "before", "after")}

![curves](curves.png)

## Training

{_steps_table(metrics, parts)}

## Cost

{table(["figure", "value"], [[name, f"{value:,.1f}"] for name, value in costs.items()])}

## What was wrong after training

{error_table(after.measurements)}

## Strata after training

{titled(label_tables(after.measurements))}

## Sample answers before

{transcripts(before.records, 3)}

## Sample answers after

{transcripts(after.records, 3)}

## Data

{skipped_lines(skipped)}

## Configuration

{fenced(resolved.strip(), "yaml")}
"""
    write_text(directory.path / "report.md", text)


def _compare(before: Evaluation, after: Evaluation) -> dict[tuple[str, str], Comparison | None]:
    """(decoding, metric) -> the change, task by task."""

    def values(evaluation: Evaluation, decoding: str, metric: str) -> dict[str, list[float | None]]:
        return values_by_task((each for each in evaluation.records if each.decoding == decoding), metric)

    return {
        (decoding, metric): compare(values(before, decoding, metric), values(after, decoding, metric))
        for decoding, measured in after.measurements.items()
        for metric in measured.metrics
    }


def _steps_table(metrics: list[dict[str, Any]], parts: list[str]) -> str:
    """About a dozen steps, evenly spread, the last one included."""
    # Steps that learned from rollouts of an earlier one have no reward of their own.
    metrics = [line for line in metrics if line.get("reward") is not None]
    if not metrics:
        return "No step was logged."
    stride = max(1, len(metrics) // SHOWN_STEPS)
    shown = metrics[::-1][::stride][::-1]
    columns = {"reward": "reward", **{f"rewards/{part}": part for part in parts}, "unjudged": "unjudged"}
    rows = [
        [str(line["step"]), *(number(line[key]) if line.get(key) is not None else "-" for key in columns)]
        for line in shown
    ]
    return table(["step", *columns.values()], rows)
