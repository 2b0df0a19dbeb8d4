"""Turns SQL answers into verdicts: finds the query in the text, has it executed and compared, adds what is parsed.

What is not covered: that the question was understood. An answer is right when it returns what the gold returns, on the
task's database and on those of its test suite.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from envs.sql.answer import extract_query
from envs.sql.executor.job import JudgeJob, Judgement, Outcome, Unjudged
from envs.sql.executor.pool import WorkerPool
from envs.sql.parsing.facts import ParsedFacts
from envs.sql.suite.agreement import Disagreement
from envs.sql.task import SqlTask
from envs.transcript import Transcript
from envs.verdict import Verdict


@dataclass(frozen=True, kw_only=True)
class SqlVerdict(Verdict):
    """The judged facts of an SQL answer.

    ``error`` is ``empty``, a category of ``envs.sql.databases.execution.QueryError`` or ``wrong result``.
    """

    is_parsed: bool = False
    """The database's own parser took the answer as one statement."""
    is_executed: bool = False
    """It ran to its end inside the limits."""
    agrees_on_database: bool = False
    """Its result is the gold's on the task's own database, whatever the test suite says."""
    row_count: int | None = None
    """Rows that it returned; None when it did not run."""
    message: str | None = None
    """The database's own words on the error."""
    names: tuple[str, ...] = ()
    """Tables and ``table.column`` that the answer was resolved to, sorted, in lower case."""
    gold_names: tuple[str, ...] = ()
    """The same for the gold."""
    disagreement: Disagreement | None = None
    """Where in the test suite the results first differ; None where they do not, or were not compared."""
    parsed: ParsedFacts | None = None
    """What answer and gold have in common as text; None unless the environment's ``facts`` hold ``parsed``."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """The official metrics that the environment's ``facts`` name."""


def judge_episodes(episodes: Sequence[tuple[SqlTask, Transcript]], pool: WorkerPool) -> list[SqlVerdict]:
    """One verdict an episode, in order. Equal answers to one task are executed once."""
    answers = [extract_query(transcript.model_text) for _, transcript in episodes]
    # Without an answer the gold is still run: a defective task must not pass for a wrong answer.
    asked = [
        JudgeJob(database=task.database, gold=task.gold, query=answer or task.gold)
        for (task, _), answer in zip(episodes, answers, strict=True)
    ]
    jobs = list(dict.fromkeys(asked))
    outcomes = dict(zip(jobs, pool.run(jobs), strict=True))
    return [
        _verdict(answer, transcript.is_truncated, outcomes[job])
        for (_, transcript), answer, job in zip(episodes, answers, asked, strict=True)
    ]


def _verdict(answer: str | None, is_truncated: bool, outcome: Outcome) -> SqlVerdict:
    if not isinstance(outcome, Judgement):
        assert isinstance(outcome, Unjudged)
        return SqlVerdict(answer=answer, is_truncated=is_truncated, unjudged=outcome.reason)
    if answer is None:
        return SqlVerdict(
            is_truncated=is_truncated,
            error="empty",
            gold_names=outcome.gold_names,
            metrics=dict.fromkeys(outcome.facts.metrics, 0.0) if outcome.facts else {},
        )
    return SqlVerdict(
        answer=answer,
        is_correct=outcome.is_correct,
        is_truncated=is_truncated,
        error=outcome.error,
        is_parsed=outcome.is_parsed,
        is_executed=outcome.is_executed,
        agrees_on_database=outcome.agrees_on_database,
        row_count=outcome.row_count,
        message=outcome.message,
        names=outcome.names,
        gold_names=outcome.gold_names,
        disagreement=outcome.disagreement,
        parsed=outcome.facts.parsed if outcome.facts else None,
        metrics=outcome.facts.metrics if outcome.facts else {},
    )
