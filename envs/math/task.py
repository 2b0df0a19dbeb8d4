"""A mathematics task: a question and its gold answer."""

from dataclasses import dataclass

from envs.task import Task


@dataclass(frozen=True, kw_only=True)
class MathTask(Task):
    """Answer ``question`` with a value equal to ``gold``."""

    question: str
    gold: str
    """The final answer alone, as a number or LaTeX, without a box."""
