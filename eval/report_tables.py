"""The tables of a report, from measurements and records."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from statistics import median, quantiles

from envs.sql.metrics.bird_execution import BEST_REWARD
from eval.intervals import Estimate, are_separate
from eval.markdown_text import Table, cell, number, quoted
from eval.measurement import Measurement
from eval.paired import Comparison
from eval.records import Record

MOST_NOTES = 10
R_VES = "r_ves"
"""BIRD's R-VES, divided by the most that it can be (``rewards.sql_execution``)."""
DIFFICULTIES = ("simple", "easy", "moderate", "medium", "hard", "challenging", "extra")
"""From the words of Spider, BIRD and the bundled sets: reports list them in this order, other values as they come."""


def interval(estimate: Estimate | None) -> str:
    """``mean [low, high]``, or a dash when nothing could be judged."""
    if estimate is None:
        return "-"
    return f"{number(estimate.mean)} [{number(estimate.low)}, {number(estimate.high)}]"


def metrics_table(measurements: Mapping[str, Measurement]) -> Table:
    """One row a decoding, one column a metric, each with its 95 % interval."""
    names = list(next(iter(measurements.values())).metrics)
    rows = [
        [name, *(interval(measurement.metrics[metric]) for metric in names), _counts(measurement)]
        for name, measurement in measurements.items()
    ]
    return Table(title="Metrics", header=["decoding", *names, "answers"], rows=rows, note=_r_ves_note(measurements))


def change_table(before: Mapping[str, Measurement], after: Mapping[str, Measurement]) -> Table:
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
    return Table(header=["decoding", "metric", "before", "after", "change", "intervals apart"], rows=rows)


def label_tables(measurements: Mapping[str, Measurement]) -> list[Table]:
    """The metrics by every label of the tasks, for each decoding."""
    tables = []
    for decoding, measurement in measurements.items():
        for label, values in measurement.by_label.items():
            names = list(measurement.metrics)
            rows = [
                [value, str(_count(values[value])), *(interval(values[value][name]) for name in names)]
                for value in in_order(values)
            ]
            tables.append(Table(title=f"{decoding}, by {label}", header=[label, "tasks", *names], rows=rows))
    return tables


def in_order(values: Iterable[str]) -> list[str]:
    """Values of a label, difficulties from easy to hard."""
    places = {value: place for place, value in enumerate(DIFFICULTIES)}
    return sorted(values, key=lambda value: places.get(value, len(places)))


def error_table(measurements: Mapping[str, Measurement]) -> Table:
    """What was wrong with the answers, by category."""
    categories = dict.fromkeys(category for each in measurements.values() for category in each.errors)
    rows = [
        [category, *(str(measurement.errors.get(category, 0)) for measurement in measurements.values())]
        for category in categories
    ]
    return Table(
        title="What was wrong",
        header=["error", *measurements],
        rows=rows,
        if_empty="None of the answers had an error.",
    )


def cost_table(measurements: Mapping[str, Measurement], tasks: Mapping[str, int]) -> Table:
    """Tokens, calls and seconds of each decoding.

    Args:
        measurements: decoding -> its measurement.
        tasks: decoding -> number of tasks that it answered.
    """
    rows = []
    for name, measurement in measurements.items():
        ledger = measurement.ledger
        seconds = ledger.generate_seconds + ledger.verify_seconds + ledger.judge_seconds
        rows.append(
            [
                name,
                str(ledger.generated_tokens),
                f"{ledger.generated_tokens / tasks[name]:.1f}" if tasks.get(name) else "-",
                str(ledger.prefilled_tokens),
                str(ledger.verifier_calls),
                str(ledger.verifier_tokens),
                str(ledger.expansions),
                str(ledger.judged),
                f"{ledger.generate_seconds:.1f}",
                f"{ledger.verify_seconds:.2f}",
                f"{ledger.judge_seconds:.2f}",
                f"{100 * ledger.judge_seconds / seconds:.1f} %" if seconds else "-",
            ]
        )
    header = ["decoding", "generated tokens", "a task", "prompt tokens", "verifier calls", "verifier tokens"]
    header += ["expansions", "answers judged", "seconds generating", "verifying", "judging", "share of judging"]
    return Table(title="Cost", header=header, rows=rows)


def timing_table(records: Sequence[Record]) -> Table:
    """Seconds of the answers' first turns, where the engine told them: the median and the 95th percentile."""
    rows = []
    for decoding in dict.fromkeys(record.decoding for record in records):
        timings = [record.timing for record in records if record.decoding == decoding and record.timing]
        for name in dict.fromkeys(name for timing in timings for name in timing):
            seconds = [timing[name] for timing in timings if name in timing]
            late = quantiles(seconds, n=20, method="inclusive")[-1] if len(seconds) > 1 else seconds[0]
            rows.append([decoding, name, str(len(seconds)), number(median(seconds)), number(late)])
    header = ["decoding", "seconds until", "answers", "median", "95th percentile"]
    return Table(title="Time of first turns", header=header, rows=rows, if_empty="The engine did not tell.")


def note_table(records: Sequence[Record]) -> Table:
    """Why grammars were not applied, or not held to in full, and why answers could not be judged: how often each."""
    notes: Counter[tuple[str, str, str]] = Counter()
    for record in records:
        kinds = {
            "without grammar": record.grammar_error,
            "a part of the grammar": record.grammar_lenient,
            "unjudged": record.unjudged,
        }
        notes.update((record.decoding, kind, reason) for kind, reason in kinds.items() if reason is not None)
    shown = notes.most_common(MOST_NOTES)
    rest = len(notes) - len(shown)
    return Table(
        title="Grammars and judge",
        header=["decoding", "what", "reason", "answers"],
        rows=[[*note, str(count)] for note, count in shown],
        note=f"And {rest} reasons that are rarer." if rest else "",
        if_empty="Nothing to note: every grammar was applied in full, every answer judged.",
    )


def comparison_table(
    comparisons: Mapping[tuple[str, str], Comparison | None], first: str, second: str, title: str = "", note: str = ""
) -> Table:
    """One row a decoding and metric.

    Args:
        comparisons: (decoding, metric) -> its comparison, None where nothing could be compared.
        first: what is called the first.
        second: and the second.
        title: of the table.
        note: a sentence below it.
    """
    header = ["decoding", "metric", "tasks", first, second, "difference", "p", "only first", "only second", "test"]
    rows, unjudged = [], 0
    for (decoding, metric), found in comparisons.items():
        if found is None:
            rows.append([decoding, metric, "0", *["-"] * 7])
            continue
        unjudged += found.unjudged
        agreement = found.agreement
        rows.append(
            [
                decoding,
                metric,
                str(found.tasks),
                number(found.first),
                number(found.second),
                f"{found.difference:+.3f} [{found.low:+.3f}, {found.high:+.3f}]",
                p_value(found.p_value),
                str(agreement.first_only) if agreement else "-",
                str(agreement.second_only) if agreement else "-",
                found.test,
            ]
        )
    left_out = f"Left out: {unjudged} pairs of which one could not be judged." if unjudged else ""
    return Table(
        title=title,
        header=header,
        rows=rows,
        note=" ".join(filter(None, [note, left_out])),
        if_empty="Nothing to compare.",
    )


def p_value(value: float) -> str:
    """Three digits, or that it is smaller."""
    return "below 0.001" if value < 0.001 else number(value)


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


def skipped_lines(skipped: Mapping[str, int]) -> str:
    """Rows of the dataset that were left out, with the reason."""
    lines = [f"- {count} rows left out: {cell(reason)}" for reason, count in skipped.items()]
    return "\n".join(lines) or "No row was left out."


def _r_ves_note(measurements: Mapping[str, Measurement]) -> str:
    """R-VES as BIRD's own script prints it, 0 to 112: the mean of 100 sqrt(reward), of which the component is
    sqrt(reward / BEST_REWARD)."""
    most = 100 * math.sqrt(BEST_REWARD)
    found = {name: each.metrics.get(R_VES) for name, each in measurements.items()}
    scores = [
        f"{name} {most * each.mean:.1f} [{most * each.low:.1f}, {most * each.high:.1f}]"
        for name, each in found.items()
        if each is not None
    ]
    if not scores:
        return ""
    return f"R-VES as BIRD publishes it (100 * sqrt(1.25) = {most:.1f} times the mean of {R_VES}): {'; '.join(scores)}."


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
