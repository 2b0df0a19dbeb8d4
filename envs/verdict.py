"""The judged facts of a transcript. No number yet: rewards and metrics are functions of a verdict."""

from dataclasses import dataclass

from envs.layout import Layout


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What every environment can say of an episode; each extends it with facts of its own.

    A verdict with ``unjudged`` set states nothing about the answer: its other fields keep their defaults and no reward
    may be computed from it.
    """

    answer: str | None = None
    """The text that was taken as the answer; None when the transcript holds none."""
    is_correct: bool = False
    """The answer is right in full, by the environment's strictest own measure."""
    is_truncated: bool = False
    """A token budget cut the model off before it ended."""
    error: str | None = None
    """Category of the first thing wrong with the answer (a short, countable word); None when nothing is."""
    unjudged: str | None = None
    """Why the judge could not decide (a deadline, a corrupt database, a defective gold); None when it did."""
    layout: Layout = Layout()
    """What stands where in the transcript by its tags, and its length."""
