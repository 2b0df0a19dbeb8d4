"""Judges queries inside a worker: warm connections, remembered golds and judgements, comparison on the spot.

What is sent back is a few facts; rows stay here. Everything remembered is keyed by the identity of the database, so
that a file which changes is read anew.
"""

from collections.abc import Callable, Hashable
from typing import TypeVar

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
    shortened,
    too_long,
)
from envs.sql.executor.deadline import Deadline, Phase
from envs.sql.executor.facts import FactFinder
from envs.sql.executor.gold import Gold
from envs.sql.executor.job import (
    ExamineJob,
    ExecuteJob,
    Inspection,
    InspectJob,
    JudgeJob,
    Judgement,
    Preview,
    PreviewJob,
    Unjudged,
)
from envs.sql.executor.memo import Memo
from envs.sql.executor.preview import preview_of
from envs.sql.executor.settings import ExecutorSettings
from envs.sql.executor.spider_suite import SpiderTestSuite
from envs.sql.executor.suites import Suites
from envs.sql.executor.warm import WarmConnections
from envs.sql.parsing.repeatability import volatile_part
from envs.sql.result_digest import result_digest
from envs.sql.suite.agreement import Disagreement
from envs.sql.suite.certainty import Certainty, examine
from envs.sql.suite.query import ParsedQuery
from envs.sql.suite.rewrites import equivalents

JobT = TypeVar("JobT")
FindingT = TypeVar("FindingT")

JUDGEMENT_BYTES = 2_000
"""What a remembered judgement weighs, about."""
SUITE_CONNECTIONS = {"sqlite": 128}
"""Databases of Spider's official test suites that a worker keeps open, some hundred KiB each."""


class UnjudgedError(Exception):
    """Nothing can be said about the query; the message says why."""


class Judge:
    """Runs the jobs of one worker."""

    def __init__(self, settings: ExecutorSettings, deadline: Deadline) -> None:
        self._limits = settings.limits
        self._deadline = deadline
        self._connections = WarmConnections(settings.limits, deadline)
        self._executions: Memo[Execution] = Memo(settings.cache_bytes // 2)
        self._golds: Memo[Gold] = Memo(settings.cache_bytes // 4)
        self._judgements: Memo[Judgement] = Memo(settings.cache_bytes // 4)
        self._suites = Suites(settings.suite, settings.limits, deadline) if settings.suite else None
        self._suite_connections = WarmConnections(settings.limits, deadline, SUITE_CONNECTIONS)
        self._facts = FactFinder(
            facts=settings.facts,
            limits=settings.limits,
            deadline=deadline,
            test_suite=SpiderTestSuite(directory=settings.spider_test_suite, run=self._run_on_suite, deadline=deadline)
            if settings.spider_test_suite
            else None,
        )

    def execute(self, job: ExecuteJob) -> Execution:
        """What comes of one query."""
        try:
            return self._execute(self._connection(job.database), job.database, job.query, "query")
        except DatabaseFaultError as fault:
            return DatabaseFault(message=str(fault))

    def judge(self, job: JudgeJob) -> Judgement | Unjudged:
        """What is to be said of one query, beside its gold."""
        return _decided(self._remembered, job)

    def inspect(self, job: InspectJob) -> Inspection | Unjudged:
        """What is to be said of one query by itself."""
        return _decided(self._inspect, job)

    def preview(self, job: PreviewJob) -> Preview | Unjudged:
        """What is shown of one query's result."""
        return _decided(self._preview, job)

    def examine(self, job: ExamineJob) -> Preview | Unjudged:
        """What can be said of one query without a gold."""
        return _decided(self._examine, job)

    def _remembered(self, job: JudgeJob) -> Judgement:
        connection = self._connection(job.database)
        key = (job.database.location, connection.identity, job.gold, job.query)
        judgement = self._judgements.get(key)
        if judgement is None:
            judgement = self._judge(connection, job)
            if len(job.query) <= self._limits.query_bytes:  # others are refused at once, and would fill the memory
                self._judgements.put(key, judgement, JUDGEMENT_BYTES + 4 * len(job.query))
        return judgement

    def _inspect(self, job: InspectJob) -> Inspection:
        connection = self._connection(job.database)
        return self._facts.inspect(connection, job, self._looked_up(connection, job.database, job.query))

    def _preview(self, job: PreviewJob) -> Preview:
        found = self._looked_up(self._connection(job.database), job.database, job.query)
        self._deadline.enter("facts")
        return preview_of(found, job.rows)

    def _examine(self, job: ExamineJob) -> Preview:
        connection = self._connection(job.database)
        run = self._looked_up if job.is_step else self._answer
        found = run(connection, job.database, job.query)
        self._deadline.enter("comparison")
        if isinstance(found, QueryError):
            return preview_of(found, job.rows)
        try:
            is_ordered = orders_its_result(job.query, job.database.dialect)
        except ValueError:  # it names an order, nobody knows of what
            is_ordered = True
        return preview_of(found, job.rows, result_digest(found, is_ordered=is_ordered))

    def _connection(self, database: Database) -> Connection:
        self._deadline.enter("database")
        try:
            return self._connections.get(database)
        except ConfigurationError as error:  # a driver that is not installed
            raise DatabaseFaultError(str(error)) from error

    def _answer(self, connection: Connection, database: Database, query: str) -> QueryResult | QueryError:
        """What comes of a model's query.

        Raises:
            DatabaseFaultError: nothing can be said about it.
        """
        execution = self._execute(connection, database, query, "query")
        if isinstance(execution, DatabaseFault):
            raise DatabaseFaultError(execution.message)
        return execution

    def _looked_up(self, connection: Connection, database: Database, query: str) -> QueryResult | QueryError:
        """What comes of an intermediate query: the same each time.

        Raises:
            DatabaseFaultError: nothing can be said about it.
        """
        self._deadline.enter("facts")
        if too_long(query, self._limits) is None:
            part = volatile_part(query, database.dialect)
            if part is not None:
                message = f"{part} is not available here; a query must return the same each time"
                return QueryError(category="not repeatable", message=shortened(message))
        return self._answer(connection, database, query)

    def _execute(self, connection: Connection, database: Database, query: str, phase: Phase) -> Execution:
        if (error := too_long(query, self._limits)) is not None:
            return error
        key = (database.location, connection.identity, query)
        execution = self._executions.get(key)
        if execution is None:
            self._deadline.enter(phase)
            execution = connection.execute(query, self._limits)
            # A lock passes, and so may what kept a gold from running: it is asked again.
            if isinstance(execution, QueryResult) or (phase != "gold" and isinstance(execution, QueryError)):
                self._executions.put(key, execution, _execution_bytes(execution) + 4 * len(query))
        return execution

    def _run_on_suite(self, database: Database, query: str, phase: Phase) -> Execution:
        """What comes of a query on a database of Spider's official test suite.

        Raises:
            DatabaseFaultError: it cannot be read.
        """
        self._deadline.enter("database")
        connection = self._suite_connections.get(database)
        if phase == "gold":  # every answer to the task is compared with it
            return self._execute(connection, database, query, phase)
        self._deadline.enter(phase)
        return connection.execute(query, self._limits)

    def _judge(self, connection: Connection, job: JudgeJob) -> Judgement:
        gold = self._gold(connection, job)
        predicted = self._answer(connection, job.database, job.query)
        names = self._facts.names(connection, job.database, job.query, predicted)
        facts = self._facts.find(job, connection, gold.result, predicted)
        if isinstance(predicted, QueryError):
            return Judgement(
                error=predicted.category,
                message=predicted.message,
                is_parsed=predicted.is_parsed,
                names=names,
                gold_names=gold.names,
                facts=facts,
            )
        self._deadline.enter("comparison")
        agrees_on_database = gold.is_same(predicted)
        disagreement = self._disagreement(connection, job, gold) if agrees_on_database else None
        is_correct = agrees_on_database and disagreement is None
        return Judgement(
            is_correct=is_correct,
            error=None if is_correct else "wrong result",
            is_parsed=True,
            is_executed=True,
            agrees_on_database=agrees_on_database,
            disagreement=disagreement,
            row_count=len(predicted.rows),
            names=names,
            gold_names=gold.names,
            facts=facts,
        )

    def _disagreement(self, connection: Connection, job: JudgeJob, gold: Gold) -> Disagreement | None:
        """Where in the test suite prediction and gold part."""
        if self._suites is None or (job.query == job.gold and gold.result.rows and not gold.is_arbitrary):
            return None
        if not gold.result.rows or gold.is_arbitrary:
            defect = self._suites.defect(job.database, connection, job.gold)
            if defect is not None:  # whatever returns nothing, or anything, would pass for right
                state = "hangs on the order of rows" if gold.result.rows else "is empty"
                raise UnjudgedError(f"gold: its result {state}, and {defect}")
        if job.query == job.gold:
            return None
        return self._suites.disagreement(job.database, connection, job.gold, job.query)

    def _gold(self, connection: Connection, job: JudgeJob) -> Gold:
        key: Hashable = (job.database.location, connection.identity, job.gold)
        gold = self._golds.get(key)
        if gold is None:
            gold = self._new_gold(connection, job)
            self._golds.put(key, gold, _execution_bytes(gold.result) + 4 * len(job.gold))
        return gold

    def _new_gold(self, connection: Connection, job: JudgeJob) -> Gold:
        execution = self._execute(connection, job.database, job.gold, "gold")
        if isinstance(execution, DatabaseFault):
            raise DatabaseFaultError(execution.message)
        if isinstance(execution, QueryError):
            raise UnjudgedError(f"gold: {execution.category}: {execution.message}")
        try:
            is_ordered = orders_its_result(job.gold, job.database.dialect)
        except ValueError as error:
            raise UnjudgedError(f"gold: {error}") from error

        def find_certainty() -> Certainty:
            return self._certainty(job, execution)

        return Gold(
            result=execution,
            names=self._facts.names(connection, job.database, job.gold, execution),
            is_ordered=is_ordered,
            find_certainty=find_certainty if self._suites is not None else None,
        )

    def _certainty(self, job: JudgeJob, result: QueryResult) -> Certainty:
        connection = self._connection(job.database)  # not that of the gold's first run, which may be closed by now
        tables = self._facts.tables(connection, job.database.location)
        try:
            query = ParsedQuery(job.gold, job.database.dialect, tables)
        except ValueError:  # nothing is known of a gold that cannot be taken apart: its result counts as it is
            return Certainty()
        self._deadline.enter("gold")
        return examine(query, equivalents(query), result, connection, self._limits)


def _decided(work: Callable[[JobT], FindingT], job: JobT) -> FindingT | Unjudged:
    """What ``work`` finds of a job, or why nothing can be said."""
    try:
        return work(job)
    except DatabaseFaultError as fault:
        return Unjudged(reason=f"database: {fault}")
    except UndecidedError as error:
        return Unjudged(reason=f"comparison: {error}")
    except UnjudgedError as error:
        return Unjudged(reason=str(error))
    except MemoryError:  # in our own code: the database's own are caught where the query runs
        return Unjudged(reason="memory: the worker's limit was reached")


def _execution_bytes(execution: Execution) -> int:
    """Python keeps a value of 8 bytes in about 40."""
    return 1_000 + (5 * execution.size if isinstance(execution, QueryResult) else 0)
