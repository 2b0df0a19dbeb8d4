"""What a gold query says on the task's own database, and whether a prediction's result is the same.

A gold can leave its result open: a tie at LIMIT, a column that GROUP BY does not determine, an ORDER BY with equal
keys. Which rows come out, or in which order, is then the database's own affair, and a right prediction may come out
otherwise. It shows when tables are scanned in the opposite direction. Where only the order differs, rows are compared
as a bag (the test suite, whose databases have no such ties, still asks for the order); where the rows differ, either
result is right.
"""

from dataclasses import dataclass, field

from envs.sql.comparison import are_equal
from envs.sql.databases.connection import Connection
from envs.sql.databases.execution import ExecutionLimits, QueryResult


@dataclass(kw_only=True)
class Gold:
    """A gold's result on the task's own database."""

    query: str
    result: QueryResult
    names: tuple[str, ...]
    is_ordered: bool
    _alternative: QueryResult | None = field(default=None, init=False)
    _is_reversal_known: bool = field(default=False, init=False)

    def is_same(self, predicted: QueryResult, connection: Connection, limits: ExecutionLimits) -> bool:
        """True when ``predicted`` is one of the gold's possible results.

        Raises:
            UndecidedError: the comparison became too long.
        """
        if _same(self.result, predicted, is_ordered=self.is_ordered):
            return True
        if len(predicted.columns) != len(self.result.columns) or not self._reveal(connection, limits):
            return False
        return _same(self.result, predicted, is_ordered=self.is_ordered) or (
            self._alternative is not None and _same(self._alternative, predicted, is_ordered=self.is_ordered)
        )

    def _reveal(self, connection: Connection, limits: ExecutionLimits) -> bool:
        """Scans backwards, once; True when that showed that the gold leaves its result open."""
        if not self._is_reversal_known:
            self._is_reversal_known = True
            backwards = connection.execute_reversed(self.query, limits)
            if isinstance(backwards, QueryResult) and not _same(self.result, backwards, is_ordered=self.is_ordered):
                if self.is_ordered and _same(self.result, backwards, is_ordered=False):
                    self.is_ordered = False
                else:
                    self._alternative = backwards
                return True
        return self._alternative is not None


def _same(gold: QueryResult, predicted: QueryResult, *, is_ordered: bool) -> bool:
    return are_equal(
        gold.rows,
        predicted.rows,
        is_ordered=is_ordered,
        gold_width=len(gold.columns),
        predicted_width=len(predicted.columns),
    )
