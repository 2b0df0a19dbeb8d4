"""What the intermediate queries of a transcript are worth: did they run, did they say anything, did they repeat.

The facts are there so that looking at the data can be told from going through the motions. One of them is
cumulative, ``IntermediateQuery.adds``: over a transcript its sum is at most 1, however many queries are written.

Not covered: whether the model used what it saw; a query that reads a column and makes nothing of it
(``SELECT 0 * age``); results that are the same for another reason than that the queries mean the same.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from envs.sql.answer import extract_query
from envs.sql.databases.database import Database
from envs.sql.executor.job import Inspection, InspectJob, Job, Outcome, Unjudged


@dataclass(frozen=True, kw_only=True)
class IntermediateQuery:
    """The judged facts of one step block."""

    text: str
    """The query that was taken from it; empty when it held none."""
    is_executed: bool = False
    """It ran to its end inside the limits."""
    is_empty: bool = False
    """It ran, and returned no rows."""
    is_informative: bool = False
    """Its result says something of the data: a value that is not NULL, in a result that a table's rows decide
    (``envs.sql.parsing.data_dependence``). Not so ``SELECT 1``, ``SELECT 1 FROM t``, EXPLAIN, and what only describes
    the schema, which the prompt shows."""
    error: str | None = None
    """``empty`` or a category of ``envs.sql.databases.execution.QueryError``; None when it ran."""
    is_repeat: bool = False
    """An earlier intermediate query of the transcript has the same canonical form
    (``envs.sql.parsing.canonical.query_digest``), whether it ran or not."""
    repeats_answer: bool = False
    """It is the answer, or has the answer inside of it: both have the same canonical form once LIMIT, ORDER BY and
    DISTINCT are left out (``envs.sql.parsing.cores``). Also where it has more queries inside than are looked at."""
    names: tuple[str, ...] = ()
    """Tables and ``table.column`` that it was resolved to, sorted, in lower case; of a query that failed, what had been
    resolved by then."""
    written_names: tuple[str, ...] = ()
    """Those of them that stand in the query; not the columns that only a ``*`` stands for. Empty when it failed."""
    touches: float | None = None
    """The share of the gold's names that are among its own, whether it ran or not; None when the gold names none."""
    adds: float | None = None
    """The share of the gold's names that it is the first to write, of the queries that are informative and do not
    repeat the answer; None when the gold names none."""


@dataclass(frozen=True, kw_only=True)
class Inspections:
    """What has to be run to judge the intermediate queries of one transcript."""

    steps: tuple[InspectJob | None, ...] = ()
    """One a step block that is judged; None for one that holds no query."""
    answer: InspectJob | None = None
    """The answer, to tell which of them repeat it; None where there is nothing to compare."""

    @classmethod
    def of(cls, steps: Sequence[str], answer: str | None, database: Database) -> "Inspections":
        """
        Args:
            steps: the text of each step block.
            answer: the query that was given as the answer.
        """
        if not steps:
            return cls()
        queries = [extract_query(step) for step in steps]
        jobs = tuple(InspectJob(database=database, query=query) if query else None for query in queries)
        own = InspectJob(database=database, query=answer) if answer is not None and any(jobs) else None
        return cls(steps=jobs, answer=own)

    def jobs(self) -> Iterator[InspectJob]:
        """All that is to be run."""
        yield from filter(None, (*self.steps, self.answer))

    def unjudged(self, outcomes: Mapping[Job, Outcome]) -> Unjudged | None:
        """Why nothing can be said about one of the queries; None where all were run."""
        return next((found for job in self.jobs() if isinstance(found := outcomes[job], Unjudged)), None)

    def queries(self, outcomes: Mapping[Job, Outcome], gold_names: Sequence[str]) -> tuple[IntermediateQuery, ...]:
        """The facts of each step, in order.

        Args:
            outcomes: of the jobs, none of them unjudged.
            gold_names: tables and ``table.column`` that the gold reads, in lower case.
        """
        own = _inspection(self.answer, outcomes) if self.answer else None
        own_digest = _digest(self.answer, outcomes) if self.answer else None
        gold = frozenset(gold_names)
        written: set[str] = set()
        missing = set(gold)
        queries = []
        for job in self.steps:
            found = _inspection(job, outcomes)
            digest = _digest(job, outcomes)
            is_answer = own is not None and _has_answer(found, own, is_same=digest == own_digest)
            adds = missing.intersection(found.written_names) if found.is_informative and not is_answer else frozenset()
            queries.append(
                IntermediateQuery(
                    text=job.query if job else "",
                    is_executed=found.error is None,
                    is_empty=found.row_count == 0,
                    is_informative=found.is_informative,
                    error=found.error,
                    is_repeat=digest in written,
                    repeats_answer=is_answer,
                    names=found.names,
                    written_names=found.written_names,
                    touches=len(gold.intersection(found.names)) / len(gold) if gold else None,
                    adds=len(adds) / len(gold) if gold else None,
                )
            )
            written.add(digest)
            missing -= adds
        return tuple(queries)


def _inspection(job: InspectJob | None, outcomes: Mapping[Job, Outcome]) -> Inspection:
    if job is None:
        return Inspection(error="empty")
    found = outcomes[job]
    assert isinstance(found, Inspection)
    return found


def _has_answer(step: Inspection, answer: Inspection, *, is_same: bool) -> bool:
    """
    Args:
        is_same: both have the same digest.
    """
    if is_same or step.error is not None or not answer.cores:
        return is_same
    return not step.cores or answer.cores[0] in step.cores


def _digest(job: InspectJob | None, outcomes: Mapping[Job, Outcome]) -> str:
    """Of a query that ended its worker the text has to do."""
    return _inspection(job, outcomes).digest or (job.query if job else "")
