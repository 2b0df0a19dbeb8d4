"""An SQL task: a question, the database it asks, and the gold query."""

from dataclasses import dataclass
from pathlib import Path

from envs.task import Task


@dataclass(frozen=True, kw_only=True)
class SqlTask(Task):
    """Write the query over ``database`` that answers ``question``."""

    question: str
    database: Path
    """The SQLite file."""
    gold: str
    """The gold query, in the database's own dialect."""
    evidence: str = ""
    """External knowledge that some datasets (BIRD) hand to the model with the question."""
