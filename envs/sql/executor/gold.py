"""What a gold query says on the task's own database, and whether a prediction's result is the same.

A gold can leave its result open: equal keys under ORDER BY, a tie at LIMIT, a column that GROUP BY does not determine.
With a test suite, only what is certain of it is compared (``envs.sql.suite.certainty``), since the suite's databases
have no such ties and judge the rest. Without one the gold's own result is taken at its word, as official scripts do.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from envs.sql.comparison import Digest, are_equal
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
    digest: Digest = field(init=False)
    _certainty: Certainty | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.digest = Digest(self.result.rows)

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
            gold_digest=self.digest,
        ):
            return True
        certainty = self._what_is_certain()
        return certainty != Certainty() and certainty.agrees(self.result, predicted, is_ordered=self.is_ordered)

    @property
    def is_arbitrary(self) -> bool:
        """Nothing is certain of the result but its width; False until a result differed and that was looked at."""
        return self._certainty is not None and self._certainty.is_arbitrary

    def _what_is_certain(self) -> Certainty:
        if self.find_certainty is None:
            return Certainty()
        if self._certainty is None:
            self._certainty = self.find_certainty()
        return self._certainty
