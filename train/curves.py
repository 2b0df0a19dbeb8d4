"""curves.png: how reward, its parts and the length of answers went, and the held-out metrics before and after."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib import pyplot
from matplotlib.axes import Axes

from eval.measurement import Measurement
from eval.plots import draw_metrics


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl, one a logged step; empty when nothing was logged."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def save_curves(
    path: Path,
    metrics: Sequence[Mapping[str, Any]],
    parts: Sequence[str],
    before: Mapping[str, Measurement],
    after: Mapping[str, Measurement],
) -> None:
    """Draws the picture of a run.

    Args:
        path: the PNG.
        metrics: lines of metrics.jsonl.
        parts: names of the composite's parts.
        before: decoding -> held-out measurement before training.
        after: the same after training.
    """
    figure, axes = pyplot.subplots(2, 2, figsize=(11, 7.4), layout="constrained")
    _draw(axes[0][0], metrics, {"reward": "composite reward"}, "reward")
    _draw(axes[0][1], metrics, {f"rewards/{part}": part for part in parts}, "parts of the reward")
    _draw(
        axes[1][0],
        metrics,
        {"completions/mean_length": "mean", "completions/max_length": "longest"},
        "length of answers, tokens",
    )
    both = {
        f"{decoding}, {moment}": measured[decoding]
        for decoding in after
        for moment, measured in (("before", before), ("after", after))
    }
    draw_metrics(axes[1][1], both)
    axes[1][1].set_title("held-out tasks")
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _draw(axes: Axes, metrics: Sequence[Mapping[str, Any]], series: Mapping[str, str], title: str) -> None:
    for key, label in series.items():
        points = [(line["step"], line[key]) for line in metrics if line.get(key) is not None]
        axes.plot([step for step, _ in points], [value for _, value in points], marker=".", label=label)
    axes.set_title(title)
    axes.set_xlabel("step")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
