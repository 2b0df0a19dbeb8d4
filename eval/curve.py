"""The curve of a run: each metric of each decoding against the step of the checkpoint it was measured at."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")  # where checkpoints are evaluated there is no screen

from matplotlib import pyplot  # noqa: E402

from eval.intervals import Estimate  # noqa: E402
from eval.measurement import Measurement  # noqa: E402
from eval.whole_file import write_json  # noqa: E402


def curve_point(measurements: Mapping[str, Measurement]) -> dict[str, dict[str, Any]]:
    """What the curve holds of one checkpoint: decoding -> metrics and cost."""
    return {
        decoding: {
            "metrics": {name: asdict(each) if each else None for name, each in measurement.metrics.items()},
            "cost": asdict(measurement.ledger),
        }
        for decoding, measurement in measurements.items()
    }


def write_curve(folder: Path, points: Mapping[int, Mapping[str, Mapping[str, Any]]]) -> None:
    """Writes curve.json (step -> decoding -> metrics and cost) and curve.png.

    Args:
        folder: where to.
        points: step -> ``curve_point``.
    """
    write_json(folder / "curve.json", {str(step): points[step] for step in sorted(points)})
    metrics = list(
        dict.fromkeys(name for point in points.values() for each in point.values() for name in each["metrics"])
    )
    decodings = list(dict.fromkeys(name for point in points.values() for name in point))
    figure, rows = pyplot.subplots(
        len(metrics), 1, figsize=(6.4, 0.8 + 2.4 * len(metrics)), sharex=True, squeeze=False, layout="constrained"
    )
    for axes, metric in zip(rows[:, 0], metrics, strict=True):
        for decoding in decodings:
            known = [
                (step, Estimate(**value))
                for step in sorted(points)
                if (value := points[step].get(decoding, {}).get("metrics", {}).get(metric))
            ]
            steps, means = [step for step, _ in known], [each.mean for _, each in known]
            axes.plot(steps, means, marker="o", label=decoding)
            axes.fill_between(steps, [each.low for _, each in known], [each.high for _, each in known], alpha=0.15)
        axes.set_ylabel(metric)
        axes.set_ylim(-0.03, 1.03)
        axes.grid(alpha=0.3)
    rows[0, 0].legend(fontsize=8)
    rows[-1, 0].set_xlabel("training step; means over held-out tasks, 95 % intervals")
    building = folder / f".curve.{len(points)}.png"
    figure.savefig(building, dpi=120)
    building.replace(folder / "curve.png")
    pyplot.close(figure)
