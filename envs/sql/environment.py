"""The SQL environment: a question over a database, answered by one query, judged by executing it.

Where the tags ask for it, the model may run queries of its own before it answers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from envs.errors import ConfigurationError
from envs.examination import Examination
from envs.grammar import Grammar
from envs.layout import Tags, lay_out
from envs.options import construct, tags_of
from envs.sql.examination import examine_episodes
from envs.sql.executor.pool import WorkerPool
from envs.sql.executor.settings import ExecutorSettings
from envs.sql.executor.shared import shared_pool
from envs.sql.grammar import make_grammar
from envs.sql.judge import judge_episodes
from envs.sql.observation import find
from envs.sql.prompt import SchemaBudget, make_prompt
from envs.sql.task import SqlTask
from envs.stepwise import Stepwise
from envs.transcript import UNSAID, Message, Observation, Transcript
from envs.turn_grammar import turn_grammar
from envs.verdict import Verdict

DEFAULT_TAGS = Tags(reasoning="think")


@dataclass(frozen=True, kw_only=True)
class SqlEnvironment(Stepwise):
    """Text to SQL, on SQLite, DuckDB and PostgreSQL databases. Steps are queries, answered with their results.

    Raises:
        ConfigurationError: an option has no meaning.
    """

    sample_values: int = 2
    """How many values of each column the prompt's schema shows; 0 for none."""
    schema_tokens: int | None = None
    """How long the prompt's schema may be; the tables least relevant to the question are left out first. Null shows
    all of it."""
    keep_gold_tables: bool = True
    """In training tasks the tables that the gold reads are never left out; false treats them like the others."""
    executor: ExecutorSettings = field(default_factory=ExecutorSettings)
    """Limits, test suite and workers; a configuration gives it as a mapping of the fields of ``ExecutorSettings``."""
    tags: Tags = DEFAULT_TAGS
    """What an answer is laid out in; a configuration gives it as a mapping of the fields of ``envs.layout.Tags``. The
    reasoning that it does not name stays ``think``."""
    max_steps: int = 8
    """How many intermediate queries (the blocks of ``tags.step``) of a transcript are run to judge them, and answered
    where ``tags.observation`` is set; a further one then ends the episode."""
    observation_rows: int = 3
    """How many rows of an intermediate query's result are shown to the model."""

    def __post_init__(self) -> None:
        if isinstance(self.executor, Mapping):
            options: Mapping[str, Any] = self.executor
            object.__setattr__(self, "executor", construct("executor", "sql", {"sql": ExecutorSettings}, options))
        object.__setattr__(self, "tags", tags_of("sql", self.tags, DEFAULT_TAGS))
        self.check_steps("sql", must_answer=False)
        if not isinstance(self.observation_rows, int) or self.observation_rows < 0:
            raise ConfigurationError(f"sql: observation_rows is {self.observation_rows!r}; expected an integer from 0")
        if not isinstance(self.sample_values, int) or self.sample_values < 0:
            raise ConfigurationError(f"sql: sample_values is {self.sample_values!r}; expected an integer from 0")
        if self.schema_tokens is not None and (not isinstance(self.schema_tokens, int) or self.schema_tokens < 1):
            raise ConfigurationError(
                f"sql: schema_tokens is {self.schema_tokens!r}; expected an integer from 1, or null"
            )

    @property
    def name(self) -> str:
        """The name that configurations use."""
        return "sql"

    @property
    def pool(self) -> WorkerPool:
        """The workers that judge, shared by all environments of this process with the same settings."""
        return shared_pool(self.executor)

    def prompt(self, task: SqlTask) -> list[Message]:
        """Instructions, the schema with keys, descriptions and sample values, the question.

        Raises:
            ConfigurationError: the task's database cannot be read.
        """
        budget = SchemaBudget(
            samples=self.sample_values, tokens=self.schema_tokens, keeps_gold_tables=self.keep_gold_tables
        )
        return make_prompt(task, budget, self.count_tokens, self.tags, max_steps=self.max_steps)

    def grammar(self, task: SqlTask, transcript: Transcript = UNSAID) -> Grammar | None:
        """One SELECT over the tables and columns of the task, and as many in steps, laid out in the tags;
        None where the database is not SQLite.

        Raises:
            ConfigurationError: the task's database cannot be read.
        """
        if task.database.kind != "sqlite":
            return None
        query = make_grammar(task.database, task.tables)
        return turn_grammar(self.tags, transcript, answer=query, step=query, max_steps=self.max_steps)

    def reference(self, task: SqlTask) -> str:
        """The gold query, laid out in the tags."""
        return lay_out(task.gold, self.tags, reasoning="One query answers the question.", plan="1. Write the query.")

    def observe(self, task: SqlTask, transcript: Transcript) -> Observation | None:
        """The result of the query in a step that is answered, or why it has none. Callable from several threads at
        once, which then share the workers."""
        return self.answered(
            transcript, lambda step: find(step, database=task.database, rows=self.observation_rows, pool=self.pool)
        )

    def judge(self, episodes: Sequence[tuple[SqlTask, Transcript]]) -> list[Verdict]:
        """One ``SqlVerdict`` an episode, in order."""
        return list(judge_episodes(episodes, self.pool, tags=self.tags, max_steps=self.max_steps))

    def examine(self, episodes: Sequence[tuple[SqlTask, Transcript]]) -> list[Examination]:
        """Whether each answer runs, and which return the same (``envs.sql.examination``), in order."""
        return examine_episodes(episodes, self.pool, tags=self.tags, rows=self.observation_rows)
