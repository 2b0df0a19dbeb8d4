"""Files that are either absent or whole, also when the process is killed or the disk is full while it writes them."""

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


class WriteError(OSError):
    """A file cannot be written. Says which, and why."""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Says of what fails inside that it was the writing of ``path``.

    Raises:
        WriteError: in place of any other OSError.
    """
    try:
        yield
    except WriteError:
        raise
    except OSError as error:
        raise WriteError(f"cannot write '{path}': {error.strerror or error}") from error


def is_write_error(error: OSError) -> bool:
    """Whether it says that something cannot be written, whoever tried to: the disk is full, or writes are refused."""
    return isinstance(error, WriteError) or error.errno in FULL


def write_text(path: Path, text: str) -> None:
    """Writes a file that is either absent or whole, and makes the folder for it.

    Raises:
        WriteError: it cannot be written.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        building = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            building.write_text(text, encoding="utf-8")
            os.replace(building, path)
        except OSError:
            building.unlink(missing_ok=True)
            raise


def write_json(path: Path, value: Any) -> None:
    """``write_text`` of a value as indented JSON, in ASCII: a lone surrogate in a text has no other form."""
    write_text(path, json.dumps(value, indent=2) + "\n")
