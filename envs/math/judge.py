"""Judges the boxed answers of many transcripts at once."""

from collections.abc import Sequence
from dataclasses import dataclass

from envs.math.number import plain_number
from envs.math.parsing import Parsed, parse
from envs.math.task import MathTask
from envs.math.verification import Verification, verify
from envs.transcript import Transcript
from envs.verdict import Verdict


@dataclass(frozen=True, kw_only=True)
class MathVerdict(Verdict):
    """What is known of a mathematical answer.

    ``error`` is a category of ``envs.math.parsing.ParseError`` or ``envs.math.verification.AnswerError``. ``unjudged``
    is ``deadline``, ``verifier crash`` or ``defective gold`` (a gold that math-verify cannot read).
    """

    is_boxed: bool = False
    """The final part of the answer ends with a box that holds something."""
    is_number: bool = False
    """The box holds a plain number (``envs.math.number``)."""


def judge_answers(
    episodes: Sequence[tuple[MathTask, Transcript]], *, workers: int, deadline: float
) -> list[MathVerdict]:
    """One verdict an episode, in order; never raises because of the model's text."""
    parsed = [parse(transcript.model_text) for _, transcript in episodes]
    pairs = [
        (task.gold, found.answer) for (task, _), found in zip(episodes, parsed, strict=True) if found.answer is not None
    ]
    verifications = iter(verify(pairs, workers=workers, deadline=deadline))
    return [
        _verdict(found, transcript.is_truncated, None if found.answer is None else next(verifications))
        for (_, transcript), found in zip(episodes, parsed, strict=True)
    ]


def _verdict(parsed: Parsed, is_truncated: bool, verification: Verification | None) -> MathVerdict:
    if verification is None:
        return MathVerdict(error=parsed.error, is_boxed=parsed.error == "too long", is_truncated=is_truncated)
    if verification.unjudged is not None:
        return MathVerdict(unjudged=verification.unjudged, is_truncated=is_truncated)
    return MathVerdict(
        answer=parsed.answer,
        is_correct=verification.error is None,
        is_truncated=is_truncated,
        error=verification.error,
        is_boxed=True,
        is_number=parsed.answer is not None and plain_number(parsed.answer) is not None,
    )
