"""Pictures of measurements: metrics, what accuracy costs, strata, and what was wrong."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")  # reports are written where there is no screen

from matplotlib import pyplot  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

from eval.intervals import Estimate  # noqa: E402
from eval.measurement import Measurement  # noqa: E402
from eval.plot_labels import place_labels, shortened  # noqa: E402
from eval.report_tables import in_order  # noqa: E402

Measurements = Mapping[str, Measurement]

MOST_VALUES = 12
"""Of a label that is drawn: more would not be told apart."""
MOST_CATEGORIES = 9
FAMILY = re.compile(r"(.+?)_(\d+)")


def save_plots(directory: Path, measurements: Measurements) -> dict[str, str]:
    """Draws what there is to draw; file name -> its caption."""
    drawn = {"metrics.png": "metrics"}
    save_metrics(directory / "metrics.png", measurements)
    headline = _headline(measurements)
    if any(_cost(each) and each.metrics[headline] for each in measurements.values()):
        _save(directory / "cost_curve.png", _cost_curve(measurements, headline))
        drawn["cost_curve.png"] = f"{shortened(headline)} against generated tokens"
    labels = _drawn_labels(measurements)
    if labels:
        _save(directory / "strata.png", _strata(measurements, headline, labels))
        drawn["strata.png"] = f"{shortened(headline)} by {', '.join(map(shortened, labels))}"
    if any(each.errors or each.unjudged for each in measurements.values()):
        _save(directory / "failures.png", _failures(measurements))
        drawn["failures.png"] = "what was wrong"
    return drawn


def save_metrics(path: Path, measured: Measurements) -> None:
    """A picture of one evaluation's decodings."""
    names = next(iter(measured.values())).metrics
    width = min(16.0, max(6.4, 1.5 + 0.16 * len(measured) * len(names)))
    figure, axes = pyplot.subplots(figsize=(width, 4.0), layout="constrained")
    draw_metrics(axes, measured)
    _save(path, figure)


def draw_metrics(axes: Axes, measured: Measurements) -> None:
    """Grouped points with error bars: one group a metric, one colour an entry of ``measured``."""
    names = list(next(iter(measured.values())).metrics)
    series = {label: [measurement.metrics[name] for name in names] for label, measurement in measured.items()}
    _draw_groups(axes, names, series)
    axes.set_ylabel("mean over held-out tasks, 95 % interval")


def _draw_groups(axes: Axes, groups: Sequence[str], series: Mapping[str, Sequence[Estimate | None]]) -> None:
    """Points with intervals: one group a name, one colour a series."""
    width = 0.8 / len(series)
    for offset, (label, estimates) in enumerate(series.items()):
        known = [(place + (offset + 0.5) * width - 0.4, each) for place, each in enumerate(estimates) if each]
        _draw_intervals(axes, known, color=_colour(offset), marker=_marker(offset), label=shortened(label))
    axes.set_xticks(range(len(groups)), [shortened(group) for group in groups])
    axes.set_ylim(-0.03, 1.03)
    axes.grid(axis="y", alpha=0.3)
    if len(series) <= 4:
        axes.legend(fontsize=8)
    else:
        axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))


def _draw_intervals(axes: Axes, points: Sequence[tuple[float, Estimate]], **style: Any) -> None:
    axes.errorbar(
        [place for place, _ in points],
        [estimate.mean for _, estimate in points],
        yerr=[
            [max(0.0, estimate.mean - estimate.low) for _, estimate in points],
            [max(0.0, estimate.high - estimate.mean) for _, estimate in points],
        ],
        linestyle="none",
        markersize=5,
        capsize=3,
        linewidth=1.2,
        **style,
    )


def _cost_curve(measurements: Measurements, headline: str) -> Figure:
    """The headline against all tokens that were generated, an answer; decodings of a family (NAME_N) share a line."""
    figure, axes = pyplot.subplots(figsize=(8.4, 5.4), layout="constrained")
    places: dict[str, tuple[float, float]] = {}
    for index, family in enumerate(families(measurements)):
        known = [
            (name, _cost(measurements[name]), estimate)
            for name in family
            if _cost(measurements[name]) and (estimate := measurements[name].metrics[headline])
        ]
        _draw_intervals(
            axes, [(tokens, estimate) for _, tokens, estimate in known], color=_colour(index), marker=_marker(index)
        )
        axes.plot(
            [tokens for _, tokens, _ in known], [each.mean for *_, each in known], color=_colour(index), alpha=0.6
        )
        places |= {name: (tokens, estimate.mean) for name, tokens, estimate in known}
    axes.set_xscale("log")
    axes.margins(x=0.15)
    highest = max(each.metrics[headline].high for each in measurements.values() if each.metrics[headline])  # type: ignore[union-attr]
    axes.set_ylim(-0.02, min(1.03, highest * 1.12 + 0.02))
    axes.set_xlabel("generated tokens an answer, all that was written on the way to it included")
    axes.set_ylabel(f"{shortened(headline)}, 95 % interval")
    axes.grid(alpha=0.3, which="both")
    place_labels(axes, places)
    return figure


def families(names: Mapping[str, Any]) -> list[list[str]]:
    """Decodings that differ by the number at their end, in its order; each other one by itself."""
    found: dict[str, list[tuple[int, str]]] = {}
    for name in names:
        match = FAMILY.fullmatch(name)
        found.setdefault(match[1] if match else name, []).append((int(match[2]) if match else 0, name))
    return [[name for _, name in sorted(members)] for members in found.values()]


def _strata(measurements: Measurements, headline: str, labels: Sequence[str]) -> Figure:
    figure, all_axes = pyplot.subplots(
        len(labels), 1, figsize=(10.0, 3.4 * len(labels)), layout="constrained", squeeze=False
    )
    for axes, label in zip(all_axes[:, 0], labels, strict=True):
        values = in_order(
            dict.fromkeys(value for each in measurements.values() for value in each.by_label.get(label, {}))
        )
        series = {
            name: [each.by_label.get(label, {}).get(value, {}).get(headline) for value in values]
            for name, each in measurements.items()
        }
        _draw_groups(axes, values, series)
        axes.set_ylabel(f"{shortened(headline)} by {shortened(label)}")
    return figure


def _failures(measurements: Measurements) -> Figure:
    """One bar a decoding: which share of its answers was wrong in which way."""
    counts: Counter[str] = Counter()
    for each in measurements.values():
        counts.update(each.errors)
    shown = [category for category, _ in counts.most_common(MOST_CATEGORIES)]
    figure, axes = pyplot.subplots(figsize=(9.6, 1.6 + 0.34 * len(measurements)), layout="constrained")
    rows = list(measurements)[::-1]
    left = [0.0] * len(rows)
    parts = {category: [measurements[name].errors.get(category, 0) for name in rows] for category in shown}
    parts["other errors"] = [sum(measurements[name].errors.values()) for name in rows]
    parts["other errors"] = [
        total - sum(parts[category][row] for category in shown) for row, total in enumerate(parts["other errors"])
    ]
    parts["unjudged"] = [measurements[name].unjudged for name in rows]
    for index, (category, numbers) in enumerate(parts.items()):
        if not any(numbers):
            continue
        shares = [each / max(1, measurements[name].answers) for name, each in zip(rows, numbers, strict=True)]
        colour = "0.75" if category == "unjudged" else _colour(index)
        axes.barh(range(len(rows)), shares, left=left, color=colour, label=shortened(category))
        left = [start + share for start, share in zip(left, shares, strict=True)]
    axes.set_yticks(range(len(rows)), [shortened(name) for name in rows])
    axes.set_xlim(0, 1)
    axes.set_xlabel("share of answers; the rest had no error")
    axes.grid(axis="x", alpha=0.3)
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def _drawn_labels(measurements: Measurements) -> list[str]:
    labels = dict.fromkeys(label for each in measurements.values() for label in each.by_label)
    return [
        label
        for label in labels
        if 2 <= len({value for each in measurements.values() for value in each.by_label.get(label, {})}) <= MOST_VALUES
    ]


def _headline(measurements: Measurements) -> str:
    return next(iter(next(iter(measurements.values())).metrics))


def _cost(measurement: Measurement) -> float:
    """Generated tokens an answer."""
    return measurement.ledger.generated_tokens / max(1, measurement.answers)


def _colour(index: int) -> Any:
    return pyplot.get_cmap("tab10")(index % 10)


def _marker(index: int) -> str:
    """Tells apart what has the same colour."""
    return "osD^v"[index // 10 % 5]


def _save(path: Path, figure: Figure) -> None:
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
