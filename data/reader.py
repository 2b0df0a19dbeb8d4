"""The contract of a dataset reader."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from envs.task import Task

Split = Literal["train", "heldout"]


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The tasks of one split, and why rows were left out."""

    tasks: Sequence[Task]
    skipped: Counter[str] = field(default_factory=Counter)
    """Reason -> number of rows that could not become a task."""


class Reader(Protocol):
    """Reads one dataset. Implementations are frozen dataclasses whose fields are the reader's options."""

    @property
    def environment(self) -> str:
        """Name of the environment that these tasks are for."""
        ...

    def read(self, split: Split) -> Reading:
        """All usable tasks of a split.

        Raises:
            ConfigurationError: a file of the dataset is missing, or no row of the split is usable.
        """
        ...
