"""How much of the gold's answer on the real database is certain, and the comparison that asks for no more than that.

Real rows tie. Where they do under the gold's ORDER BY, any order among them is right; where a LIMIT cuts tied rows off,
any choice among them is. There only what is certain is compared, and the test suite, whose databases have no such ties,
judges the rest.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from envs.sql.comparison import UndecidedError, are_equal
from envs.sql.databases.connection import Connection
from envs.sql.databases.execution import Execution, ExecutionLimits, QueryResult, Row
from envs.sql.suite.query import ParsedQuery
from envs.sql.suite.ties import tie_probes

REWRITE_SECONDS = 0.5
"""Wall time of one rewrite on the real database: a planner may take one badly, and nothing hangs on it."""


@dataclass(frozen=True, kw_only=True)
class Certainty:
    """What of an answer is certain."""

    ranks: tuple[int, ...] | None = None
    """For each row the number of the class of tied rows that it is in; None: the order is certain, or none is asked
    for."""
    rows: int | None = None
    """How many rows, from the first, are not chosen among tied ones by a LIMIT; None: all. Their number is certain."""
    is_arbitrary: bool = False
    """The answer changes with the order in which rows are visited in other ways (a LIMIT in a subquery, a column beside
    GROUP BY): nothing is certain but its width."""

    def agrees(self, gold: QueryResult, outcome: Execution, *, is_ordered: bool) -> bool:
        """True when ``outcome`` is a result that the gold could have had as well."""
        if not isinstance(outcome, QueryResult) or len(outcome.columns) != len(gold.columns):
            return False
        if self.is_arbitrary:
            return True
        if len(outcome.rows) != len(gold.rows):
            return False
        golden, predicted = self._certain(gold.rows), self._certain(outcome.rows)
        try:
            return are_equal(
                golden,
                predicted,
                is_ordered=is_ordered and self.ranks is None,
                gold_width=len(gold.columns),
                predicted_width=len(outcome.columns),
            )
        except UndecidedError:
            return False

    def _certain(self, rows: tuple[Row, ...]) -> tuple[Row, ...]:
        """The certain rows, each with its rank, which as a tuple equals no value of a row."""
        rows = rows[: self.rows]
        if self.ranks is None:
            return rows
        return tuple((*row, ("rank", rank)) for row, rank in zip(rows, self.ranks, strict=False))


def examine(
    query: ParsedQuery,
    rewrites: Sequence[str],
    answer: QueryResult,
    connection: Connection,
    limits: ExecutionLimits,
) -> Certainty:
    """What of ``answer``, the gold's result on the real database, is certain.

    Args:
        rewrites: texts equal to the query by construction (``envs.sql.suite.rewrites``).
    """
    certainty = _by_ties(query, answer, connection, limits)
    outcomes = [connection.execute_reversed(query.sql(), limits)]
    brief = replace(limits, seconds=min(limits.seconds, REWRITE_SECONDS))
    outcomes += [connection.execute(rewrite, brief) for rewrite in rewrites]
    for outcome in outcomes:
        # A rewrite that fails to run, or takes too long, says nothing.
        if isinstance(outcome, QueryResult) and not certainty.agrees(answer, outcome, is_ordered=query.is_ordered):
            return Certainty(is_arbitrary=True)
    return certainty


def _by_ties(query: ParsedQuery, answer: QueryResult, connection: Connection, limits: ExecutionLimits) -> Certainty:
    for probe in tie_probes(query):
        outcome = connection.execute(probe.query, limits)
        if not isinstance(outcome, QueryResult) or not probe.has_choice(outcome.rows):
            continue
        if not probe.is_whole or probe.start:
            return Certainty(is_arbitrary=True)
        ranks, certain = probe.ranks(outcome.rows)
        if len(ranks) != len(answer.rows):
            return Certainty(is_arbitrary=True)
        return Certainty(
            ranks=tuple(ranks) if probe.is_ordered else None, rows=certain if certain < len(ranks) else None
        )
    return Certainty()
