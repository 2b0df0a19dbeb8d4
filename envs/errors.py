"""The one exception for what a user can mend: a wrong key, a missing file, a full output directory.

Scripts print its message as one line and leave with exit code 2; everything else that is raised is a defect of
structrl and keeps its traceback.
"""

import difflib
from collections.abc import Iterable


class ConfigurationError(ValueError):
    """What came, what was expected and what to do about it, in one line."""


def nearest(name: str, known: Iterable[str]) -> str:
    """``"; did you mean 'x'?"`` for the known name closest to ``name``, or an empty string when none is close."""
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean '{matches[0]}'?" if matches else ""


def own_cause(error: BaseException) -> ConfigurationError | None:
    """The refusal of a nested dataclass, which jsonargparse wraps when the field may also be null."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ConfigurationError):
            return seen
        seen = seen.__cause__ or seen.__context__
    return None
