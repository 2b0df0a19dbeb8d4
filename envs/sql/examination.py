"""What can be said of SQL answers without the gold: do they run, and which of them return the same.

An answer is read and run as the judge does. Digests are those of ``envs.sql.result_digest``, of the result on the
task's own database: two queries that agree there by luck have one.
"""

from collections.abc import Mapping, Sequence

from envs.examination import Examination
from envs.examined_text import message_of, step_to_examine
from envs.layout import Tags, read_layout
from envs.sql.answer import extract_query
from envs.sql.executor.job import ExamineJob, Job, Outcome, Preview, Unjudged
from envs.sql.executor.pool import WorkerPool
from envs.sql.observation import finding_of
from envs.sql.task import SqlTask
from envs.transcript import Transcript


def examine_episodes(
    episodes: Sequence[tuple[SqlTask, Transcript]], pool: WorkerPool, *, tags: Tags, rows: int
) -> list[Examination]:
    """One examination an episode, in order. Equal queries over one database are executed once.

    Args:
        rows: how many rows of a result the message shows.
    """
    jobs = [_job(task, transcript, tags, rows) for task, transcript in episodes]
    distinct: list[Job] = list(dict.fromkeys(job for job in jobs if job is not None))
    outcomes = dict(zip(distinct, pool.run(distinct), strict=True))
    return [_examination(job, outcomes, tags) for job in jobs]


def _job(task: SqlTask, transcript: Transcript, tags: Tags, rows: int) -> ExamineJob | None:
    """What is to be run; None where there is no query."""
    layout = read_layout(transcript, tags)
    step = step_to_examine(transcript, layout, tags)
    text = layout.answer if step is None else step
    query = extract_query(text) if text is not None else None
    if query is None:
        return None
    return ExamineJob(database=task.database, query=query, rows=rows, is_step=step is not None)


def _examination(job: ExamineJob | None, outcomes: Mapping[Job, Outcome], tags: Tags) -> Examination:
    if job is None:
        return Examination(error="empty", message="there is no query")
    found = outcomes[job]
    if isinstance(found, Unjudged):
        return Examination(unjudged=found.reason)
    assert isinstance(found, Preview)
    return Examination(
        answer=None if job.is_step else job.query,
        digest=found.digest if found.error is None else None,
        is_valid=found.error is None,
        error=found.error,
        message=message_of(finding_of(found), tags),
    )
