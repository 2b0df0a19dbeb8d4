"""Judges queries inside a worker: warm connections, remembered golds and judgements, comparison on the spot.

What is sent back is a few facts; rows stay here. Everything remembered is keyed by the identity of the database, so
that a file which changes is read anew.
"""

from collections.abc import Hashable

from envs.errors import ConfigurationError
from envs.sql.answer import orders_its_result
from envs.sql.comparison import UndecidedError
from envs.sql.databases.connection import Connection
from envs.sql.databases.database import Database
from envs.sql.databases.execution import (
    DatabaseFault,
    DatabaseFaultError,
    Execution,
    QueryError,
    QueryResult,
)
from envs.sql.executor.deadline import START_SECONDS, Deadline, Phase
from envs.sql.executor.gold import Gold
from envs.sql.executor.job import ExecuteJob, Judgement, JudgeJob, Unjudged
from envs.sql.executor.memo import Memo
from envs.sql.executor.settings import ExecutorSettings
from envs.sql.executor.warm import WarmConnections

COMPARISON_SECONDS = 5.0
JUDGEMENT_BYTES = 2_000
"""What a remembered judgement weighs, about."""


class UnjudgedError(Exception):
    """Nothing can be said about the query; the message says why."""


class Judge:
    """Runs the jobs of one worker."""

    def __init__(self, settings: ExecutorSettings, deadline: Deadline) -> None:
        self._limits = settings.limits
        self._deadline = deadline
        self._connections = WarmConnections(settings.limits)
        self._executions: Memo[Execution] = Memo(settings.cache_bytes // 2, _execution_bytes)
        self._golds: Memo[Gold] = Memo(settings.cache_bytes // 4, lambda gold: _execution_bytes(gold.result))
        self._judgements: Memo[Judgement] = Memo(settings.cache_bytes // 4, lambda _: JUDGEMENT_BYTES)

    def execute(self, job: ExecuteJob) -> Execution:
        """What comes of one query."""
        try:
            return self._execute(self._connection(job.database), job.database, job.query, "query")
        except DatabaseFaultError as fault:
            return DatabaseFault(message=str(fault))

    def judge(self, job: JudgeJob) -> Judgement | Unjudged:
        """What is to be said of one query, beside its gold."""
        try:
            connection = self._connection(job.database)
            key = (job.database, connection.identity, job.gold, job.query)
            judgement = self._judgements.get(key)
            if judgement is None:
                judgement = self._judge(connection, job)
                self._judgements.put(key, judgement)
            return judgement
        except DatabaseFaultError as fault:
            return Unjudged(reason=f"database: {fault}")
        except UndecidedError as error:
            return Unjudged(reason=f"comparison: {error}")
        except UnjudgedError as error:
            return Unjudged(reason=str(error))
        except MemoryError:  # in our own code: the database's own are caught where the query runs
            return Unjudged(reason="memory: the worker's limit was reached")

    def _connection(self, database: Database) -> Connection:
        self._deadline.allow("database", START_SECONDS)
        try:
            return self._connections.get(database)
        except ConfigurationError as error:  # a driver that is not installed
            raise DatabaseFaultError(str(error)) from error

    def _execute(self, connection: Connection, database: Database, query: str, phase: Phase) -> Execution:
        key = (database, connection.identity, query)
        execution = self._executions.get(key)
        if execution is None:
            self._deadline.allow(phase, self._limits.seconds)
            execution = connection.execute(query, self._limits)
            if not isinstance(execution, DatabaseFault):  # a lock passes
                self._executions.put(key, execution)
        return execution

    def _judge(self, connection: Connection, job: JudgeJob) -> Judgement:
        gold = self._gold(connection, job)
        predicted = self._execute(connection, job.database, job.query, "query")
        if isinstance(predicted, DatabaseFault):
            raise DatabaseFaultError(predicted.message)
        if isinstance(predicted, QueryError):
            return Judgement(
                error=predicted.category,
                message=predicted.message,
                is_parsed=predicted.is_parsed,
                names=names_of(predicted.reads),
                gold_names=gold.names,
            )
        self._deadline.allow("comparison", COMPARISON_SECONDS + self._limits.seconds)
        is_same = gold.is_same(predicted, connection, self._limits)
        return Judgement(
            is_correct=is_same,
            error=None if is_same else "wrong result",
            is_parsed=True,
            is_executed=True,
            agrees_on_database=is_same,
            row_count=len(predicted.rows),
            names=names_of(predicted.reads),
            gold_names=gold.names,
        )

    def _gold(self, connection: Connection, job: JudgeJob) -> Gold:
        key: Hashable = (job.database, connection.identity, job.gold)
        gold = self._golds.get(key)
        if gold is None:
            gold = self._new_gold(connection, job)
            self._golds.put(key, gold)
        return gold

    def _new_gold(self, connection: Connection, job: JudgeJob) -> Gold:
        execution = self._execute(connection, job.database, job.gold, "gold")
        if isinstance(execution, DatabaseFault):
            raise DatabaseFaultError(execution.message)
        if isinstance(execution, QueryError):
            raise UnjudgedError(f"gold: {execution.category}: {execution.message}")
        try:
            is_ordered = orders_its_result(job.gold)
        except ValueError as error:
            raise UnjudgedError(f"gold: {error}") from error
        return Gold(query=job.gold, result=execution, names=names_of(execution.reads), is_ordered=is_ordered)


def names_of(reads: frozenset[tuple[str, str]]) -> tuple[str, ...]:
    """Tables and ``table.column``, sorted, in lower case."""
    lowered = {(table.lower(), column.lower()) for table, column in reads}
    return tuple(sorted({table for table, _ in lowered} | {f"{table}.{column}" for table, column in lowered if column}))


def _execution_bytes(execution: Execution) -> int:
    """Python keeps a value of 8 bytes in about 40."""
    return 1_000 + (5 * execution.size if isinstance(execution, QueryResult) else 0)
