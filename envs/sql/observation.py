"""What is answered to an intermediate query: the head of its result, or why it has none.

    12 rows
    name | age
    'Ada' | 30
    'Ben' | NULL
    ... (10 more rows)

The query runs in the executor's workers, under the limits and the seal of every other query.
"""

from envs.observation import Finding
from envs.sql.answer import extract_query
from envs.sql.databases.database import Database
from envs.sql.executor.job import Preview, PreviewJob, Unjudged
from envs.sql.executor.pool import WorkerPool

EMPTY = Finding(text="error: the step holds no query", digest="empty")
UNANSWERED = Finding(text="(the database could not be asked)")
BETWEEN = " | "


def find(step: str, *, database: Database, rows: int, pool: WorkerPool) -> Finding:
    """What comes of the query in a step. Its digest is that of the result, or of the error, whatever the query's text.

    Args:
        step: the text of the step.
        rows: how many rows of the result are shown.
    """
    query = extract_query(step)
    if query is None:
        return EMPTY
    (found,) = pool.run([PreviewJob(database=database, query=query, rows=rows)])
    if isinstance(found, Unjudged):
        return UNANSWERED
    assert isinstance(found, Preview)
    return finding_of(found)


def finding_of(found: Preview) -> Finding:
    """What is said of a query that could be run."""
    if found.row_count is None:
        return Finding(text=f"error: {found.error}: {found.message}", digest=found.digest)
    return Finding(
        text=f"{found.row_count} row{'s' * (found.row_count != 1)}\n{BETWEEN.join(found.columns)}",
        rows=tuple(map(BETWEEN.join, found.rows)),
        row_count=found.row_count,
        digest=found.digest,
    )
