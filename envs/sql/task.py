"""An SQL task: a question, the database it asks, and the gold query."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from envs.sql.databases.database import Database
from envs.task import Task


@dataclass(frozen=True, kw_only=True)
class SqlTask(Task):
    """Write the query over ``database`` that answers ``question``."""

    question: str
    database: Database
    gold: str
    """The gold query, in the database's own dialect."""
    evidence: str = ""
    """External knowledge that some datasets (BIRD) hand to the model with the question."""
    descriptions: Mapping[str, str] = field(default_factory=dict)
    """What a table or a ``table.column`` (in lower case) means, in the dataset's own words."""
    tables: tuple[str, ...] | None = None
    """The tables that the question is about, as the database spells them, where the database holds others that have
    nothing to do with it (WikiSQL): prompt and grammar know these alone. None: all."""
    is_for_training: bool = False
    """The task is trained on: a schema that has to be cut may then keep what the gold reads. In a task that measures,
    that would tell the answer."""
