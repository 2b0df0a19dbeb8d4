"""A test suite as data."""

from dataclasses import dataclass

from envs.sql.suite.certainty import Certainty
from envs.sql.suite.rows import Instance

NullColumns = tuple[bool, ...] | None
"""Which columns of a result hold NULL; None where it has no rows to tell."""


@dataclass(frozen=True, kw_only=True)
class TestSuite:
    """The small databases on which a prediction must agree with its gold."""

    __test__ = False  # pytest takes a class of this name for tests

    gold: str
    instances: tuple[Instance, ...]
    """Those that reject most first."""
    is_ordered: bool
    """The gold orders its result at the top level."""
    certainty: Certainty = Certainty()
    """What of the gold's answer on the real database a prediction has to agree with."""
    null_columns: NullColumns = None
    """Of the gold's answer on the real database."""
    defect: str | None = None
    """Why the suite does not do its work, for a task that should then be left out: it cannot be told from a query that
    returns nothing or a constant, or the gold itself fails. None when it does."""
    is_lasting: bool = True
    """False where the gold did not run, which may pass: such a suite is not kept."""
    mutants: int = 0
    """Mutants that ran on the first candidate."""
    survivors: int = 0
    """Those that no candidate told from the gold: most of them are equal to it."""

    @property
    def is_distinguishing(self) -> bool:
        """Queries that return nothing, or the gold's real answer as constants, are rejected."""
        return self.defect is None
