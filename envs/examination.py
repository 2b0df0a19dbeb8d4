"""What can be said of an answer without knowing the right one.

Decoders that search go by it: they vote over answers that mean the same, leave out what does not run, and tell the
model what was wrong. The gold of a task has no part in it, so that what helps an answer in an evaluation would help it
anywhere else.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Examination:
    """What was found of one episode's answer or, where it has none yet, of its last step."""

    answer: str | None = None
    """The text that was taken as the answer, as in ``Verdict``; None when there is none yet."""
    digest: str | None = None
    """Equal for answers that mean the same: queries with the same result, equal JSON values, equal mathematics. To be
    compared among the episodes of one task in one call alone. None: it means nothing that could be compared."""
    is_valid: bool = False
    """All that can be checked without the gold holds: the query runs, the value obeys the schema and stands alone, the
    mathematics can be read."""
    error: str | None = None
    """Category of the first thing wrong, a short, countable word as in ``Verdict``; None when nothing is."""
    message: str = ""
    """The finding in words for the model: the database's error or the first rows of the result, what the schema
    forbids; without tags, bounded in length."""
    unjudged: str | None = None
    """Why nothing can be said (a deadline, a corrupt database); the other fields then keep their defaults."""
