"""One worker process, as the parent sees it.

Started with a command of its own instead of ``multiprocessing``: neither the training script nor torch is imported
again, and nothing depends on how the parent was started. When the parent dies, the socket closes and the worker ends.
"""

import mmap
import os
import signal
import socket
import subprocess
import sys
import tempfile

from envs.sql.executor.channel import Channel
from envs.sql.executor.deadline import NOTE_BYTES, Phase, read_note
from envs.sql.executor.settings import ExecutorSettings

_COMMAND = "import sys; from envs.sql.executor.worker import main; main(int(sys.argv[1]), int(sys.argv[2]))"


class WorkerProcess:
    """A running worker and the channel to it."""

    def __init__(self, settings: ExecutorSettings) -> None:
        parent, child = socket.socketpair()
        with tempfile.TemporaryFile() as note, child:
            note.truncate(NOTE_BYTES)
            self._note = mmap.mmap(note.fileno(), NOTE_BYTES)
            self._process = subprocess.Popen(
                [sys.executable, "-c", _COMMAND, str(child.fileno()), str(note.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=(child.fileno(), note.fileno()),
                env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            )
        self.channel = Channel(parent)
        self.channel.send(settings)

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    def last_sign(self) -> float:
        """When the worker last said what it does, on the clock of ``time.monotonic``; 0 before it ever did."""
        return read_note(self._note)[2]

    def kill(self) -> None:
        """Kills the process, stopped or not; its channel closes."""
        self._process.kill()

    def end(self) -> tuple[int, int, Phase]:
        """Ends the process if it runs. Returns the signal that ended it (0 when none did), the number of the job that
        it ran and what it was doing.
        """
        self.channel.socket.close()
        try:
            self._process.wait(timeout=1.0)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
        number, phase, _ = read_note(self._note)
        return max(0, -self._process.returncode), number, phase
