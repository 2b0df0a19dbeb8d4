"""Prompts: by kind of task, notation and tags of the answer; short, and of extraction as they always were."""

import json
from typing import Any

import pytest

from data.bundled_tasks import BundledFunctionsReader, BundledJsonReader
from envs.json.answer_format import AnswerFormat
from envs.json.compact import compact, minified
from envs.json.order import ordered_text
from envs.json.prompt import messages
from envs.json.task import CallsGold, JsonExample, JsonTask, MathGold
from envs.json.xml_answers import parse_xml
from envs.json.yaml_answers import parse_yaml
from envs.layout import Tags, read_layout
from envs.transcript import Message, Transcript

SCHEMA = json.dumps(
    {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}}, "required": ["name"]}
)
EXTRACT = JsonTask(id="1", schema=SCHEMA, text="Ann is 7.", gold='{"name": "Ann", "age": 7}')
INVENT = JsonTask(id="2", schema=SCHEMA)
SOLVE = JsonTask(id="3", schema=SCHEMA, text="2 + 2?", gold=MathGold(value="4", pointer="/age"))
WEATHER = {
    "name": "weather",
    "description": "Says  the\nweather.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
CALL = JsonTask(
    id="4",
    schema='{"type": "array"}',
    text="Is it warm in Oslo?",
    gold=CallsGold(calls=()),
    functions=json.dumps([WEATHER, {"name": "now"}]),
)
KINDS = [EXTRACT, INVENT, SOLVE, CALL]


def only(task: JsonTask, schema_style: Any = "json", **options: Any) -> str:
    (message,) = messages(task, schema_style, "user", **options)
    return message["content"]


def former_messages(task: JsonTask, schema_style: str, instruction_role: str) -> list[Message]:
    """What the prompt of an extraction was before there were other kinds, notations and tags."""
    schema = compact(task.schema) if schema_style == "compact" else minified(task.schema)
    asked = "Extract from the text what the schema asks for. Answer with one JSON value and nothing else."
    instruction = f"{asked}\n\nSchema:\n{schema}"
    turns: list[Message] = []
    for example in task.examples:
        turns.append(Message(role="user", content=f"Text:\n{example.text}"))
        turns.append(Message(role="assistant", content=ordered_text(example.gold, task.schema)))
    turns.append(Message(role="user", content=f"Text:\n{task.text}"))
    if instruction_role == "system":
        return [Message(role="system", content=instruction), *turns]
    return [Message(role="user", content=f"{instruction}\n\n{turns[0]['content']}"), *turns[1:]]


@pytest.mark.parametrize("schema_style", ["json", "compact"])
@pytest.mark.parametrize("instruction_role", ["user", "system"])
@pytest.mark.parametrize("examples", [0, 1])
def test_the_prompts_of_extractions_are_what_they_always_were(
    schema_style: Any, instruction_role: Any, examples: int
) -> None:
    for task in BundledJsonReader(examples=examples).read("heldout").tasks:
        assert isinstance(task, JsonTask)
        made = messages(task, schema_style, instruction_role)
        assert made == former_messages(task, schema_style, instruction_role)


def test_each_kind_of_task_is_asked_for_in_its_own_words() -> None:
    prompts = [only(task) for task in KINDS]
    assert [prompt.split(".")[0] for prompt in prompts] == [
        "Extract from the text what the schema asks for",
        "Write an example that obeys the schema",
        "Solve the problem and write the solution down as the schema says",
        "Call the functions that the request needs; none if none fits",
    ]
    assert [prompt.rpartition("\n\n")[2].split(":")[0] for prompt in prompts] == [
        "Text",
        "Schema",
        "Problem",
        "Request",
    ]
    # The gold and its place are the judge's business.
    assert "/age" not in prompts[2]


def test_functions_stand_in_the_place_of_the_schema_in_both_styles() -> None:
    assert minified(CALL.functions or "") in only(CALL)
    short = only(CALL, "compact")
    assert "Functions:\nweather: Says the weather.\n{city: string}\nnow\n{}\n" in short
    assert "Schema" not in short and len(short) < len(only(CALL))
    assert '[{"name": ..., "arguments": {...}}]' in short


@pytest.mark.parametrize("task", KINDS, ids=lambda task: task.id)
@pytest.mark.parametrize("answer_format", ["json", "xml", "yaml"])
def test_the_notation_is_named_and_no_other(task: JsonTask, answer_format: AnswerFormat) -> None:
    instruction = only(task, answer_format=answer_format).split("\n\n")[0]
    assert answer_format.upper() in instruction
    assert not any(other in instruction for other in {"JSON", "XML", "YAML"} - {answer_format.upper()})
    assert len(instruction.split()) <= 35


@pytest.mark.parametrize("task", KINDS, ids=lambda task: task.id)
@pytest.mark.parametrize("answer_format", ["json", "xml", "yaml"])
@pytest.mark.parametrize(
    ("tags", "asked", "nothing_else"),
    [
        (Tags(), [], True),
        (Tags(reasoning="think"), [], True),
        (Tags(reasoning="think", must_reason=True), ["Reason inside <think></think>. Then answer with"], True),
        (Tags(answer="answer"), ["inside <answer></answer>."], False),
        (
            Tags(reasoning="think", must_reason=True, plan="plan", answer="out"),
            ["Reason inside <think></think>, then", "inside <plan></plan>", "inside <out></out>."],
            False,
        ),
    ],
)
def test_tags_are_asked_for_and_nothing_contradicts_them(
    task: JsonTask, answer_format: AnswerFormat, tags: Tags, asked: list[str], nothing_else: bool
) -> None:
    instruction = only(task, answer_format=answer_format, tags=tags).split("\n\n")[0]
    assert all(words in instruction for words in asked)
    assert ("and nothing else." in instruction) == nothing_else
    assert ",." not in instruction and ",," not in instruction


def test_solved_examples_are_in_the_notation_and_the_tags_of_answers() -> None:
    task = JsonTask(
        id="5",
        schema=SCHEMA,
        text="Ann is 7.",
        examples=(JsonExample(text="Bo is 3.", gold='{"age": 3, "name": "Bo"}'),),
    )
    shown = {
        answer_format: messages(task, "json", "user", answer_format, Tags(answer="answer"))[1]["content"]
        for answer_format in ("json", "xml", "yaml")
    }
    answers = {name: read_layout(Transcript.of(text), Tags(answer="answer")).answer for name, text in shown.items()}
    assert answers["json"] == '{"name": "Bo", "age": 3}'
    assert parse_xml(answers["xml"] or "", SCHEMA).value == {"name": "Bo", "age": 3}
    assert parse_yaml(answers["yaml"] or "").value == {"name": "Bo", "age": 3}
    assert messages(task, "json", "user")[1]["content"] == answers["json"]


def test_the_instruction_can_be_the_systems_where_there_is_a_text() -> None:
    for task in KINDS:
        roles = [message["role"] for message in messages(task, "json", "system")]
        assert roles == (["user"] if task.text is None else ["system", "user"])


def test_the_prompts_of_function_calls_are_short() -> None:
    tasks = [task for task in BundledFunctionsReader().read("heldout").tasks if isinstance(task, JsonTask)]
    lengths = sorted(len(only(task, "compact")) for task in tasks)
    assert lengths[len(lengths) // 2] < 800 and lengths[-1] < 1_600
