"""Does a prediction agree with the gold on a test suite? For use inside one process, with its databases kept filled."""

from collections import OrderedDict
from dataclasses import dataclass
from itertools import islice

from envs.sql.databases.connection import Scratch
from envs.sql.databases.database import Database
from envs.sql.databases.execution import (
    DatabaseFault,
    DatabaseFaultError,
    ExecutionLimits,
    QueryError,
    QueryResult,
)
from envs.sql.databases.kinds import ScratchOpener, open_scratch
from envs.sql.suite.build import SuiteBuilder
from envs.sql.suite.own_constants import OwnConstants
from envs.sql.suite.stability import agrees
from envs.sql.suite.suite import TestSuite

_Place = tuple[Database, str, int]
"""A database, a gold, the number of an instance of its suite."""


@dataclass(frozen=True, kw_only=True)
class Disagreement:
    """On which instance a prediction and the gold part."""

    instance: int | None
    """Its number in the suite; None: one that was drawn around the prediction's own constants."""
    error: QueryError | None = None
    """Why the prediction returned nothing there; None when it returned something else than the gold."""


@dataclass(frozen=True, kw_only=True)
class _Filled:
    """A scratch database that holds an instance."""

    scratch: Scratch
    gold: QueryResult


class ScratchPool:
    """Scratch databases filled with instances; those that were not used for longest make room for new ones.

    Belongs to one thread, as the databases in it do.
    """

    def __init__(
        self, limits: ExecutionLimits, *, capacity: int = 256, open_scratch: ScratchOpener = open_scratch
    ) -> None:
        """
        Args:
            limits: of one query on one instance.
            capacity: how many databases are kept open; SQLite takes some 100 KiB for each.
            open_scratch: opens one.
        """
        self.limits = limits
        self._open_scratch = open_scratch
        self._capacity = capacity
        self._filled: OrderedDict[_Place, _Filled] = OrderedDict()

    def get(self, database: Database, suite: TestSuite, number: int) -> _Filled:
        """Instance ``number`` of ``suite``, filled, and the gold's result on it.

        Raises:
            DatabaseFaultError: the database cannot be opened or filled, or the gold does not run there.
        """
        place = (database, suite.gold, number)
        filled = self._filled.get(place)
        if filled is None:
            filled = self._fill(database, suite, number)
            self._filled[place] = filled
        else:
            self._filled.move_to_end(place)
        return filled

    def __len__(self) -> int:
        """How many databases are open."""
        return len(self._filled)

    def close(self) -> None:
        """Closes every database."""
        for filled in self._filled.values():
            filled.scratch.close()
        self._filled.clear()

    def _fill(self, database: Database, suite: TestSuite, number: int) -> _Filled:
        scratch = self._vacated(database) or self._open_scratch(database, self.limits)
        try:
            scratch.fill(suite.instances[number])
            gold = scratch.execute(suite.gold, self.limits)
            if not isinstance(gold, QueryResult):
                raise DatabaseFaultError(f"the gold does not run on its test database: {gold.message}")
        except DatabaseFaultError:
            scratch.close()
            raise
        return _Filled(scratch=scratch, gold=gold)

    def _vacated(self, database: Database) -> Scratch | None:
        """When all places are taken: one that was not used for long, handed over where the schema is the same, because
        filling takes a tenth of the time of opening, else closed."""
        if len(self._filled) < self._capacity:
            return None
        older_half = islice(self._filled, max(1, self._capacity // 2))
        place = next((place for place in older_half if place[0] == database), next(iter(self._filled)))
        filled = self._filled.pop(place)
        if place[0] == database:
            return filled.scratch
        filled.scratch.close()
        return None


class Agreement:
    """Compares predictions with one gold on its suite."""

    def __init__(self, builder: SuiteBuilder, suite: TestSuite, pool: ScratchPool) -> None:
        """
        Args:
            builder: of the suite's database; draws further databases for predictions with constants of their own.
        """
        self._database = builder.database
        self._suite = suite
        self._pool = pool
        self._own_constants = OwnConstants(builder, suite)

    def disagreement(self, prediction: str) -> Disagreement | None:
        """Where ``prediction`` first differs from the gold; None when they agree on every instance.

        Whatever the prediction does is a disagreement, never an exception.

        Raises:
            DatabaseFaultError: a test database cannot be opened, filled or asked: nothing is said of the prediction.
        """
        for number in range(len(self._suite.instances)):
            filled = self._pool.get(self._database, self._suite, number)
            if (found := self._compare(prediction, number, filled)) is not None:
                return found
        if self._database.kind == "sqlite":  # in others turning the order round means to fill a database again
            for number in range(len(self._suite.instances)):
                if (found := self._compare_reversed(prediction, number)) is not None:
                    return found
        return Disagreement(instance=None) if self._own_constants.reveals(prediction) else None

    def _compare(self, prediction: str, number: int, filled: _Filled) -> Disagreement | None:
        outcome = filled.scratch.execute(prediction, self._pool.limits)
        if isinstance(outcome, DatabaseFault):
            raise DatabaseFaultError(outcome.message)
        if agrees(filled.gold, outcome, is_ordered=self._suite.is_ordered):
            return None
        return Disagreement(instance=number, error=outcome if isinstance(outcome, QueryError) else None)

    def _compare_reversed(self, prediction: str, number: int) -> Disagreement | None:
        """The gold returns the same in either order; a prediction that hangs on the order of rows does not."""
        filled = self._pool.get(self._database, self._suite, number)
        filled.scratch.reverse()
        try:
            return self._compare(prediction, number, filled)
        finally:
            filled.scratch.reverse()
