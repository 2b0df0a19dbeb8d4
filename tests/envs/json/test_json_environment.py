"""The JSON environment: verdicts, prompts, grammars."""

import json
import time
from typing import Any

import pytest

from envs.errors import ConfigurationError
from envs.grammar import Grammar
from envs.json.calls import calls_schema
from envs.json.environment import JsonEnvironment
from envs.json.judge import JsonVerdict
from envs.json.task import Call, CallsGold, JsonTask, MathGold
from envs.layout import Tags
from envs.transcript import Transcript

SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
TASK = JsonTask(id="1", schema=json.dumps(SCHEMA), text="Ann is 7.", gold='{"name": "Ann", "age": 7}')


def judge(answer: str, task: JsonTask = TASK, **options: Any) -> JsonVerdict:
    (verdict,) = JsonEnvironment(**options).judge([(task, Transcript.of(answer))])
    assert isinstance(verdict, JsonVerdict)
    return verdict


def test_the_reference_is_correct_in_any_key_order() -> None:
    reference = JsonEnvironment().reference(TASK)
    assert reference == '{"name": "Ann", "age": 7}'
    for answer in (reference, '{"age":7.0,\n"name":"Ann"}'):
        verdict = judge(answer)
        assert verdict.is_correct and verdict.error is None and verdict.f1 == 1.0


@pytest.mark.parametrize(
    ("answer", "error", "facts"),
    [
        ("", "no answer", (False, False, False)),
        ("Ann", "not json", (False, False, False)),
        ('Here: {"name": "Ann", "age": 7}', "extra text", (True, True, True)),
        ('{"name": "Ann"}', "not valid", (True, False, False)),
        ('{"name": "Ann", "age": 8}', "wrong value", (True, True, False)),
        ('{"name": "Ann", "age": true}', "not valid", (True, False, False)),
    ],
)
def test_facts_of_a_wrong_answer(answer: str, error: str, facts: tuple[bool, bool, bool]) -> None:
    verdict = judge(answer)
    assert verdict.error == error and not verdict.is_correct and verdict.unjudged is None
    assert (verdict.is_parsed, verdict.is_valid, verdict.has_extra_text) == facts


def test_content_is_measured_for_invalid_values_too_and_is_zero_without_a_value() -> None:
    partial = judge('{"name": "Ann"}')
    assert (partial.precision, partial.recall) == (1.0, 0.5)
    assert partial.f1 == pytest.approx(2 / 3)
    assert judge("nothing").f1 == 0.0


def test_without_a_gold_every_valid_value_is_correct_and_content_is_unknown() -> None:
    verdict = judge('{"name": "Bob", "age": 1}', JsonTask(id="2", schema=TASK.schema))
    assert verdict.is_correct and verdict.f1 is None and verdict.precision is None


@pytest.mark.parametrize(
    ("task", "reason"),
    [
        (JsonTask(id="3", schema='{"type": "text"}', gold="1"), "defective schema"),
        (JsonTask(id="4", schema="{}", gold="{"), "defective gold"),
        (JsonTask(id="5", schema='{"type": "string"}', gold="1"), "defective gold"),
        (
            JsonTask(id="9", schema="{}", gold=CallsGold(calls=(Call(function="f", arguments={"a": ("{",)}),))),
            "defective gold",
        ),
    ],
)
def test_a_defective_task_is_unjudged(task: JsonTask, reason: str) -> None:
    for answer in ("1", '[{"name": "f", "arguments": {"a": 1}}]'):
        verdict = judge(answer, task)
        assert verdict == JsonVerdict(unjudged=reason)
    assert judge(JsonEnvironment().reference(task) or "", task).unjudged == reason


def test_reasoning_is_left_out_where_the_tags_say_so() -> None:
    answer = '<think>{"name": "no", "age": 1}</think>\n{"name": "Ann", "age": 7}'
    assert judge(answer).error == "extra text"
    assert judge(answer, tags=Tags(reasoning="think")).is_correct
    assert judge(answer, tags={"reasoning": "think"}).layout.reasoning == '{"name": "no", "age": 1}'


IN_TAGS = Tags(reasoning="think", answer="answer")


@pytest.mark.parametrize(
    ("answer", "error", "defect"),
    [
        ('<answer>{"name": "Ann", "age": 7}</answer>', None, None),
        ('<think>hm</think> <answer>\n{"name": "Ann", "age": 7}\n</answer>\n', None, None),
        ('{"name": "Ann", "age": 7}', "no answer", "no answer"),
        ('<answer>{"name": "Ann", "age": 7}', "no answer", "unclosed tag"),
        ('<think><answer>{"name": "Ann", "age": 7}</answer></think>', "no answer", "no answer"),
        ('So <answer>{"name": "Ann", "age": 7}</answer>', "wrong layout", "text outside"),
        ('<answer>{}</answer><answer>{"name": "Ann", "age": 7}</answer>', "wrong layout", "several answers"),
        ('<answer>{"name": "Ann", "age": 7}</answer><think>ok</think>', "wrong layout", "after the answer"),
        ('<answer>{"name": "Ann"</answer> so', "wrong layout", "text outside"),
        ('<answer>It is {"name": "Ann", "age": 7}</answer>', "extra text", None),
        ('<answer>{"name": "Ann"}</answer>', "not valid", None),
    ],
)
def test_the_answer_is_what_stands_in_its_tags(answer: str, error: str | None, defect: str | None) -> None:
    verdict = judge(answer, tags=IN_TAGS)
    assert (verdict.error, verdict.layout.defect) == (error, defect)
    assert verdict.is_correct is (error is None)


def test_facts_of_the_value_stand_beside_a_wrong_layout() -> None:
    verdict = judge('So <answer>{"name": "Ann", "age": 7}</answer>', tags=IN_TAGS)
    assert verdict.is_valid and verdict.is_equal and verdict.f1 == 1.0 and not verdict.has_extra_text


@pytest.mark.parametrize(
    "tags",
    [
        Tags(),
        Tags(reasoning="think"),
        IN_TAGS,
        Tags(reasoning="think", must_reason=True, plan="plan", answer="answer"),
        Tags(plan="plan"),
    ],
)
@pytest.mark.parametrize("answer_format", ["json", "xml", "yaml"])
def test_the_reference_is_laid_out_and_correct_in_every_format(tags: Tags, answer_format: Any) -> None:
    environment = JsonEnvironment(tags=tags, answer_format=answer_format)
    verdict = judge(environment.reference(TASK) or "", tags=tags, answer_format=answer_format)
    assert verdict.is_correct and verdict.layout.tag_share == 1.0 and verdict.progress == 1.0
    assert environment.prompt(TASK)


@pytest.mark.parametrize(
    ("answer_format", "answer", "error"),
    [
        ("xml", "<value><name>Ann</name><age>7</age></value>", None),
        ("xml", "Here: <value><name>Ann</name><age>7</age></value>", "extra text"),
        ("xml", "<value><name>Ann</name></value>", "not valid"),
        ("xml", "<value><name>Ann</age></value>", "not xml"),
        ("xml", '{"name": "Ann", "age": 7}', "not xml"),
        ("yaml", "name: Ann\nage: 7", None),
        ("yaml", "name: Ann\nage: 8", "wrong value"),
        ("yaml", "name: &a Ann\nage: *a", "entity"),
    ],
)
def test_other_formats_are_judged_by_the_same_schema(answer_format: Any, answer: str, error: str | None) -> None:
    verdict = judge(answer, answer_format=answer_format)
    assert verdict.error == error
    assert (verdict.progress == 1.0) is verdict.is_valid
    if error == "not valid":
        assert verdict.progress == pytest.approx(4 / 6) and verdict.missing == ("/age",)


def test_the_grammar_is_the_schema_laid_out_in_the_tags() -> None:
    schema = JsonEnvironment().grammar(TASK)
    assert schema == Grammar(kind="json_schema", source=TASK.schema)
    tagged = JsonEnvironment(tags=IN_TAGS).grammar(TASK)
    assert tagged is not None and tagged.regions[-1].blocks[0].content == schema
    for answer_format in ("yaml", "xml"):
        assert JsonEnvironment(answer_format=answer_format).grammar(TASK) is None


SOLUTION = {
    "type": "object",
    "properties": {"steps": {"type": "array", "items": {"type": "string"}}, "answer": {"type": ["number", "string"]}},
    "required": ["steps", "answer"],
    "additionalProperties": False,
}
SOLVE = JsonTask(
    id="6",
    schema=json.dumps(SOLUTION),
    text="6 times 3?",
    gold=MathGold(value="18", reference='{"steps": [], "answer": "18"}'),
)


@pytest.mark.parametrize(
    ("answer", "error", "is_equal"),
    [
        ('{"steps": ["6 * 3"], "answer": 18}', None, True),
        ('{"steps": [], "answer": 18.0}', None, True),
        ('{"steps": [], "answer": "18"}', None, True),
        ('{"steps": [], "answer": 19}', "wrong value", False),
        ('{"steps": [], "answer": "6 * 3"}', "not a number", False),
        ('{"answer": 18}', "not valid", False),
        ('{"steps": [], "answer": [18]}', "not valid", False),
        ('I get {"steps": [], "answer": 18}', "extra text", True),
        ("18", "not valid", False),
        ("\\boxed{18}", "not json", False),
    ],
)
def test_one_part_is_verified_as_mathematics(answer: str, error: str | None, is_equal: bool) -> None:
    verdict = judge(answer, SOLVE)
    assert (verdict.error, verdict.is_equal) == (error, is_equal)
    assert verdict.is_correct is (error is None)
    assert verdict.precision == verdict.recall == verdict.f1 == float(is_equal)


def test_mathematics_that_needs_a_worker_is_judged_with_its_batch() -> None:
    task = JsonTask(id="7", schema="{}", gold=MathGold(value="\\sqrt{2}"))
    answers = ['{"answer": "\\\\frac{2}{\\\\sqrt{2}}"}', '{"answer": "2"}', '{"other": 1}']
    verdicts = JsonEnvironment(math_workers=1).judge([(task, Transcript.of(answer)) for answer in answers])
    assert [verdict.is_correct for verdict in verdicts] == [True, False, False]
    assert verdicts[2].error == "wrong value"
    assert JsonEnvironment().reference(task) is None


CALLS = JsonTask(
    id="8",
    schema=json.dumps(calls_schema([{"name": "roll", "parameters": {"properties": {"sides": {"type": "integer"}}}}])),
    text="Roll a die.",
    gold=CallsGold(calls=(Call(function="roll", arguments={"sides": ("6",)}),)),
    functions="[]",
)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ('[{"name": "roll", "arguments": {"sides": 6}}]', None),
        ('[{"name": "roll", "arguments": {"sides": 20}}]', "wrong value"),
        ('[{"name": "roll", "arguments": {"sides": "6"}}]', "not valid"),
        ("[]", "wrong value"),
    ],
)
def test_calls_must_match(answer: str, error: str | None) -> None:
    verdict = judge(answer, CALLS)
    assert verdict.error == error and verdict.is_equal is (error is None)
    assert JsonEnvironment().reference(CALLS) == '[{"name": "roll", "arguments": {"sides": 6}}]'


def test_hostile_answers_do_not_keep_a_batch_from_being_judged() -> None:
    hostile = [
        "[" * 100_000,
        '{"a":' * 100_000,
        "1" * 5_000,
        '{"name": "Ann", "age": ' + "7" * 5_000 + "}",
        "NaN",
        '{"name": "Ann", "age": 1e400}',
        '{"name": "Ann", "age": 7, "age": 7}',
        '{"name": "' + "x" * 2_000_000 + '", "age": 7}',
        '{"name": "\\ud800", "age": 7}',
        '{"name": "\ud800", "age": 7}',
        "\x00" * 1_000,
        "{" * 60_000,
        '{"' + "k" * 20_000 + '": [' + "1," * 20_000 + "1]}",
    ]
    answers = [answer for text in hostile for answer in (text, '{"name": "Ann", "age": 7}')]
    started = time.perf_counter()
    verdicts = JsonEnvironment().judge([(TASK, Transcript.of(answer)) for answer in answers])
    assert time.perf_counter() - started < 3
    assert [verdict.is_correct for verdict in verdicts] == [False, True] * len(hostile)
    assert all(verdict.unjudged is None for verdict in verdicts)
    json.dumps([verdict.answer for verdict in verdicts], ensure_ascii=False).encode()


def test_truncation_is_carried_over() -> None:
    (verdict,) = JsonEnvironment().judge([(TASK, Transcript.of('{"name": "A', is_truncated=True))])
    assert verdict.is_truncated and verdict.error == "not json"


@pytest.mark.parametrize("style", ["json", "compact"])
def test_the_prompt_is_short_and_holds_schema_and_text(style: Any) -> None:
    (message,) = JsonEnvironment(schema_style=style).prompt(TASK)
    instruction, schema, text = message["content"].split("\n\n")
    assert len(instruction.split()) <= 25
    assert "age" in schema and text == "Text:\nAnn is 7."


def test_the_compact_prompt_is_shorter() -> None:
    short, long = (JsonEnvironment(schema_style=style).prompt(TASK)[0]["content"] for style in ("compact", "json"))
    assert "{name: string, age: integer(min 0)}" in short
    assert len(short) < len(long)


@pytest.mark.parametrize(
    "options",
    [
        {"schema_style": "yaml"},
        {"answer_format": "toml"},
        {"instruction_role": "tool"},
        {"max_depth": 0},
        {"max_depth": 201},
        {"max_characters": 0},
        {"math_workers": 0},
        {"math_deadline": 0},
        {"tags": {"reasoning": "<think>"}},
        {"tags": {"answr": "answer"}},
        {"tags": {"step": "step", "observation": "result"}},
        {"tags": {"step": "step", "answer": "answer"}},
    ],
)
def test_a_meaningless_option_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        JsonEnvironment(**options)


def test_xml_refuses_tags_that_are_its_own_elements() -> None:
    with pytest.raises(ConfigurationError, match="'item'.*choose another"):
        JsonEnvironment(answer_format="xml", tags=Tags(answer="item"))
