"""Ctrl-C while a script is still importing what it needs, which takes seconds: one line, and exit code 130.

Imports little itself, so that it can come first. Once ``main`` runs, interruptions are exceptions again.
"""

import os
import signal
from types import FrameType

INTERRUPTED = 130
LINE = "structrl: interrupted\n"


def end_at_once() -> None:
    """From now on an interruption ends the process: an exception in the midst of an import may be lost in it."""
    signal.signal(signal.SIGINT, _end)


def raise_again() -> None:
    """From now on an interruption is a KeyboardInterrupt."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _end(signal_number: int, frame: FrameType | None) -> None:
    if os.environ.get("RANK", "0") == "0":
        os.write(2, LINE.encode())
    os._exit(INTERRUPTED)
