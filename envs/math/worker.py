"""What runs in the verifier's worker processes: pairs come in over a socket, one line goes back for each, in order.

A pair is compared; an expression alone is evaluated. The deadline is a kernel timer that ends the process
(``SIGALRM``, default action): neither one long step inside an integer power nor a busy or dead parent puts it off. The
parent reads from how many lines came which pair it was.
"""

import gc
import json
import logging
import resource
import signal
import socket
import sys
import warnings
from pathlib import Path

READY = "ready"
CRASH = "verifier crash"
"""The outcome of what the computer algebra could not do."""
WORKER_BYTES = 3 * 2**29
"""Memory that a worker may have, as addresses: 1.5 GiB."""
BLOATED = 0.6
"""Share of it at which a worker ends and a new one takes its place: sympy takes a failed allocation for an answer."""


def main(connection_descriptor: int, deadline: float) -> None:
    """Serves until the parent closes the connection.

    Args:
        connection_descriptor: a connected stream socket.
        deadline: seconds that one pair may take.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then closes the connection
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)  # math-verify warns at every call without a time limit of its own
    sys.set_int_max_str_digits(10_000)
    from envs.math.comparison import compare
    from envs.math.evaluation import evaluate

    _limit_process()
    gc.freeze()
    with socket.socket(fileno=connection_descriptor) as connection:
        try:
            connection.sendall(f"{READY}\n".encode())
            lines = connection.makefile("rb")
            while not _is_bloated() and (line := lines.readline()):
                for pair in json.loads(line):
                    signal.setitimer(signal.ITIMER_REAL, deadline)
                    try:
                        outcome: str = compare(*pair) if len(pair) > 1 else evaluate(*pair)
                    except Exception:  # sympy over hostile text: no memory, recursion, whatever it likes
                        outcome = CRASH
                    signal.setitimer(signal.ITIMER_REAL, 0)
                    connection.sendall(f"{outcome}\n".encode())
        except ConnectionError:
            return


def _is_bloated() -> bool:
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except (OSError, IndexError, ValueError):  # not Linux
        return False
    return pages * resource.getpagesize() > BLOATED * WORKER_BYTES


def _limit_process() -> None:
    for kind, wanted in ((resource.RLIMIT_AS, WORKER_BYTES), (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_CORE, 0)):
        _, hard = resource.getrlimit(kind)
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        try:
            resource.setrlimit(kind, (soft, hard))
        except (OSError, ValueError) as error:  # macOS refuses some
            print(f"structrl: a verifier runs without limit {kind}: {error}", file=sys.stderr)
