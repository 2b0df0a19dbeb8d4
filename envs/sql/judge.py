"""Judges a predicted query by executing it beside the gold on the task's database.

What is not covered: agreement on one database does not prove two queries equivalent; where the gold's result is empty,
any query with an empty result of as many columns is judged right.
"""

import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from envs.sql.answer import extract_query, orders_its_result
from envs.sql.comparison import UndecidedError, are_equal
from envs.sql.connections import DatabaseFaultError, FileIdentity, file_identity
from envs.sql.executor import DatabaseFault, Execution, ExecutionLimits, QueryError, QueryResult, execute
from envs.sql.task import SqlTask
from envs.transcript import Transcript
from envs.verdict import Verdict

GOLD_CACHE_BYTES = 64_000_000
"""Results of gold queries kept for the next group, counted as ``QueryResult.size`` plus a kilobyte each."""


@dataclass(frozen=True, kw_only=True)
class SqlVerdict(Verdict):
    """The judged facts of an SQL answer.

    ``error`` is ``no answer``, a category of ``envs.sql.executor.QueryError`` or ``wrong result``.
    """

    is_parsed: bool = False
    """The database's own parser took the answer as one statement."""
    is_executed: bool = False
    """It ran to its end inside the limits."""
    row_count: int | None = None
    """Rows that it returned; None when it did not run."""
    message: str | None = None
    """The database's own words on the error."""
    names: tuple[str, ...] = ()
    """Tables and ``table.column`` that the database resolved the answer to, sorted, in lower case."""
    gold_names: tuple[str, ...] = ()
    """The same for the gold."""


def judge_episode(task: SqlTask, transcript: Transcript, limits: ExecutionLimits) -> SqlVerdict:
    """The verdict on one episode. ``unjudged`` when the database or the gold is at fault."""
    answer = extract_query(transcript.model_text)
    is_truncated = transcript.is_truncated

    def unjudged(reason: str) -> SqlVerdict:
        return SqlVerdict(answer=answer, is_truncated=is_truncated, unjudged=reason)

    try:
        gold = _execute_gold(task.database, task.gold, limits)
        is_ordered = orders_its_result(task.gold)
    except DatabaseFaultError as fault:
        return unjudged(f"database: {fault}")
    except ValueError as error:
        return unjudged(f"gold: {error}")
    if isinstance(gold, DatabaseFault):
        return unjudged(f"database: {gold.message}")
    if isinstance(gold, QueryError):
        return unjudged(f"gold: {gold.category}: {gold.message}")
    gold_names = _names(gold.reads)
    if answer is None:
        return SqlVerdict(is_truncated=is_truncated, error="no answer", gold_names=gold_names)
    predicted = execute(task.database, answer, limits)
    if isinstance(predicted, DatabaseFault):
        return unjudged(f"database: {predicted.message}")
    if isinstance(predicted, QueryError):
        return SqlVerdict(
            answer=answer,
            is_truncated=is_truncated,
            is_parsed=predicted.is_parsed,
            error=predicted.category,
            message=predicted.message,
            names=_names(predicted.reads),
            gold_names=gold_names,
        )
    try:
        is_correct = are_equal(
            gold.rows,
            predicted.rows,
            is_ordered=is_ordered,
            gold_width=len(gold.columns),
            predicted_width=len(predicted.columns),
        )
    except UndecidedError as error:
        return unjudged(f"comparison: {error}")
    return SqlVerdict(
        answer=answer,
        is_truncated=is_truncated,
        is_correct=is_correct,
        error=None if is_correct else "wrong result",
        is_parsed=True,
        is_executed=True,
        row_count=len(predicted.rows),
        names=_names(predicted.reads),
        gold_names=gold_names,
    )


def _names(reads: frozenset[tuple[str, str]]) -> tuple[str, ...]:
    lowered = {(table.lower(), column.lower()) for table, column in reads}
    return tuple(sorted({table for table, _ in lowered} | {f"{table}.{column}" for table, column in lowered if column}))


_GoldKey = tuple[Path, FileIdentity, str, ExecutionLimits]


class _GoldCache:
    """Executions of gold queries, least recently used first, bounded by the bytes of their results."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._used = 0
        self._entries: OrderedDict[_GoldKey, Execution] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: _GoldKey) -> Execution | None:
        with self._lock:
            if key in self._entries:
                self._entries.move_to_end(key)
            return self._entries.get(key)

    def put(self, key: _GoldKey, execution: Execution) -> None:
        with self._lock:
            if key in self._entries or _weight(execution) > self._capacity:
                return
            self._entries[key] = execution
            self._used += _weight(execution)
            while self._used > self._capacity:
                self._used -= _weight(self._entries.popitem(last=False)[1])


def _weight(execution: Execution) -> int:
    return 1_000 + (execution.size if isinstance(execution, QueryResult) else 0)


_gold_cache = _GoldCache(GOLD_CACHE_BYTES)


def _execute_gold(database: Path, gold: str, limits: ExecutionLimits) -> Execution:
    """Raises DatabaseFaultError where there is no database."""
    key = (database, file_identity(database), gold, limits)
    execution = _gold_cache.get(key)
    if execution is None:
        execution = execute(database, gold, limits)
        if not isinstance(execution, DatabaseFault):  # a lock passes
            _gold_cache.put(key, execution)
    return execution
