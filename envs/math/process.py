"""One verifier process, as the parent sees it.

Started with a command of its own instead of ``multiprocessing``: neither the training script nor torch is imported
again, nothing depends on how the parent was started, and no memory of the parent is copied. When the parent dies, the
socket closes and the process ends, at the latest when the deadline of its present pair does.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence

from envs.math.worker import READY

_COMMAND = "import sys; from envs.math.worker import main; main(int(sys.argv[1]), float(sys.argv[2]))"

START_SECONDS = 120.0
"""What starting may take on a busy machine: it imports sympy."""
GRACE_SECONDS = 5.0
"""How long after its deadline a process may keep silent that ends itself at the deadline: it was stopped (SIGSTOP)."""


class VerifierProcess:
    """A running verifier and the connection to it."""

    def __init__(self, deadline: float) -> None:
        """
        Args:
            deadline: seconds that one pair may take.

        Raises:
            OSError: the system has no process, memory or descriptor to give, or the working directory is gone.
        """
        self._patience = deadline + GRACE_SECONDS
        self._connection, child = socket.socketpair()
        with child:
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-c", _COMMAND, str(child.fileno()), str(deadline)],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    pass_fds=(child.fileno(),),
                    env={**os.environ, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)},
                )
            except BaseException:
                self._connection.close()
                raise
        self._unread = b""  # by hand: a buffered reader has a lock, which a forked process could find held for ever

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    def wait_until_ready(self) -> bool:
        """Waits for the imports; False when the process died of them."""
        self._connection.settimeout(START_SECONDS)
        return self._receive() == READY

    def compare(self, pairs: Sequence[tuple[str, ...]]) -> Iterator[str]:
        """The outcomes of pairs, or of expressions alone, each as soon as it is known. Ends early when the process
        died."""
        self._connection.settimeout(self._patience)
        try:
            self._connection.sendall(json.dumps(pairs).encode() + b"\n")
        except OSError:
            return
        missing = len(pairs)
        while missing and (outcome := self._receive()):
            yield outcome
            missing -= 1

    def end(self) -> int:
        """Ends the process if it runs. Returns the signal that ended it; 0 when none did."""
        self.close()
        try:
            self._process.wait(timeout=1.0)
        except subprocess.TimeoutExpired:
            self.kill()
            self._process.wait()
        return max(0, -self._process.returncode)

    def kill(self) -> None:
        """Kills the process, stopped or not."""
        self._process.send_signal(signal.SIGKILL)

    def abandon(self) -> None:
        """Kills the process in whatever state it is, and waits for nothing."""
        self.close()
        with contextlib.suppress(OSError):
            self.kill()

    def close(self) -> None:
        """Closes this process's end of the connection."""
        self._connection.close()

    def _receive(self) -> str:
        """The next line; empty when the process died, or keeps silent for too long."""
        while b"\n" not in self._unread:
            try:
                part = self._connection.recv(1 << 16)
            except OSError:
                return ""
            if not part:
                return ""
            self._unread += part
        line, _, self._unread = self._unread.partition(b"\n")
        return line.decode()
