"""Judges the JSON of one transcript: parsed, valid, and equal to the gold."""

from dataclasses import dataclass
from functools import lru_cache

from envs.json.content import Agreement, agreement
from envs.json.parsing import Limits, Parsed, parse
from envs.json.schema import CACHED_SCHEMAS, CompiledSchema, SchemaError, Validation, compile_schema
from envs.json.task import JsonTask
from envs.transcript import Transcript
from envs.verdict import Verdict

GOLD_LIMITS = Limits(characters=10_000_000, depth=200, number_characters=4_000)


@dataclass(frozen=True, kw_only=True)
class JsonVerdict(Verdict):
    """What is known of a JSON answer.

    ``is_correct``: the answer is nothing but one JSON value, valid under the schema, and equal to the gold if there is
    one. ``error`` is a category of ``envs.json.parsing.ParseError``, ``not valid`` or ``wrong value``; the first that
    applies in this order.
    """

    is_parsed: bool = False
    """A JSON value was found, alone or beside other text."""
    has_extra_text: bool = False
    """Something other than white space stands beside the value."""
    is_valid: bool = False
    """The value that was found obeys the schema."""
    schema_errors: tuple[SchemaError, ...] = ()
    """How it breaks the schema; bounded as ``envs.json.schema.Validation.errors`` says."""
    precision: float | None = None
    """Share of the value's leaves that the gold has at the same place; 0 without a value, None without a gold."""
    recall: float | None = None
    """Share of the gold's leaves that the value has at the same place; 0 without a value, None without a gold."""
    f1: float | None = None
    """Harmonic mean of the two, see ``envs.json.content``."""


def judge_answer(
    task: JsonTask,
    transcript: Transcript,
    *,
    limits: Limits,
    should_check_formats: bool = True,
    reasoning_end: str | None = None,
) -> JsonVerdict:
    """The verdict on one answer; never raises because of the model's text.

    Args:
        task: its schema and gold; a defect of theirs makes the verdict unjudged.
        transcript: what the model wrote.
        limits: what the answer may cost.
        should_check_formats: ``format`` is an assertion.
        reasoning_end: the tag after whose last occurrence the answer begins; None: all of the text is the answer.
    """
    is_truncated = transcript.is_truncated
    schema = compile_schema(task.schema, should_check_formats=should_check_formats)
    if schema.defect is not None:
        return JsonVerdict(unjudged="defective schema", is_truncated=is_truncated)
    gold = None if task.gold is None else _gold(task.gold, task.schema, should_check_formats)
    if gold is not None and not gold.is_found:
        return JsonVerdict(unjudged="defective gold", is_truncated=is_truncated)
    text = transcript.model_text
    parsed = parse(text.rpartition(reasoning_end)[2] if reasoning_end else text, limits)
    validation = _validation(parsed, schema)
    if validation.is_undecided:
        return JsonVerdict(unjudged="pattern limit", is_truncated=is_truncated)
    content = _content(parsed, gold)
    error: str | None = parsed.error
    if error is None and not validation.is_valid:
        error = "not valid"
    if error is None and content is not None and not content.is_equal:
        error = "wrong value"
    return JsonVerdict(
        answer=parsed.text,
        is_correct=error is None,
        is_truncated=is_truncated,
        error=error,
        is_parsed=parsed.is_found,
        has_extra_text=parsed.has_extra_text,
        is_valid=validation.is_valid,
        schema_errors=validation.errors,
        precision=content.precision if content else None,
        recall=content.recall if content else None,
        f1=content.f1 if content else None,
    )


def _validation(parsed: Parsed, schema: CompiledSchema) -> Validation:
    if not parsed.is_found or parsed.text is None:
        return Validation(is_valid=False)
    return schema.validate(parsed.value, parsed.text)


def _content(parsed: Parsed, gold: Parsed | None) -> Agreement | None:
    if gold is None:
        return None
    return agreement(parsed.value, gold.value) if parsed.is_found else Agreement()


@lru_cache(maxsize=CACHED_SCHEMAS)
def _gold(text: str, schema: str, should_check_formats: bool) -> Parsed:
    """The gold, parsed; not found when it is no JSON or breaks the schema: no answer could then be right."""
    parsed = parse(text, GOLD_LIMITS)
    if parsed.error is not None:
        return Parsed(error=parsed.error)
    is_valid = compile_schema(schema, should_check_formats=should_check_formats).validate(parsed.value, text).is_valid
    return parsed if is_valid else Parsed(error="not json")
