"""Turns SQL answers into verdicts: finds the query in the text, has it executed and compared, adds what is parsed.

The query is looked for in the answer of the transcript's layout (``envs.layout``), what was run before it in its steps.

What is not covered: that the question was understood. An answer is right when it returns what the gold returns, on the
task's database and on those of its test suite.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from envs.layout import Layout, Tags, read_layout
from envs.sql.answer import extract_query
from envs.sql.executor.job import Facts, Job, JudgeJob, Judgement, Outcome, Unjudged
from envs.sql.executor.pool import WorkerPool
from envs.sql.exploration import Inspections, IntermediateQuery
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
    gold: str | None = None
    """The task's gold query; None when unjudged."""
    gold_names: tuple[str, ...] = ()
    """The names of the gold."""
    disagreement: Disagreement | None = None
    """Where in the test suite the results first differ; None where they do not, or were not compared."""
    parsed: ParsedFacts | None = None
    """What answer and gold have in common as text; None unless the environment's ``facts`` hold ``parsed``."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """The official metrics that the environment's ``facts`` name."""
    queries: tuple[IntermediateQuery, ...] = ()
    """The intermediate queries, in order, as many as the environment's ``max_steps``; ``layout.steps`` has all."""


@dataclass(frozen=True, kw_only=True)
class _Episode:
    """What was found in one transcript, and what has to be run to judge it."""

    answer: str | None
    layout: Layout
    is_truncated: bool
    judged: JudgeJob
    inspections: Inspections

    def jobs(self) -> Iterator[Job]:
        """All that is to be run."""
        yield self.judged
        yield from self.inspections.jobs()


def judge_episodes(
    episodes: Sequence[tuple[SqlTask, Transcript]], pool: WorkerPool, *, tags: Tags, max_steps: int
) -> list[SqlVerdict]:
    """One verdict an episode, in order. Equal answers to one task are executed once, and so are equal steps.

    Args:
        max_steps: how many intermediate queries of each transcript are run, from the first on.
    """
    read = [_read(task, transcript, tags, max_steps) for task, transcript in episodes]
    jobs = list(dict.fromkeys(job for one in read for job in one.jobs()))
    outcomes = dict(zip(jobs, pool.run(jobs), strict=True))
    _complete(outcomes, pool)
    return [_verdict(one, outcomes) for one in read]


def _complete(outcomes: dict[Job, Outcome], pool: WorkerPool) -> None:
    """Adds what is known of the gold to judgements whose query ended its worker, so that each part of a reward can say
    0: an answer without a reward is left out of its group, and a model would learn to write such queries."""
    ended = [
        job
        for job, found in outcomes.items()
        if isinstance(job, JudgeJob) and isinstance(found, Judgement) and found.ended_its_worker
    ]
    golds = [replace(job, query=job.gold) for job in ended]
    for job, of_gold in zip(ended, pool.run(golds) if golds else (), strict=True):
        found = outcomes[job]
        assert isinstance(found, Judgement)
        if isinstance(of_gold, Judgement):
            outcomes[job] = replace(found, gold_names=of_gold.gold_names, facts=_nothing_shared(of_gold.facts))
        else:
            outcomes[job] = of_gold


def _nothing_shared(of_gold: Facts | None) -> Facts | None:
    """The facts of a query that has nothing in common with the gold, from those of the gold with itself."""
    if of_gold is None:
        return None
    of_clauses = of_gold.parsed.clause_scores if of_gold.parsed else {}
    parsed = of_gold.parsed and ParsedFacts(
        is_exact=False,
        table_jaccard=0.0,
        column_jaccard=0.0,
        clause_scores={clause: None if score is None else 0.0 for clause, score in of_clauses.items()},
        error=None,
    )
    return Facts(parsed=parsed, metrics=dict.fromkeys(of_gold.metrics, 0.0))


def _read(task: SqlTask, transcript: Transcript, tags: Tags, max_steps: int) -> _Episode:
    layout = read_layout(transcript, tags)
    answer = extract_query(layout.answer) if layout.answer is not None else None
    return _Episode(
        answer=answer,
        layout=layout,
        is_truncated=transcript.is_truncated,
        # Without an answer the gold is still run: a defective task must not pass for a wrong answer.
        judged=JudgeJob(database=task.database, gold=task.gold, query=answer or task.gold),
        inspections=Inspections.of(layout.steps[:max_steps], answer, task.database),
    )


def _verdict(episode: _Episode, outcomes: Mapping[Job, Outcome]) -> SqlVerdict:
    answer, layout, is_truncated = episode.answer, episode.layout, episode.is_truncated
    found = outcomes[episode.judged]
    failed = found if isinstance(found, Unjudged) else episode.inspections.unjudged(outcomes)
    if failed is not None:
        return SqlVerdict(answer=answer, layout=layout, is_truncated=is_truncated, unjudged=failed.reason)
    assert isinstance(found, Judgement)
    queries = episode.inspections.queries(outcomes, found.gold_names)
    if answer is None:
        return SqlVerdict(
            layout=layout,
            is_truncated=is_truncated,
            error="empty",
            gold=episode.judged.gold,
            gold_names=found.gold_names,
            queries=queries,
            metrics=dict.fromkeys(found.facts.metrics, 0.0) if found.facts else {},
        )
    return SqlVerdict(
        answer=answer,
        layout=layout,
        is_correct=found.is_correct,
        is_truncated=is_truncated,
        error=found.error,
        is_parsed=found.is_parsed,
        is_executed=found.is_executed,
        agrees_on_database=found.agrees_on_database,
        row_count=found.row_count,
        message=found.message,
        names=found.names,
        gold=episode.judged.gold,
        gold_names=found.gold_names,
        disagreement=found.disagreement,
        queries=queries,
        parsed=found.facts.parsed if found.facts else None,
        metrics=found.facts.metrics if found.facts else {},
    )
