"""What the readers of rows share: a row that cannot become a task, JSON text, and a split without any task."""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from envs.errors import ConfigurationError
from envs.task import Task


class UnusableRowError(ValueError):
    """A row that cannot become a task; its message is the reason that is counted."""


def as_text(value: Any, reason: str) -> str:
    """The JSON text of a value.

    Raises:
        UnusableRowError: it is not JSON (NaN, a lone surrogate, nesting without end); carries ``reason``.
    """
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        text.encode()
    except (ValueError, TypeError, RecursionError) as error:
        raise UnusableRowError(reason) from error
    return text


def require_rows(tasks: Sequence[Task], skipped: Counter[str], subject: str) -> None:
    """
    Raises:
        ConfigurationError: no row became a task; names the reasons.
    """
    if not tasks:
        reasons = ", ".join(f"{count} {reason}" for reason, count in skipped.most_common()) or "no rows"
        raise ConfigurationError(f"{subject} has no usable row ({reasons})")
