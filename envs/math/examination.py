r"""What can be said of boxed answers without the gold: can they be read, and which of them mean the same.

Answers are found as the judge finds them; what they mean is said by ``envs.math.equivalence``. Of a transcript that has
come to no answer the last step counts: its digest is that of the step's value, and never that of an answer.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from envs.examination import Examination
from envs.examined_text import message_of, step_to_examine
from envs.layout import Tags, read_layout
from envs.math.equivalence import Reading, read_answers
from envs.math.observation import UNANSWERED, find
from envs.math.parsing import Parsed, parse
from envs.math.task import MathTask
from envs.observation import Finding
from envs.transcript import Transcript

SAID = {
    "no answer": "there is no answer",
    "no box": "the text does not end with an answer in \\boxed{...}",
    "too long": "the answer is too long",
    "unreadable": "the answer cannot be read as mathematics",
    "beyond computing": "the answer is too large to compute",
}


def examine_answers(
    episodes: Sequence[tuple[MathTask, Transcript]],
    *,
    tags: Tags,
    workers: int,
    deadline: float,
    canonical_number: bool,
) -> list[Examination]:
    """One examination an episode, in order; never raises because of the model's text. Those with the same ``Task.id``
    are answers to one question.

    Args:
        workers, deadline, canonical_number: as of ``envs.math.judge.judge_answers``.
    """
    layouts = [read_layout(transcript, tags) for _, transcript in episodes]
    steps = [
        step_to_examine(transcript, layout, tags) for (_, transcript), layout in zip(episodes, layouts, strict=True)
    ]
    findings = _findings(steps, workers=workers, deadline=deadline)
    parsed = [parse(layout.answer, may_lack_box=tags.answer is not None) for layout in layouts]
    answers: dict[str, list[str]] = defaultdict(list)
    for (task, _), found in zip(episodes, parsed, strict=True):
        if found.answer is not None:
            answers[task.id].append(found.answer)
    read = read_answers(list(answers.values()), workers=workers, deadline=deadline, canonical_number=canonical_number)
    readings = {name: iter(meanings) for name, meanings in zip(answers, read, strict=True)}
    return [
        _of_answer(found, None if found.answer is None else next(readings[task.id]), tags)
        if step is None
        else _of_step(findings[step], tags)
        for (task, _), step, found in zip(episodes, steps, parsed, strict=True)
    ]


def _findings(steps: Iterable[str | None], *, workers: int, deadline: float) -> dict[str, Finding]:
    """What comes of each step; most were computed when they were answered."""
    distinct = list(dict.fromkeys(step for step in steps if step is not None))
    if not distinct:
        return {}
    with ThreadPoolExecutor(workers) as threads:
        found = threads.map(lambda step: find(step, workers=workers, deadline=deadline), distinct)
        return dict(zip(distinct, found, strict=True))


def _of_step(finding: Finding, tags: Tags) -> Examination:
    if finding == UNANSWERED:
        return Examination(unjudged="verifier crash")
    if finding.text.startswith("error: "):
        return Examination(error="no value", message=message_of(finding, tags))
    return Examination(digest=f"step {finding.digest}", is_valid=True, message=message_of(finding, tags))


def _of_answer(parsed: Parsed, reading: Reading | None, tags: Tags) -> Examination:
    if reading is None:
        assert parsed.error is not None
        return Examination(error=parsed.error, message=SAID[parsed.error])
    if reading.unjudged is not None:
        return Examination(unjudged=reading.unjudged)
    if reading.error is not None:
        return Examination(answer=parsed.answer, error=reading.error, message=SAID[reading.error])
    message = message_of(Finding(text=f"the answer is read as {parsed.answer}"), tags)
    return Examination(answer=parsed.answer, digest=reading.meaning, is_valid=True, message=message)
