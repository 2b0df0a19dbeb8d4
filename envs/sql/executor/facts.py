"""What is said of an answer beyond right or wrong, where a configuration asks for it: official metrics, parsed facts.

The official metrics are what their scripts say on the task's own database, ``spider_test_suite`` on those of its
distribution. Differences that remain: Spider's foreign keys are the database's own here, in the script those of
``tables.json``.
"""

import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

from envs.sql.comparison import UndecidedError
from envs.sql.databases.connection import Connection
from envs.sql.databases.database import Database
from envs.sql.databases.execution import DatabaseFault, Execution, ExecutionLimits, QueryError, QueryResult
from envs.sql.databases.schema import Table
from envs.sql.executor.deadline import Deadline, Phase
from envs.sql.executor.job import Facts, Inspection, InspectJob, JudgeJob
from envs.sql.executor.spider_suite import SpiderTestSuite
from envs.sql.metrics.bird_execution import is_bird_match, r_ves_reward, soft_f1
from envs.sql.metrics.spider_exact_match import exact_match
from envs.sql.metrics.spider_execution import is_execution_match
from envs.sql.metrics.spider_preparation import is_order_compared, prepare_query
from envs.sql.metrics.spider_schema import SpiderSchema, schema_from_tables
from envs.sql.metrics.spider_tokens import SpiderSyntaxError
from envs.sql.parsing.canonical import query_digest
from envs.sql.parsing.cores import core_digests
from envs.sql.parsing.data_dependence import depends_on_data
from envs.sql.parsing.facts import ParsedFacts, compare_queries
from envs.sql.parsing.names import used_names, written_names

VES_REPETITIONS = 100
"""As in the official script."""
VES_SECONDS = 20.0
"""What all repetitions together may take: slow pairs get fewer of them, and at least ``VES_LEAST``."""
VES_LEAST = 5


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A query that was run beside its gold."""

    job: JudgeJob
    connection: Connection
    gold: QueryResult
    predicted: Execution


@dataclass(frozen=True, kw_only=True)
class _Schema:
    """The tables of a database as it is now, and what the facts need of them."""

    identity: Hashable
    tables: tuple[Table, ...]

    @cached_property
    def columns(self) -> dict[str, tuple[str, ...]]:
        return {table.name: tuple(column.name for column in table.columns) for table in self.tables}

    @cached_property
    def spider(self) -> SpiderSchema:
        return schema_from_tables(self.tables)


@dataclass(frozen=True, kw_only=True)
class FactFinder:
    """Finds the facts that the settings name."""

    facts: tuple[str, ...]
    """Of ``envs.sql.executor.job.Fact``."""
    limits: ExecutionLimits
    deadline: Deadline
    test_suite: SpiderTestSuite | None = None
    """For the fact ``spider_test_suite``."""
    _schemas: dict[str, _Schema] = field(default_factory=dict)

    def names(self, connection: Connection, database: Database, query: str, execution: Execution) -> tuple[str, ...]:
        """Tables and ``table.column`` that a query was resolved to, sorted, in lower case: by the database, where it
        tells (SQLite), else by its text.
        """
        if isinstance(execution, DatabaseFault):
            return ()
        if database.kind != "sqlite":
            self.deadline.enter("facts")
            return tuple(
                sorted(used_names(query, self._schema(connection, database.location).columns, database.dialect) or ())
            )
        return _names_of(execution.reads)

    def inspect(self, connection: Connection, job: InspectJob, execution: QueryResult | QueryError) -> Inspection:
        """What a query is worth by itself."""
        names = self.names(connection, job.database, job.query, execution)
        schema = self._schema(connection, job.database.location).columns
        self.deadline.enter("facts")
        digest = query_digest(job.query, schema, job.database.dialect)
        if isinstance(execution, QueryError):
            return Inspection(error=execution.category, names=names, digest=digest)
        written = written_names(job.query, schema, job.database.dialect) or frozenset()
        return Inspection(
            row_count=len(execution.rows),
            names=names,
            # Of a text that cannot be parsed the database tells the columns, but not which of them stand in it.
            written_names=tuple(name for name in names if "." not in name or name in written),
            digest=digest,
            cores=core_digests(job.query, schema, job.database.dialect),
            is_informative=any(value is not None for row in execution.rows for value in row)
            and depends_on_data(job.query, schema, job.database.dialect),
        )

    def find(self, job: JudgeJob, connection: Connection, gold: QueryResult, predicted: Execution) -> Facts | None:
        """What the settings ask for; None when that is nothing."""
        if not self.facts:
            return None
        answer = Answer(job=job, connection=connection, gold=gold, predicted=predicted)
        return Facts(parsed=self.parsed(answer), metrics=self.metrics(answer))

    def parsed(self, answer: Answer) -> ParsedFacts | None:
        """What prediction and gold have in common as text; None when not asked for, or when the gold has no tree."""
        if "parsed" not in self.facts:
            return None
        schema = self._schema(answer.connection, answer.job.database.location).columns
        self.deadline.enter("facts")
        try:
            return compare_queries(answer.job.query, answer.job.gold, schema, answer.job.database.dialect)
        except ValueError:
            return None

    def metrics(self, answer: Answer) -> dict[str, float]:
        """The official metrics that are asked for, by name. One that cannot be had is left out."""
        measured = {name: measure(self, answer) for name, measure in _METRICS.items() if name in self.facts}
        return {name: value for name, value in measured.items() if value is not None}

    def tables(self, connection: Connection, location: str) -> tuple[Table, ...]:
        """The schema, read once for each state of the database.

        Raises:
            DatabaseFaultError: it cannot be read.
        """
        return self._schema(connection, location).tables

    def _schema(self, connection: Connection, location: str) -> _Schema:
        known = self._schemas.get(location)
        if known is None or known.identity != connection.identity:
            if len(self._schemas) >= 256:
                self._schemas.clear()
            known = self._schemas[location] = _Schema(identity=connection.identity, tables=connection.tables())
        return known

    def spider_execution(self, answer: Answer) -> float | None:
        """Spider's execution accuracy: both texts as its script mends them, and its comparison."""
        gold = self._execute(answer, prepare_query(answer.job.gold), "gold")
        predicted = self._execute(answer, prepare_query(answer.job.query), "query")
        if not isinstance(gold, QueryResult):
            return None
        if not isinstance(predicted, QueryResult):
            return 0.0
        self.deadline.enter("comparison")
        try:
            is_match = is_execution_match(gold.rows, predicted.rows, is_ordered=is_order_compared(answer.job.gold))
        except UndecidedError:
            return None
        return float(is_match)

    def spider_test_suite(self, answer: Answer) -> float | None:
        """Spider's test-suite accuracy, on the databases of its distribution."""
        if self.test_suite is None:
            return None
        try:
            is_match = self.test_suite.is_match(answer.job)
        except UndecidedError:
            return None
        return None if is_match is None else float(is_match)

    def spider_exact_match(self, answer: Answer) -> float | None:
        """Spider's exact-set match."""
        schema = self._schema(answer.connection, answer.job.database.location).spider
        self.deadline.enter("facts")
        try:
            verdict = exact_match(answer.job.query, answer.job.gold, schema, should_fill_value_slots=False)
        except SpiderSyntaxError:  # of the gold: the official script stops there
            return None
        return float(verdict.is_match)

    def bird_execution(self, answer: Answer) -> float:
        """BIRD's execution accuracy."""
        self.deadline.enter("comparison")
        predicted = answer.predicted
        return float(isinstance(predicted, QueryResult) and is_bird_match(answer.gold.rows, predicted.rows))

    def soft_f1(self, answer: Answer) -> float:
        """BIRD's Soft-F1."""
        self.deadline.enter("comparison")
        return soft_f1(answer.gold.rows, answer.predicted.rows) if isinstance(answer.predicted, QueryResult) else 0.0

    def r_ves(self, answer: Answer) -> float:
        """BIRD's reward for efficiency, from 0 to 1.25, timed here in turn with the gold."""
        if not self.bird_execution(answer):
            return 0.0
        times: tuple[list[float], list[float]] = ([], [])
        for repetition in range(VES_REPETITIONS):
            if repetition >= VES_LEAST and sum(map(sum, times)) > VES_SECONDS:
                break
            pair: tuple[tuple[str, Phase], ...] = ((answer.job.gold, "gold"), (answer.job.query, "query"))
            for seconds, (query, phase) in zip(times, pair, strict=True):
                start = time.perf_counter()
                self._execute(answer, query, phase)
                seconds.append(time.perf_counter() - start)
        return r_ves_reward(*times, is_correct=True)

    def _execute(self, answer: Answer, query: str, phase: Phase) -> Execution:
        self.deadline.enter(phase)
        return answer.connection.execute(query, self.limits)


@lru_cache(maxsize=4_096)
def _names_of(reads: frozenset[tuple[str, str]]) -> tuple[str, ...]:
    lowered = {(table.lower(), column.lower()) for table, column in reads}
    return tuple(sorted({table for table, _ in lowered} | {f"{table}.{column}" for table, column in lowered if column}))


_METRICS: Mapping[str, Callable[[FactFinder, Answer], float | None]] = {
    "spider_execution": FactFinder.spider_execution,
    "spider_test_suite": FactFinder.spider_test_suite,
    "spider_exact_match": FactFinder.spider_exact_match,
    "bird_execution": FactFinder.bird_execution,
    "soft_f1": FactFinder.soft_f1,
    "r_ves": FactFinder.r_ves,
}
