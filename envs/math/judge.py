"""Judges the boxed answers of many transcripts at once."""

from collections.abc import Sequence
from dataclasses import dataclass

from envs.layout import Layout, Tags, read_layout
from envs.math.kind import GoldKind, gold_kind
from envs.math.number import plain_number
from envs.math.parsing import Parsed, parse
from envs.math.rules import is_string_equal
from envs.math.task import MathTask
from envs.math.verification import Verification, verify
from envs.transcript import Transcript
from envs.verdict import Verdict


@dataclass(frozen=True, kw_only=True)
class MathVerdict(Verdict):
    """What is known of a mathematical answer.

    ``error`` is a category of ``envs.math.parsing.ParseError`` or ``envs.math.rules.AnswerError``. ``unjudged`` is
    ``deadline``, ``verifier crash`` or ``defective gold`` (a gold that cannot be read, or does not equal itself).
    """

    is_boxed: bool = False
    """The answer stands in a box that begins within the last 500 characters, or is the whole of its own tag."""
    is_number: bool = False
    """The answer is a plain number (``envs.math.number``)."""
    is_string_equal: bool = False
    """The answer's text is the gold's, dressing and spaces aside: ``x = 5`` and ``5``, not ``5.0`` and ``5``."""
    boxes: int = 0
    """How many boxes the text has where the answer is looked for; only the last counts."""
    gold_kind: GoldKind | None = None
    """What sort of answer the gold is; None when the verdict is unjudged."""


def judge_answers(
    episodes: Sequence[tuple[MathTask, Transcript]],
    *,
    tags: Tags,
    workers: int,
    deadline: float,
    canonical_number: bool = True,
) -> list[MathVerdict]:
    """One verdict an episode, in order; never raises because of the model's text.

    Args:
        episodes: tasks and what was written to them.
        tags: how answers are laid out; with ``tags.answer`` the tag's whole content counts when it has no box.
        workers: processes that compare what the rules do not decide.
        deadline: seconds that one comparison may take.
        canonical_number: a gold that is a plain number wants a plain number.
    """
    layouts = [read_layout(transcript, tags) for _, transcript in episodes]
    parsed = [parse(layout.answer, may_lack_box=tags.answer is not None) for layout in layouts]
    pairs = [
        (task.gold, found.answer) for (task, _), found in zip(episodes, parsed, strict=True) if found.answer is not None
    ]
    verifications = iter(verify(pairs, workers=workers, deadline=deadline, canonical_number=canonical_number))
    return [
        _verdict(task, transcript, layout, found, None if found.answer is None else next(verifications))
        for (task, transcript), layout, found in zip(episodes, layouts, parsed, strict=True)
    ]


def _verdict(
    task: MathTask, transcript: Transcript, layout: Layout, parsed: Parsed, verification: Verification | None
) -> MathVerdict:
    is_truncated = transcript.is_truncated
    if verification is None or parsed.answer is None:
        return MathVerdict(
            error=parsed.error,
            is_truncated=is_truncated,
            layout=layout,
            is_boxed=parsed.error == "too long",
            boxes=parsed.boxes,
            gold_kind=gold_kind(task.gold),
        )
    if verification.unjudged is not None:
        return MathVerdict(unjudged=verification.unjudged, is_truncated=is_truncated, layout=layout)
    kind = gold_kind(task.gold)
    return MathVerdict(
        answer=parsed.answer,
        is_correct=verification.error is None,
        is_truncated=is_truncated,
        error=verification.error,
        layout=layout,
        is_boxed=True,
        is_number=plain_number(parsed.answer, short_units=kind == "number") is not None,
        is_string_equal=is_string_equal(task.gold, parsed.answer),
        boxes=parsed.boxes,
        gold_kind=kind,
    )
