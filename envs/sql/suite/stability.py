"""Does a query's result on a database hang on an order that the query does not ask for?

It does where rows tie under ORDER BY, at a LIMIT, or where a column stands beside GROUP BY that is not of the group.
Another right query may then return something else, so that such a database proves nothing. Three ways to notice: the
ties themselves are looked for by running the query without its LIMIT and with its keys as columns; the rows are stored
and visited in other orders; texts that are equal by construction are run beside it.
"""

from random import Random

from envs.sql.comparison import UndecidedError, are_equal
from envs.sql.databases.connection import Scratch
from envs.sql.databases.execution import ExecutionLimits, QueryResult
from envs.sql.suite.query import ParsedQuery
from envs.sql.suite.rewrites import equivalents
from envs.sql.suite.rows import Instance
from envs.sql.suite.ties import tie_probes


class StabilityCheck:
    """Looks at one gold query on many databases."""

    def __init__(self, query: ParsedQuery) -> None:
        self._gold = query.sql()
        self._is_ordered = query.is_ordered
        self.rewrites = equivalents(query)
        self._probes = tie_probes(query)

    def has_ties(self, scratch: Scratch, limits: ExecutionLimits) -> bool:
        """True when tied rows that are not alike stand where the order or a LIMIT tells them apart."""
        for probe in self._probes:
            outcome = scratch.execute(probe.query, limits)
            # A subquery that refers to the query around it does not run by itself; the other two ways remain.
            if isinstance(outcome, QueryResult) and probe.has_ties(outcome.rows):
                return True
        return False

    def is_stable(
        self, scratch: Scratch, instance: Instance, gold: QueryResult, limits: ExecutionLimits, random: Random
    ) -> bool:
        """True when no way shows a dependence. ``scratch`` holds ``instance`` before, and another order afterwards.

        Raises:
            DatabaseFaultError: the scratch database cannot be filled.
        """
        if self.has_ties(scratch, limits):
            return False
        if not all(self._returns(rewrite, gold, scratch, limits) for rewrite in self.rewrites):
            return False
        scratch.reverse()
        if not self._returns(self._gold, gold, scratch, limits):
            return False
        scratch.fill({table: random.sample(rows, len(rows)) for table, rows in instance.items()})
        return self._returns(self._gold, gold, scratch, limits)

    def _returns(self, query: str, gold: QueryResult, scratch: Scratch, limits: ExecutionLimits) -> bool:
        return agrees(gold, scratch.execute(query, limits), is_ordered=self._is_ordered)


def agrees(gold: QueryResult, outcome: object, *, is_ordered: bool) -> bool:
    """True when ``outcome`` is a result and equals the gold's."""
    if not isinstance(outcome, QueryResult):
        return False
    try:
        return are_equal(
            gold.rows,
            outcome.rows,
            is_ordered=is_ordered,
            gold_width=len(gold.columns),
            predicted_width=len(outcome.columns),
        )
    except UndecidedError:
        return False
