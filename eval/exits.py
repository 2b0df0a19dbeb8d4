"""How the scripts of this room end: what a user can mend, or has done, is one line and an exit code."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from envs.configuration import exit_with
from envs.configuration_keys import one_line
from envs.errors import ConfigurationError
from eval.evaluation import UNWRITABLE, Unfinished
from eval.interruption import INTERRUPTED
from eval.whole_file import is_write_error


@contextmanager
def exits_in_one_line() -> Iterator[None]:
    """Ends the process for a mistake in the configuration (2), a server that is gone or a disk that is full (3), and an
    interruption (130)."""
    try:
        yield
    except ConfigurationError as error:
        exit_with(error)
    except KeyboardInterrupt:
        exit_with(Unfinished("interrupted", INTERRUPTED), INTERRUPTED)
    except OSError as error:
        if not is_write_error(error):
            raise
        exit_with(error, UNWRITABLE)
    except Unfinished as error:
        # Whichever process it was tells: the others are ended with it.
        print(f"structrl: {one_line(str(error))}", file=sys.stderr)
        raise SystemExit(error.code) from error
