"""What is kept of every answer and every task: the lines of records.jsonl and tasks.jsonl."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from decoding.rollout import Ledger
from envs.transcript import Segment


@dataclass(frozen=True, kw_only=True)
class CandidateRecord:
    """An answer that a search compared with others."""

    text: str
    """Its transcript."""
    score: float | None
    digest: str | None
    """Candidates with the same one mean the same."""
    is_chosen: bool
    tokens: int


@dataclass(frozen=True, kw_only=True)
class Record:
    """One judged answer, as it is written to ``records.jsonl``."""

    task: str
    decoding: str
    sample: int
    labels: Mapping[str, str]
    segments: tuple[Segment, ...]
    """What the model and the environment said, in order."""
    answer: str | None
    """The text that was taken as the answer."""
    finish: str
    metrics: Mapping[str, float | None]
    error: str | None
    facts: Mapping[str, Any]
    """What else the verdict says of it, in plain values: the database's message, the pointers of missing keys, ..."""
    unjudged: str | None
    grammar_error: str | None
    grammar_lenient: str | None
    """What of the grammar the masks did not hold the answer to."""
    is_closed: bool
    """The budget cut the answer off, and its structure was ended in the model's place."""
    generated_tokens: int
    """Of this answer alone; ``cost`` has what was written on the way to it."""
    timing: Mapping[str, float] | None = None
    """Seconds of its first turn (``decoding.engine.Timing``); None from engines that do not tell."""
    candidates: tuple[CandidateRecord, ...] = ()
    """What a search chose from; empty for answers that were merely sampled."""

    @property
    def text(self) -> str:
        """All that was said."""
        return "".join(segment.text for segment in self.segments)


@dataclass(frozen=True, kw_only=True)
class TaskCard:
    """A task as the reader of a report sees it: the lines of ``tasks.jsonl``."""

    task: str
    labels: Mapping[str, str]
    messages: tuple[Mapping[str, str], ...]
    """The chat messages that opened its episodes."""
    reference: str | None
    """The gold answer; None where there is none."""


@dataclass(frozen=True, kw_only=True)
class Finished:
    """All answers of one decoding to one task, with what they cost: the lines of the journal."""

    task: str
    decoding: str
    records: tuple[Record, ...]
    cost: Ledger = field(default_factory=Ledger)
