"""What share of JSON schemas an engine can hold a model to, and at which speed: the metrics of JSONSchemaBench.

    declared coverage     the engine takes the schema as a grammar, without an error
    empirical coverage    it takes it, and the answer under it validates
    compliance rate       empirical / declared
    GCT, TTFT, TPOT       grammar compile time, time to first token (GCT included), time per output token after the
                          first; medians over the schemas that are covered empirically

Source: Geng et al. 2025, "JSONSchemaBench" (arXiv 2501.10868). Times are those of the batch that an answer was in: for
latencies as published, decode one row at a time (``max_batch_rows: 1``). Other than there, an answer that the budget
cuts off is closed, and then mostly validates: ``closed`` says how many were. A schema that the engine takes, and whose
shortest document found is longer than the budget, is declared and not covered empirically: what an engine can express
does not depend on the budget. Not covered: true coverage (equality with the schema, which nobody can measure), and
medians over the schemas that several engines have in common.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import fsum

import numpy as np

from decoding.closing import is_beyond_budget
from eval.intervals import Estimate, estimate
from eval.markdown_text import Table, number
from eval.records import Record

VALID = "valid"
"""The metric that is 1 where an answer validates (``rewards.json_validity``)."""
LATE = 95
"""The percentile that is told beside the median."""


@dataclass(frozen=True, kw_only=True)
class Seconds:
    """How a time is distributed over answers."""

    median: float
    p95: float
    count: int
    """Number of answers that told it."""


@dataclass(frozen=True, kw_only=True)
class SchemaCoverage:
    """The metrics of one decoding."""

    declared: Estimate
    empirical: Estimate
    compliance: Estimate | None
    """Over the tasks whose schema is declared; None without any."""
    beyond_budget: int
    """Answers whose schema is declared, but no document of it was found that is as short as the budget."""
    closed: int
    """Of the answers that validate: how many the budget had cut off, so that their end is none of the model's."""
    unjudged: int
    """Answers that nothing is known of; they are left out."""
    compile_time: Seconds | None
    """GCT; None where the engine tells no times, or nothing is covered. So are the others."""
    first_token: Seconds | None
    """TTFT."""
    per_token: Seconds | None
    """TPOT, (t_last - t_first) / (tokens - 1), of answers in one turn that ended by themselves."""


def schema_coverage(records: Sequence[Record]) -> SchemaCoverage | None:
    """The coverage of one decoding's schemas.

    Args:
        records: of one decoding. Several samples of a task count as one, their mean.

    Returns:
        None where no record tells of a grammar (one that was refused, widened, or took time to compile), and where
        nothing can be said of validity: the metric ``valid`` is not among theirs, or nothing was judged.
    """
    judged = [record for record in records if record.metrics.get(VALID) is not None]
    if not judged or not any(map(_tells_of_grammar, records)):
        return None
    declared = [record for record in judged if _is_declared(record)]
    covered = [record for record in declared if _is_covered(record)]
    samples = len(judged) > len({record.task for record in judged})
    return SchemaCoverage(
        declared=_share(judged, _is_declared, samples),
        empirical=_share(judged, _is_covered, samples),
        compliance=_share(declared, _is_covered, samples) if declared else None,
        beyond_budget=sum(record.grammar_error is not None for record in declared),
        closed=sum(record.is_closed for record in covered),
        unjudged=len(records) - len(judged),
        compile_time=_seconds([record.timing["grammar"] for record in covered if record.timing]),
        first_token=_seconds([record.timing["first_token"] for record in covered if record.timing]),
        per_token=_seconds([seconds for record in covered if (seconds := _per_token(record)) is not None]),
    )


def coverage_table(coverages: Mapping[str, SchemaCoverage]) -> Table:
    """One row a decoding: shares with their 95 % intervals, median and 95th percentile of times in milliseconds."""
    rows = [
        [
            decoding,
            *map(_interval, (coverage.declared, coverage.empirical, coverage.compliance)),
            str(coverage.beyond_budget),
            str(coverage.closed),
            *map(_milliseconds, (coverage.compile_time, coverage.first_token, coverage.per_token)),
        ]
        for decoding, coverage in coverages.items()
    ]
    header = ["decoding", "declared", "empirical", "compliance", "too long for the budget", "closed"]
    return Table(
        title="Coverage of schemas",
        header=[*header, "GCT ms", "TTFT ms", "TPOT ms"],
        rows=rows,
        note=f"Times are medians ({LATE}th percentiles) over covered schemas, in the batch that each answer was in.",
    )


def _tells_of_grammar(record: Record) -> bool:
    compiled = record.timing is not None and record.timing["grammar"] > 0
    return compiled or record.grammar_error is not None or record.grammar_lenient is not None


def _is_declared(record: Record) -> bool:
    return record.grammar_error is None or is_beyond_budget(record.grammar_error)


def _is_covered(record: Record) -> bool:
    return record.grammar_error is None and record.metrics[VALID] == 1


def _share(records: Sequence[Record], holds: Callable[[Record], bool], samples: bool) -> Estimate:
    """The mean over tasks of whether it holds for a record."""
    tasks: dict[str, list[bool]] = defaultdict(list)
    for record in records:
        tasks[record.task].append(holds(record))
    found = estimate([fsum(held) / len(held) for held in tasks.values()], is_proportion=not samples)
    assert found is not None
    return found


def _per_token(record: Record) -> float | None:
    """None also of several turns, of which the first alone is timed, and of answers that were closed: what was taken
    back is not among their tokens."""
    turns = sum(segment.author == "model" for segment in record.segments)
    if record.timing is None or turns != 1 or record.is_closed or record.generated_tokens < 2:
        return None
    return (record.timing["last_token"] - record.timing["first_token"]) / (record.generated_tokens - 1)


def _seconds(values: Sequence[float]) -> Seconds | None:
    if not values:
        return None
    median, late = np.percentile(values, [50, LATE])
    return Seconds(median=float(median), p95=float(late), count=len(values))


def _interval(share: Estimate | None) -> str:
    return "-" if share is None else f"{number(share.mean)} [{number(share.low)}, {number(share.high)}]"


def _milliseconds(seconds: Seconds | None) -> str:
    return "-" if seconds is None else f"{1000 * seconds.median:.1f} ({1000 * seconds.p95:.1f})"
