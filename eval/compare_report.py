"""What two reports say of the same tasks: differences with intervals and p-values, tasks that changed, costs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib import pyplot

from decoding.rollout import Ledger
from envs.errors import ConfigurationError
from eval.markdown_text import Table
from eval.paired import Comparison, Values, compare, values_by_task
from eval.plot_labels import shortened
from eval.report_reading import Answer, KeptReport
from eval.report_tables import comparison_table, in_order

MOST_TASKS = 50
"""Ids that are listed of each kind of change in compare.md; compare.json has all."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """Tasks that the second answers better or worse than the first, by one metric."""

    better: tuple[str, ...]
    worse: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ReportComparison:
    """Two reports, compared on the tasks that both have."""

    first: KeptReport
    second: KeptReport
    decodings: Mapping[str, tuple[str, str]]
    """What is compared: its title -> the decoding of either report."""
    metrics: Mapping[tuple[str, str], Comparison | None]
    """(title, metric) -> all shared tasks; the first metric is the headline."""
    strata: Mapping[tuple[str, str, str], Comparison | None]
    """(title, label, value) -> the headline on the tasks that carry it."""
    changes: Mapping[str, Change]
    """Title -> tasks that changed by the headline."""
    differences: tuple[str, ...]
    """What else is not the same in the two, each a sentence."""


def compare_reports(
    first: KeptReport, second: KeptReport, decodings: Mapping[str, tuple[str, str]]
) -> ReportComparison:
    """Compares two reports.

    Raises:
        ConfigurationError: no task or no metric is in both.
    """
    shared_metrics = [name for name in first.metrics if name in second.metrics]
    if not shared_metrics:
        raise ConfigurationError(
            f"the reports have no metric in common: {', '.join(first.metrics)} and {', '.join(second.metrics)}"
        )
    headline = shared_metrics[0]
    metrics: dict[tuple[str, str], Comparison | None] = {}
    strata: dict[tuple[str, str, str], Comparison | None] = {}
    changes = {}
    for title, (early, late) in decodings.items():
        before, after = first.answers[early], second.answers[late]
        if not {answer.task for answer in before} & {answer.task for answer in after}:
            raise ConfigurationError(
                f"the reports have no task in common ('{early}': {before[0].task}, ...; '{late}': {after[0].task}, ...)"
            )
        for metric in shared_metrics:
            metrics[title, metric] = compare(values_by_task(before, metric), values_by_task(after, metric))
        early_values, late_values = values_by_task(before, headline), values_by_task(after, headline)
        for (label, value), tasks in _by_label(after).items():
            some = {task: early_values[task] for task in tasks if task in early_values}
            if some:
                strata[title, label, value] = compare(some, late_values)
        changes[title] = _changed(early_values, late_values)
    return ReportComparison(
        first=first,
        second=second,
        decodings=decodings,
        metrics=metrics,
        strata=strata,
        changes=changes,
        differences=tuple(_differences(first, second, decodings)),
    )


def metric_table(compared: ReportComparison) -> Table:
    """Every decoding and metric."""
    return comparison_table(compared.metrics, "A", "B")


def strata_table(compared: ReportComparison) -> Table:
    """The headline by label."""
    rows = {(title, f"{label}: {value}"): found for (title, label, value), found in compared.strata.items()}
    table = comparison_table(rows, "A", "B")
    return Table(
        header=[table.header[0], "tasks with", *table.header[2:]],
        rows=table.rows,
        note="P-values of many strata are not corrected: a few below 0.05 are to be expected.",
        if_empty="The tasks have no labels.",
    )


def changes_table(compared: ReportComparison) -> Table:
    """Which tasks changed."""
    rows = []
    for title, change in compared.changes.items():
        for kind, tasks in (("worse to better", change.better), ("better to worse", change.worse)):
            more = f", and {len(tasks) - MOST_TASKS} more" if len(tasks) > MOST_TASKS else ""
            rows.append([title, kind, str(len(tasks)), ", ".join(tasks[:MOST_TASKS]) + more])
    return Table(header=["decoding", "A to B", "tasks", "ids"], rows=rows)


def costs_table(compared: ReportComparison) -> Table:
    """What either cost, over all tasks that it has."""
    rows = []
    for title, names in compared.decodings.items():
        for side, report, name in zip("AB", (compared.first, compared.second), names, strict=True):
            ledger = report.ledgers.get(name)
            tasks = len({answer.task for answer in report.answers[name]})
            rows.append([title, side, str(tasks), *(_costs(ledger, tasks) if ledger else ["-"] * 5)])
    header = ["decoding", "", "tasks", "generated tokens a task", "prompt tokens a task", "verifier calls a task"]
    return Table(header=[*header, "seconds generating", "seconds judging"], rows=rows)


def draw_comparison(path: Path, compared: ReportComparison) -> None:
    """Differences with their intervals, decoding by decoding and metric by metric."""
    found = [(f"{title}, {metric}", each) for (title, metric), each in compared.metrics.items() if each]
    found = found[::-1]
    figure, axes = pyplot.subplots(figsize=(8.4, 1.6 + 0.3 * len(found)), layout="constrained")
    for place, (_, each) in enumerate(found):
        is_apart = each.low > 0 or each.high < 0
        error = [[each.difference - each.low], [each.high - each.difference]]
        axes.errorbar(
            [each.difference], [place], xerr=error, fmt="o", capsize=3, color="tab:blue" if is_apart else "0.5"
        )
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(range(len(found)), [shortened(name) for name, _ in found])
    axes.set_ylim(-0.6, max(0.6, len(found) - 0.4))
    axes.set_xlabel("B minus A on the same tasks, 95 % interval (grey: 0 is within)")
    axes.grid(axis="x", alpha=0.3)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def _costs(ledger: Ledger, tasks: int) -> list[str]:
    return [
        f"{ledger.generated_tokens / tasks:.1f}",
        f"{ledger.prefilled_tokens / tasks:.1f}",
        f"{ledger.verifier_calls / tasks:.1f}",
        f"{ledger.generate_seconds:.1f}",
        f"{ledger.judge_seconds:.2f}",
    ]


def _by_label(answers: Sequence[Answer]) -> dict[tuple[str, str], list[str]]:
    """(label, value) -> tasks, label by label and in the order of values."""
    found: dict[str, dict[str, dict[str, None]]] = {}
    for answer in answers:
        for label, value in answer.labels.items():
            found.setdefault(label, {}).setdefault(value, {})[answer.task] = None
    return {
        (label, value): list(values[value]) for label, values in found.items() for value in in_order(sorted(values))
    }


def _changed(first: Values, second: Values) -> Change:
    better: list[str] = []
    worse: list[str] = []
    for task in first:
        before, after = _mean(first[task]), _mean(second.get(task, ()))
        if before is not None and after is not None and before != after:
            (better if after > before else worse).append(task)
    return Change(better=tuple(better), worse=tuple(worse))


def _mean(values: Sequence[float | None]) -> float | None:
    judged = [value for value in values if value is not None]
    return sum(judged) / len(judged) if judged else None


def _differences(first: KeptReport, second: KeptReport, decodings: Mapping[str, tuple[str, str]]) -> list[str]:
    """What a reader must know before comparing."""
    found = []
    for key in dict.fromkeys([*first.settings, *second.settings]):
        early, late = first.settings.get(key, "not set"), second.settings.get(key, "not set")
        if early != late and first.settings and second.settings:
            found.append(f"{key}: {early} in A, {late} in B.")
    for name, own, other in (("A", first, second), ("B", second, first)):
        lone = [metric for metric in own.metrics if metric not in other.metrics]
        if lone:
            found.append(f"Only {name} has the metrics {', '.join(lone)}.")
        others = [
            each for each in own.answers if each not in {pair[0 if own is first else 1] for pair in decodings.values()}
        ]
        if others:
            found.append(f"Decodings of {name} that are not compared: {', '.join(others)}.")
    counts: dict[tuple[int, int, int], list[str]] = {}
    for title, (early, late) in decodings.items():
        before = {answer.task for answer in first.answers[early]}
        after = {answer.task for answer in second.answers[late]}
        counts.setdefault((len(before & after), len(before - after), len(after - before)), []).append(title)
    for (both, only_first, only_second), titles in counts.items():
        if only_first or only_second:
            tasks = f"{both} tasks are in both, {only_first} only in A, {only_second} only in B"
            found.append(f"{', '.join(titles)}: {tasks}.")
    changed = [task for task, prompt in first.prompts.items() if second.prompts.get(task, prompt) != prompt]
    if changed:
        found.append(f"{len(changed)} tasks have another prompt or reference in B, the first of them {changed[0]}.")
    return found
