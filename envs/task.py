"""A task: one row to solve. Each environment extends it with what its prompt and its judge need."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Task:
    """One row to solve: what the prompt needs and what the judge needs."""

    id: str
    """Unique within its dataset and stable between runs: records, resumes and comparisons join on it."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Strata that reports break a metric down by, for example ``{"difficulty": "hard", "database": "museum"}``."""
