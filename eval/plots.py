"""Pictures of measurements: each metric with its 95 % interval."""

from collections.abc import Mapping
from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # reports are written where there is no screen

from matplotlib import pyplot  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402

from eval.measurement import Measurement  # noqa: E402


def draw_metrics(axes: Axes, measured: Mapping[str, Measurement]) -> None:
    """Grouped points with error bars: one group a metric, one colour an entry of ``measured``."""
    names = list(next(iter(measured.values())).metrics)
    width = 0.8 / len(measured)
    for offset, (label, measurement) in enumerate(measured.items()):
        estimates = [(place, measurement.metrics[name]) for place, name in enumerate(names)]
        known = [(place + (offset + 0.5) * width - 0.4, estimate) for place, estimate in estimates if estimate]
        axes.errorbar(
            [place for place, _ in known],
            [estimate.mean for _, estimate in known],
            yerr=[
                [max(0.0, estimate.mean - estimate.low) for _, estimate in known],
                [max(0.0, estimate.high - estimate.mean) for _, estimate in known],
            ],
            fmt="o",
            capsize=4,
            label=label,
        )
    axes.set_xticks(range(len(names)), names)
    axes.set_ylim(-0.03, 1.03)
    axes.set_ylabel("mean over held-out tasks, 95 % interval")
    axes.grid(axis="y", alpha=0.3)
    axes.legend(fontsize=8)


def save_metrics(path: Path, measured: Mapping[str, Measurement]) -> None:
    """A picture of one evaluation's decodings."""
    figure, axes = pyplot.subplots(figsize=(6.4, 4.0), layout="constrained")
    draw_metrics(axes, measured)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
