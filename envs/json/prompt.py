"""The prompt of a JSON task: short, since small models read it and every rollout pays for it."""

from typing import Literal

from envs.json.compact import compact, minified
from envs.json.order import ordered_text
from envs.json.task import JsonTask
from envs.transcript import Message

SchemaStyle = Literal["json", "compact"]
InstructionRole = Literal["user", "system"]

EXTRACT = "Extract from the text what the schema asks for. Answer with one JSON value and nothing else."
INVENT = "Write an example that obeys the schema. Answer with one JSON value and nothing else."


def messages(task: JsonTask, schema_style: SchemaStyle, instruction_role: InstructionRole) -> list[Message]:
    """The instruction with the schema, then solved examples as earlier turns, then the text if there is one."""
    schema = compact(task.schema) if schema_style == "compact" else minified(task.schema)
    instruction = f"{INVENT if task.text is None else EXTRACT}\n\nSchema:\n{schema}"
    turns: list[Message] = []
    for example in task.examples:
        turns.append(Message(role="user", content=f"Text:\n{example.text}"))
        turns.append(Message(role="assistant", content=ordered_text(example.gold, task.schema)))
    if task.text is not None:
        turns.append(Message(role="user", content=f"Text:\n{task.text}"))
    if not turns:
        return [Message(role="user", content=instruction)]
    if instruction_role == "system":
        return [Message(role="system", content=instruction), *turns]
    return [Message(role="user", content=f"{instruction}\n\n{turns[0]['content']}"), *turns[1:]]
