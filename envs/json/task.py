"""A JSON task: a schema, the text to extract from, and the gold value."""

from dataclasses import dataclass

from envs.task import Task


@dataclass(frozen=True, kw_only=True)
class JsonExample:
    """A solved extraction to the same schema, shown to the model before the task."""

    text: str
    gold: str
    """The right value as JSON text."""


@dataclass(frozen=True, kw_only=True)
class JsonTask(Task):
    """Write the JSON value that ``schema`` describes, with what ``text`` says."""

    schema: str
    """The JSON Schema as JSON text; its property order is the order in which answers are written."""
    text: str | None = None
    """What to extract from; None asks for any instance of the schema."""
    gold: str | None = None
    """The right value as JSON text; None when only validity can be judged."""
    examples: tuple[JsonExample, ...] = ()
    """Solved examples for the prompt (few-shot)."""
