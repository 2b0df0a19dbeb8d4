"""The end that no query can put off: a kernel timer that kills the worker, and a note of what it was doing.

The databases end a query at its limit themselves, as long as they look at the clock. What does not look (one long call
inside the database's C code, a comparison) is ended by SIGALRM, whose default action is to end the process: nothing in
the process has to run for that, and neither has the parent. The note lies in memory shared with the parent, which reads
it when the worker is dead.
"""

import mmap
import signal
import struct
import time
from typing import Literal, get_args

Phase = Literal["idle", "own code", "database", "gold", "query", "comparison", "facts", "test suite", "instance"]
_PHASES: tuple[Phase, ...] = get_args(Phase)
_NUMBERS = {phase: number for number, phase in enumerate(_PHASES)}
_NOTE = struct.Struct("qqd")
NOTE_BYTES = _NOTE.size

OPENING_SECONDS = 30.0
"""What opening a database or reading its catalogue may take, waiting for a lock or for a server included."""
OWN_SECONDS = 20.0
"""What the worker's own code may take between two queries, a comparison for example; nothing comes near it."""
GRACE_SECONDS = 0.025
"""How long after its limit a query that the database did not end is ended with its worker."""


def read_note(note: mmap.mmap) -> tuple[int, Phase, float]:
    """The number of the job that a worker runs, what it does, and when it last said so (on the system's clock)."""
    number, phase, since = _NOTE.unpack_from(note)
    return number, _PHASES[phase], since


class Deadline:
    """The worker's side."""

    def __init__(self, note: mmap.mmap) -> None:
        self._note = note
        self._number = -1
        self.answer: str | None = None
        """The query of a model that is being tried on test databases, to tell it from our own queries there."""
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})

    def start(self, number: int) -> None:
        """From now on the worker runs job ``number``."""
        self._number = number
        self.enter("own code")

    def enter(self, phase: Phase) -> None:
        """From now on the worker does what ``phase`` says, in the time that it has."""
        _NOTE.pack_into(self._note, 0, self._number, _NUMBERS[phase], time.monotonic())

    def allow(self, seconds: float) -> None:
        """The worker may take ``seconds``, and the grace, for what it does next."""
        signal.setitimer(signal.ITIMER_REAL, seconds + GRACE_SECONDS)

    def stop(self) -> None:
        """The jobs are done; waiting for the next ones has no end."""
        signal.setitimer(signal.ITIMER_REAL, 0)
        self._number = -1
        self.enter("idle")
