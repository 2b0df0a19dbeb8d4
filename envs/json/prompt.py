"""The prompt of a JSON task: short, since small models read it and every rollout pays for it.

What is asked depends on the task: to extract, to invent an instance of the schema, to solve a problem, or to call
functions.
"""

import json
from collections.abc import Mapping
from typing import Any, Literal

from envs.json.answer_format import AnswerFormat, written
from envs.json.calls import arguments_schema
from envs.json.compact import compact, minified
from envs.json.task import JsonTask, MathGold
from envs.layout import Tags, step_instruction
from envs.layout import instruction as tags_instruction
from envs.transcript import Message

SchemaStyle = Literal["json", "compact"]
InstructionRole = Literal["user", "system"]

EXTRACT = "Extract from the text what the schema asks for."
INVENT = "Write an example that obeys the schema."
SOLVE = "Solve the problem and write the solution down as the schema says."
CALL = "Call the functions that the request needs; none if none fits."
A_VALUE: Mapping[AnswerFormat, str] = {
    "json": "one JSON value",
    "xml": "one XML element <value>, keys as elements and list entries as <item>,",
    "yaml": "one YAML document",
}
A_LIST_OF_CALLS: Mapping[AnswerFormat, str] = {
    "json": 'a JSON list of calls, [{"name": ..., "arguments": {...}}],',
    "xml": "an XML list of calls, <value><item><name>...</name><arguments>...</arguments></item></value>,",
    "yaml": "a YAML list of calls, each with name and arguments,",
}


def messages(
    task: JsonTask,
    schema_style: SchemaStyle,
    instruction_role: InstructionRole,
    answer_format: AnswerFormat = "json",
    tags: Tags = Tags(),  # noqa: B008 - frozen
    *,
    max_steps: int = 1,
) -> list[Message]:
    """The instruction with the schema or the functions, then solved examples as earlier turns, then the text if any.

    Args:
        tags: what is asked for around the answer. Solved examples have the answer's own tags only: nobody has written
            down how they were reasoned.
        max_steps: how many steps are answered, where the tags ask for them.
    """
    instruction = f"{_instruction(task, answer_format, tags, max_steps)}\n\n{_described(task, schema_style)}"
    turns: list[Message] = []
    for example in task.examples:
        turns.append(Message(role="user", content=f"Text:\n{example.text}"))
        turns.append(Message(role="assistant", content=_solved(example.gold, task.schema, answer_format, tags)))
    if task.text is not None:
        turns.append(Message(role="user", content=f"{_heading(task)}:\n{task.text}"))
    if not turns:
        return [Message(role="user", content=instruction)]
    if instruction_role == "system":
        return [Message(role="system", content=instruction), *turns]
    return [Message(role="user", content=f"{instruction}\n\n{turns[0]['content']}"), *turns[1:]]


def _instruction(task: JsonTask, answer_format: AnswerFormat, tags: Tags, max_steps: int) -> str:
    """What to do and how to answer; with an answer's own tags, "nothing else" is left to them."""
    calls = task.functions is not None
    wanted = (A_LIST_OF_CALLS if calls else A_VALUE)[answer_format]
    purpose, result = "have drafts of the answer checked against the schema", "what is wrong with it"
    steps = step_instruction(tags, purpose=purpose, result=result, most=max_steps)
    asked = tags_instruction(tags, answer="list of calls" if calls else f"{answer_format.upper()} answer", steps=steps)
    if tags.answer is not None:
        return f"{_purpose(task)} Answer with {wanted.removesuffix(',')}. {asked}"
    if asked:
        return f"{_purpose(task)} {asked} Then answer with {wanted} and nothing else."
    return f"{_purpose(task)} Answer with {wanted} and nothing else."


def _purpose(task: JsonTask) -> str:
    if task.text is None:
        return INVENT
    if task.functions is not None:
        return CALL
    return SOLVE if isinstance(task.gold, MathGold) else EXTRACT


def _heading(task: JsonTask) -> str:
    """What the task's text is called."""
    if task.functions is not None:
        return "Request"
    return "Problem" if isinstance(task.gold, MathGold) else "Text"


def _described(task: JsonTask, style: SchemaStyle) -> str:
    """The schema; where functions are called, them in its place: it says nothing beyond them."""
    if task.functions is None:
        return f"Schema:\n{compact(task.schema) if style == 'compact' else minified(task.schema)}"
    if style == "json":
        return f"Functions:\n{minified(task.functions)}"
    return "Functions:\n" + "\n".join(map(_compact_function, json.loads(task.functions)))


def _compact_function(function: Mapping[str, Any]) -> str:
    parameters = compact(json.dumps(arguments_schema(function), ensure_ascii=False))
    description = " ".join(str(function.get("description") or "").split())
    return f"{function['name']}{': ' if description else ''}{description}\n{parameters}"


def _solved(gold: str, schema: str, answer_format: AnswerFormat, tags: Tags) -> str:
    answer = written(gold, schema, answer_format)
    return answer if tags.answer is None else f"<{tags.answer}>{answer}</{tags.answer}>"
