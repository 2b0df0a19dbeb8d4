"""The prompt of a JSON task: short, since small models read it and every rollout pays for it."""

from typing import Literal

from envs.json.compact import compact, minified
from envs.json.task import JsonTask
from envs.transcript import Message

SchemaStyle = Literal["json", "compact"]

EXTRACT = "Extract from the text what the schema asks for. Answer with one JSON value and nothing else."
INVENT = "Write an example that obeys the schema. Answer with one JSON value and nothing else."


def messages(task: JsonTask, schema_style: SchemaStyle) -> list[Message]:
    """One user message: the instruction, the schema, and the text if there is one."""
    schema = compact(task.schema) if schema_style == "compact" else minified(task.schema)
    parts = [INVENT if task.text is None else EXTRACT, f"Schema:\n{schema}"]
    if task.text is not None:
        parts.append(f"Text:\n{task.text}")
    return [Message(role="user", content="\n\n".join(parts))]
