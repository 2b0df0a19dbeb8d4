"""The SQL environment: a question over a database, answered by one query, judged by executing it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from envs.errors import ConfigurationError
from envs.grammar import Grammar
from envs.options import construct
from envs.sql.executor import ExecutionLimits
from envs.sql.grammar import make_grammar
from envs.sql.judge import judge_episode
from envs.sql.prompt import make_prompt
from envs.sql.task import SqlTask
from envs.transcript import Message, Observation, Transcript
from envs.verdict import Verdict


@dataclass(frozen=True, kw_only=True)
class SqlEnvironment:
    """Text to SQL in a single turn, on SQLite databases."""

    sample_values: int = 2
    """How many values of each column the prompt's schema shows; 0 for none."""
    limits: ExecutionLimits = ExecutionLimits()
    """What one query may cost; a configuration gives it as a mapping of the fields of ``ExecutionLimits``."""

    def __post_init__(self) -> None:
        if isinstance(self.limits, Mapping):
            options: Mapping[str, Any] = self.limits
            object.__setattr__(self, "limits", construct("limits", "sql", {"sql": ExecutionLimits}, options))
        if not isinstance(self.sample_values, int) or self.sample_values < 0:
            raise ConfigurationError(f"sql: sample_values is {self.sample_values!r}; expected an integer from 0")

    @property
    def name(self) -> str:
        """The name that configurations use."""
        return "sql"

    @property
    def stops(self) -> tuple[str, ...]:
        """Empty: the environment never speaks."""
        return ()

    def prompt(self, task: SqlTask) -> list[Message]:
        """Instructions, the schema with keys and sample values, the question.

        Raises:
            ConfigurationError: the task's database cannot be read.
        """
        return make_prompt(task, self.sample_values)

    def grammar(self, task: SqlTask) -> Grammar:
        """One SELECT over the tables and columns of the task's database.

        Raises:
            ConfigurationError: the task's database cannot be read.
        """
        return make_grammar(task.database)

    def reference(self, task: SqlTask) -> str:
        """The gold query."""
        return task.gold

    def observe(self, task: SqlTask, transcript: Transcript) -> Observation | None:
        """None: there is nothing to run before the end."""
        return None

    def judge(self, episodes: Sequence[tuple[SqlTask, Transcript]]) -> list[Verdict]:
        """One ``SqlVerdict`` an episode, in order."""
        return [judge_episode(task, transcript, self.limits) for task, transcript in episodes]
