"""Judges the values of many transcripts at once: laid out, parsed, valid, and right by the gold.

What this costs is bounded: by ``JudgeSettings.limits`` for an answer, by ``envs.json.schema`` for a schema, and by a
deadline for mathematics, which worker processes verify for all answers at once.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from envs.json.answer_format import AnswerFormat
from envs.json.calls import compare_calls
from envs.json.content import Agreement, agreement_with, leaf_count
from envs.json.keys import all_keys, unmet
from envs.json.mathematics import math_answer
from envs.json.parsing import Limits, Parsed, parse
from envs.json.progress import progress_of_fragment, progress_of_value
from envs.json.schema import CACHED_SCHEMAS, Validation, compile_schema
from envs.json.structure import coverage, required_keys, structure
from envs.json.task import JsonTask, MathGold
from envs.json.verdict import JsonVerdict
from envs.json.xml_answers import parse_xml
from envs.json.yaml_answers import parse_yaml
from envs.layout import Layout, Tags, read_layout
from envs.math.verification import Verification, verify
from envs.transcript import Transcript

GOLD_LIMITS = Limits(characters=10_000_000, depth=200, number_characters=4_000)
NOTHING_RIGHT = Agreement()


@dataclass(frozen=True, kw_only=True)
class JudgeSettings:
    """How answers are read, and what judging them may cost."""

    limits: Limits = Limits()
    should_check_formats: bool = True
    """``format`` is an assertion."""
    tags: Tags = Tags()
    """In which tags the answer is looked for."""
    answer_format: AnswerFormat = "json"
    math_workers: int = min(2, os.cpu_count() or 1)
    """Processes that verify mathematics."""
    math_deadline: float = 5.0
    """Seconds that the verification of one answer may take."""


class _Unjudged(Exception):
    """The task does not allow a judgement; carries why."""


def judge_answers(episodes: Sequence[tuple[JsonTask, Transcript]], settings: JudgeSettings) -> list[JsonVerdict]:
    """One verdict an episode, in order; never raises because of the model's text."""
    verdicts: list[JsonVerdict] = []
    questions: dict[int, tuple[str, str]] = {}
    for place, (task, transcript) in enumerate(episodes):
        try:
            verdict, question = _examine(task, transcript, settings)
        except _Unjudged as reason:
            verdict, question = JsonVerdict(unjudged=str(reason), is_truncated=transcript.is_truncated), None
        verdicts.append(verdict)
        if question is not None:
            questions[place] = question
    if questions:
        pairs = list(questions.values())
        verifications = verify(pairs, workers=settings.math_workers, deadline=settings.math_deadline)
        for place, verification in zip(questions, verifications, strict=True):
            verdicts[place] = _with_mathematics(verdicts[place], verification)
    return verdicts


def _examine(
    task: JsonTask, transcript: Transcript, settings: JudgeSettings
) -> tuple[JsonVerdict, tuple[str, str] | None]:
    """The verdict without mathematics, and the (gold, answer) still to be verified, if there is any."""
    schema = compile_schema(task.schema, should_check_formats=settings.should_check_formats)
    if schema.defect is not None:
        raise _Unjudged("defective schema")
    layout = read_layout(transcript, settings.tags)
    parsed = parse_answer(layout.answer or "", task, settings)
    content = _content(parsed, task, settings)
    if not parsed.is_found:
        return _without_value(task, parsed, layout, content, transcript.is_truncated, settings), None
    validation = schema.validate(parsed.value)
    question = _question(task, parsed, validation)
    error = first_error(parsed, layout, validation)
    if error is None and question is None and content is not None and not content.is_equal:
        error = "wrong value"
    if content is not None and isinstance(task.gold, str):
        missing, invented = content.missing, content.invented
    else:
        missing, invented = unmet(validation.found)
    verdict = JsonVerdict(
        answer=parsed.text,
        is_correct=error is None,
        is_truncated=transcript.is_truncated,
        error=error,
        layout=layout,
        is_parsed=True,
        has_extra_text=parsed.has_extra_text,
        is_valid=validation.is_valid,
        progress=1.0 if validation.is_valid else progress_of_value(parsed.value, validation, schema),
        listing=validation.listing,
        structure=1.0 if validation.is_valid else structure(parsed.value, schema),
        coverage=coverage(parsed.value, schema),
        schema_errors=validation.errors,
        is_equal=content.is_equal if content else None,
        precision=content.precision if content else None,
        recall=content.recall if content else None,
        f1=content.f1 if content else None,
        missing=missing.pointers,
        missing_count=missing.count,
        invented=invented.pointers,
        invented_count=invented.count,
    )
    return verdict, question


def _without_value(
    task: JsonTask,
    parsed: Parsed,
    layout: Layout,
    content: Agreement | None,
    is_truncated: bool,
    settings: JudgeSettings,
) -> JsonVerdict:
    schema = compile_schema(task.schema, should_check_formats=settings.should_check_formats)
    progress, listing = progress_of_fragment(parsed.fragment or "", schema, settings.limits)
    missing = content.missing if content and isinstance(task.gold, str) else required_keys(schema)
    return JsonVerdict(
        answer=parsed.text,
        is_truncated=is_truncated,
        error=first_error(parsed, layout, None),
        layout=layout,
        has_extra_text=parsed.has_extra_text,
        progress=progress,
        listing=listing,
        is_equal=False if content else None,
        precision=0.0 if content else None,
        recall=0.0 if content else None,
        f1=0.0 if content else None,
        missing=missing.pointers,
        missing_count=missing.count,
    )


def parse_answer(text: str, task: JsonTask, settings: JudgeSettings) -> Parsed:
    """The value in what stands where the answer belongs, in the notation that is asked for."""
    if settings.answer_format == "xml":
        return parse_xml(text, task.schema, settings.limits)
    return parse_yaml(text, settings.limits) if settings.answer_format == "yaml" else parse(text, settings.limits)


def first_error(parsed: Parsed, layout: Layout, validation: Validation | None) -> str | None:
    """What is wrong with an answer before its gold is asked.

    Args:
        validation: None where no value was found.
    """
    if parsed.error != "no answer" and layout.defect is not None:
        return "wrong layout"
    if parsed.error is not None or validation is None or validation.is_valid:
        return parsed.error
    return "pattern limit" if validation.has_given_up else "not valid"


def _content(parsed: Parsed, task: JsonTask, settings: JudgeSettings) -> Agreement | None:
    """How much of the gold the value holds; nothing yet, where it is to be verified as mathematics."""
    if task.gold is None or isinstance(task.gold, MathGold):
        return None if task.gold is None else NOTHING_RIGHT
    if isinstance(task.gold, str):
        gold = _gold(task.gold, task.schema, settings.should_check_formats)
        if gold is None:
            raise _Unjudged("defective gold")
        if not parsed.is_found:
            return Agreement(missing=all_keys(gold.value))
        return agreement_with(parsed.value, gold.value, gold.leaves)
    if not all(_is_json(text) for call in task.gold.calls for texts in call.arguments.values() for text in texts):
        raise _Unjudged("defective gold")
    return compare_calls(parsed.value, task.gold)


def _question(task: JsonTask, parsed: Parsed, validation: Validation) -> tuple[str, str] | None:
    """The (gold, answer) to be verified as mathematics; None when there is none, or the value is not valid."""
    if not isinstance(task.gold, MathGold) or not validation.is_valid:
        return None
    answer = math_answer(parsed.value, task.gold)
    return None if answer is None else (task.gold.value, answer)


def _with_mathematics(verdict: JsonVerdict, verification: Verification) -> JsonVerdict:
    if verification.unjudged is not None:
        if verdict.error is not None and verification.unjudged != "defective gold":
            return verdict  # wrong whatever its mathematics says
        return JsonVerdict(unjudged=verification.unjudged, is_truncated=verdict.is_truncated)
    is_right = verification.error is None
    share = float(is_right)
    error = verdict.error or verification.error
    return replace(
        verdict, error=error, is_correct=error is None, is_equal=is_right, precision=share, recall=share, f1=share
    )


@lru_cache(maxsize=CACHED_SCHEMAS)
def _is_json(text: str) -> bool:
    return parse(text, GOLD_LIMITS).error is None


@dataclass(frozen=True, kw_only=True)
class _Gold:
    value: Any
    leaves: int


@lru_cache(maxsize=CACHED_SCHEMAS)
def _gold(text: str, schema: str, should_check_formats: bool) -> _Gold | None:
    """The gold; None when it is no JSON or breaks the schema: no answer could then be right."""
    parsed = parse(text, GOLD_LIMITS)
    if parsed.error is not None:
        return None
    is_valid = compile_schema(schema, should_check_formats=should_check_formats).validate(parsed.value).is_valid
    return _Gold(value=parsed.value, leaves=leaf_count(parsed.value)) if is_valid else None
