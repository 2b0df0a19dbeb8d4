"""What a gold query says on the task's own database, and whether a prediction's result is the same.

A gold can leave its result open: equal keys under ORDER BY, a tie at LIMIT, a column that GROUP BY does not determine.
With a test suite, only what is certain of it is compared (``envs.sql.suite.certainty``), since the suite's databases
have no such ties and judge the rest. Without one the gold's own result is taken at its word, as official scripts do.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from envs.sql.comparison import are_equal
from envs.sql.databases.execution import QueryResult
from envs.sql.suite.certainty import Certainty


@dataclass(kw_only=True)
class Gold:
    """A gold's result on the task's own database."""

    result: QueryResult
    names: tuple[str, ...]
    is_ordered: bool
    find_certainty: Callable[[], Certainty] | None
    """Looks at the real rows; asked when a result differs, and once. None without a test suite."""
    _certainty: Certainty | None = field(default=None, init=False)

    def is_same(self, predicted: QueryResult) -> bool:
        """True when ``predicted`` is a result that the gold could have had as well.

        Raises:
            UndecidedError: the comparison became too long.
        """
        if len(self.result.columns) != len(predicted.columns):
            return False
        if are_equal(
            self.result.rows,
            predicted.rows,
            is_ordered=self.is_ordered,
            gold_width=len(self.result.columns),
            predicted_width=len(predicted.columns),
        ):
            return True
        if self.find_certainty is None:
            return False
        if self._certainty is None:
            self._certainty = self.find_certainty()
        if self._certainty == Certainty():
            return False
        return self._certainty.agrees(self.result, predicted, is_ordered=self.is_ordered)
