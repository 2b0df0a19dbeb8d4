"""The SQL environment: a question over a database, answered by one query, judged by executing it."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from envs.errors import ConfigurationError
from envs.grammar import Grammar
from envs.layout import Tags, lay_out
from envs.options import construct, tags_of
from envs.sql.executor.pool import WorkerPool
from envs.sql.executor.settings import ExecutorSettings
from envs.sql.executor.shared import shared_pool
from envs.sql.grammar import make_grammar
from envs.sql.judge import judge_episodes
from envs.sql.prompt import SchemaBudget, TokenCounter, estimated_tokens, make_prompt
from envs.sql.task import SqlTask
from envs.transcript import Message, Observation, Transcript
from envs.verdict import Verdict

DEFAULT_TAGS = Tags(reasoning="think")


@dataclass(frozen=True, kw_only=True)
class SqlEnvironment:
    """Text to SQL in a single turn, on SQLite, DuckDB and PostgreSQL databases.

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
    """How many intermediate queries (the blocks of ``tags.step``) of a transcript are run to judge them."""
    count_tokens: TokenCounter = field(default_factory=lambda: estimated_tokens, init=False, compare=False)
    """Measures ``schema_tokens``; no option, but set by ``with_token_counter``."""

    def __post_init__(self) -> None:
        if isinstance(self.executor, Mapping):
            options: Mapping[str, Any] = self.executor
            object.__setattr__(self, "executor", construct("executor", "sql", {"sql": ExecutorSettings}, options))
        object.__setattr__(self, "tags", tags_of("sql", self.tags, DEFAULT_TAGS))
        if not isinstance(self.max_steps, int) or self.max_steps < 1:
            raise ConfigurationError(f"sql: max_steps is {self.max_steps!r}; expected an integer from 1")
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
    def stops(self) -> tuple[str, ...]:
        """Empty: the environment never speaks."""
        return ()

    @property
    def pool(self) -> WorkerPool:
        """The workers that judge, shared by all environments of this process with the same settings."""
        return shared_pool(self.executor)

    def with_token_counter(self, count_tokens: Callable[[str], int]) -> "SqlEnvironment":
        """The same environment, whose budget is counted in the tokens of a model."""
        counting = copy.copy(self)
        object.__setattr__(counting, "count_tokens", count_tokens)
        return counting

    def prompt(self, task: SqlTask) -> list[Message]:
        """Instructions, the schema with keys, descriptions and sample values, the question.

        Raises:
            ConfigurationError: the task's database cannot be read.
        """
        budget = SchemaBudget(
            samples=self.sample_values, tokens=self.schema_tokens, keeps_gold_tables=self.keep_gold_tables
        )
        return make_prompt(task, budget, self.count_tokens, self.tags)

    def grammar(self, task: SqlTask) -> Grammar | None:
        """One SELECT over the tables and columns of the task's database; None where it is not SQLite, and where the
        tags ask for more than the query alone: the grammar has no regions for them.

        Raises:
            ConfigurationError: the task's database cannot be read.
        """
        tags = self.tags
        is_query_alone = not tags.must_reason and tags.answer is None and tags.plan is None and tags.step is None
        return make_grammar(task.database) if is_query_alone and task.database.kind == "sqlite" else None

    def reference(self, task: SqlTask) -> str:
        """The gold query, laid out in the tags."""
        return lay_out(task.gold, self.tags, reasoning="One query answers the question.", plan="1. Write the query.")

    def observe(self, task: SqlTask, transcript: Transcript) -> Observation | None:
        """None: steps are judged at the end, and not answered before."""
        return None

    def judge(self, episodes: Sequence[tuple[SqlTask, Transcript]]) -> list[Verdict]:
        """One ``SqlVerdict`` an episode, in order."""
        return list(judge_episodes(episodes, self.pool, tags=self.tags, max_steps=self.max_steps))
