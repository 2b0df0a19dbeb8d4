"""The progress bar of an evaluation: tasks done, time left, and the headline metric so far."""

from collections.abc import Iterable, Sequence
from types import TracebackType

from accelerate import PartialState
from tqdm import tqdm

from envs.task import Task
from eval.journal import Journal
from eval.records import Finished


class Progress:
    """One line in the main process; silent in the others.

    With a journal it counts what all processes have finished, before a resume too. Without one it counts this process's
    own share.
    """

    def __init__(
        self,
        title: str,
        tasks: Sequence[Task],
        share: Sequence[Task],
        done: Sequence[Finished],
        *,
        headline: str,
        journal: Journal | None,
    ) -> None:
        """
        Args:
            title: what is measured.
            tasks: all of them.
            share: those that this process has to do.
            done: what was finished before.
            headline: the metric that is shown.
            journal: what processes write to.
        """
        state = PartialState()
        self._journal = journal if state.num_processes > 1 else None
        self._before = self._journal.count_lines() - len(done) if self._journal else 0
        total = len(tasks) if self._journal else len(share) + len(done)
        self._headline = headline
        self._sum, self._count = 0.0, 0
        self._bar = tqdm(total=total, initial=len(done), desc=title, unit="task", disable=not state.is_main_process)
        self._add(done)

    def update(self, finished: Finished) -> None:
        """One more task is finished in this process."""
        self._add([finished])
        self._bar.update(self._journal.count_lines() - self._before - self._bar.n if self._journal else 1)

    def _add(self, done: Iterable[Finished]) -> None:
        for one in done:
            values = [value for record in one.records if (value := record.metrics[self._headline]) is not None]
            if values:
                self._sum += sum(values) / len(values)
                self._count += 1
        if self._count:
            self._bar.set_postfix({self._headline: f"{self._sum / self._count:.3f}"}, refresh=False)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._journal and kind is None:
            self._bar.update(self._bar.total - self._bar.n)
        self._bar.close()
