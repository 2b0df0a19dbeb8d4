"""What can be said of JSON, XML and YAML answers without the gold: do they obey the schema, and which are equal.

Answers are read and validated by the judge's own code. A digest is that of the value: objects have no order, 1 equals
1.0, and neither notation nor what stands around the value counts. A value that does not obey the schema has none, as a
query has none that does not run: however often it is given, it is not right. Where a task says that one part of the
value is the answer and the rest is free (``MathGold.pointer``, of which nothing else is compared), that part alone
counts, as mathematics: two answers that come to 18 by other reasoning mean the same.

Not covered: calls of functions in another order, or without an optional argument, are another value.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from envs.examination import Examination
from envs.examined_text import message_of, step_to_examine
from envs.json.judge import JudgeSettings, first_error, parse_answer
from envs.json.mathematics import math_answer
from envs.json.observation import not_read
from envs.json.parsing import WHITESPACE, Parsed
from envs.json.schema import Validation, compile_schema
from envs.json.task import JsonTask, MathGold
from envs.layout import Layout, read_layout
from envs.math.equivalence import read_answers
from envs.observation import Finding
from envs.transcript import Transcript

SHOWN_ERRORS = 3
POINTER_CHARACTERS = 100


@dataclass(frozen=True, kw_only=True)
class _Read:
    """An answer, or the draft in a step."""

    text: str
    """Where it was looked for."""
    is_step: bool
    layout: Layout
    parsed: Parsed
    validation: Validation | None
    """None where no value was found."""

    @property
    def is_valid(self) -> bool:
        """There is a value, and it obeys the schema."""
        return self.validation is not None and self.validation.is_valid


def examine_answers(episodes: Sequence[tuple[JsonTask, Transcript]], settings: JudgeSettings) -> list[Examination]:
    """One examination an episode, in order; never raises because of the model's text.

    Mathematics is compared among the episodes with the same ``Task.id``, for all of them at once.
    """
    read = [_read(task, transcript, settings) for task, transcript in episodes]
    examinations = [_examination(one, settings) for one in read]
    answers: dict[str, list[str]] = defaultdict(list)
    places: dict[str, list[int]] = defaultdict(list)
    for place, ((task, _), one) in enumerate(zip(episodes, read, strict=True)):
        if one is None or not one.is_valid or not isinstance(task.gold, MathGold):
            continue
        examinations[place] = replace(examinations[place], digest=None)
        answer = math_answer(one.parsed.value, task.gold)
        if answer is not None:
            answers[task.id].append(answer)
            places[task.id].append(place)
    meanings = read_answers(list(answers.values()), workers=settings.math_workers, deadline=settings.math_deadline)
    for question, readings in zip(places.values(), meanings, strict=True):
        for place, reading in zip(question, readings, strict=True):
            examinations[place] = replace(examinations[place], digest=reading.meaning)
    return examinations


def _read(task: JsonTask, transcript: Transcript, settings: JudgeSettings) -> _Read | None:
    """None where the schema is defective."""
    schema = compile_schema(task.schema, should_check_formats=settings.should_check_formats)
    if schema.defect is not None:
        return None
    layout = read_layout(transcript, settings.tags)
    step = step_to_examine(transcript, layout, settings.tags)
    text = layout.answer or "" if step is None else step
    parsed = parse_answer(text, task, settings)
    validation = schema.validate(parsed.value) if parsed.is_found else None
    return _Read(text=text, is_step=step is not None, layout=layout, parsed=parsed, validation=validation)


def _examination(one: _Read | None, settings: JudgeSettings) -> Examination:
    if one is None:
        return Examination(unjudged="defective schema")
    # A draft stands in no layout of its own: what the answer still lacks is no error of it.
    error = first_error(one.parsed, Layout() if one.is_step else one.layout, one.validation)
    return Examination(
        answer=None if one.is_step else one.parsed.text,
        digest=_digest(one.parsed.value) if one.is_valid else None,
        is_valid=error is None,
        error=error,
        message=message_of(Finding(text="\n".join(_said(one, error)) or "valid"), settings.tags),
    )


def _said(one: _Read, error: str | None) -> list[str]:
    """What is wrong, a line each."""
    said = [f"error: {one.layout.defect}"] if error == "wrong layout" else []
    if one.parsed.error is not None:
        said.append(not_read(one.text.strip(WHITESPACE), one.parsed, one.parsed.error))
    if one.validation is None or one.validation.is_valid:
        return said
    if one.validation.has_given_up:
        return [*said, "error: a regular expression of the schema gave up on a string of it"]
    if not one.validation.found:
        return [*said, "error: it does not obey the schema"]
    shown = one.validation.errors[:SHOWN_ERRORS]
    said += [f"{_shortened(broken.pointer) or 'the whole value'}: {broken.message}" for broken in shown]
    more = len(one.validation.found) - len(shown)
    return [*said, f"({more} more error{'s' * (more != 1)})"] if more else said


def _shortened(pointer: str) -> str:
    return pointer if len(pointer) <= POINTER_CHARACTERS else f"{pointer[:POINTER_CHARACTERS]}..."


def _digest(value: Any) -> str:
    """Equal for values that are equal as ``envs.json.content`` says."""
    return hashlib.sha256(json.dumps(_plain(value), sort_keys=True).encode()).hexdigest()


def _plain(value: Any) -> Any:
    """The value with floats that are whole as integers; its depth was bounded by the parser."""
    if type(value) is dict:
        return {key: _plain(item) for key, item in value.items()}
    if type(value) is list:
        return [_plain(item) for item in value]
    return int(value) if type(value) is float and value.is_integer() else value
