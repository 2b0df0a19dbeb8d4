"""Jobs on their way through a pool, and what is answered when no worker can."""

from concurrent.futures import Future

from envs.sql.databases.execution import DatabaseFault, QueryError
from envs.sql.executor.deadline import Phase
from envs.sql.executor.job import (
    ExamineJob,
    ExecuteJob,
    Inspection,
    InspectJob,
    Job,
    Judgement,
    Outcome,
    PreviewJob,
    Unjudged,
)
from envs.sql.executor.preview import failed_preview


class Batch:
    """The outcomes of one submission, as they come in."""

    def __init__(self, size: int) -> None:
        self.future: Future[list[Outcome]] = Future()
        self.future.set_running_or_notify_cancel()  # from here on nobody can cancel it
        self._outcomes: list[Outcome | None] = [None] * size
        self._missing = size

    def answer(self, place: int, outcome: Outcome) -> None:
        """The outcome of the job at ``place``; the last one of all fulfils the future."""
        self._outcomes[place] = outcome
        self._missing -= 1
        if self._missing == 0:
            self.future.set_result([outcome for outcome in self._outcomes if outcome is not None])


class Order:
    """A job on its way."""

    __slots__ = ("attempts", "batch", "deliveries", "job", "place")

    def __init__(self, job: Job, batch: Batch, place: int) -> None:
        self.job = job
        self.batch = batch
        self.place = place
        self.attempts = 0
        """How many workers died while they ran it."""
        self.deliveries = 0
        """How often it was handed to a worker."""

    def answer(self, outcome: Outcome) -> None:
        """The job is done."""
        self.batch.answer(self.place, outcome)

    def give_up(self, reason: str) -> None:
        """Nobody could do the job: nothing is said of its query but why."""
        is_execution = isinstance(self.job, ExecuteJob)
        self.answer(DatabaseFault(message=reason) if is_execution else Unjudged(reason=reason))


ANSWER_PHASES: tuple[Phase, ...] = ("query", "instance")
"""What the worker does then is run the model's query."""


def crashed(job: Job, signal_number: int) -> Outcome:
    """The answer to a query under which the database's own code crashed, again and again: the query's fault, or a model
    would learn to leave no verdict."""
    message = f"it crashed the database (signal {signal_number})"
    return _failed(job, "runtime error", message)


def overdue(job: Job, phase: Phase, seconds: float) -> Outcome:
    """The answer to a job in which the kernel's timer ended the worker."""
    if phase in ANSWER_PHASES:
        message = f"it did not end {seconds:g} s after it began, and was ended with its worker"
        return _failed(job, "timeout", message)
    if isinstance(job, ExecuteJob):
        return DatabaseFault(message="the database did not answer in time")
    return Unjudged(reason=f"{phase}: deadline")


def _failed(job: Job, category: str, message: str) -> Outcome:
    if isinstance(job, ExecuteJob):
        return QueryError(category=category, message=message)
    if isinstance(job, InspectJob):
        return Inspection(error=category)
    if isinstance(job, (PreviewJob, ExamineJob)):
        return failed_preview(category, message)
    return Judgement(is_parsed=True, error=category, message=message, ended_its_worker=True)
