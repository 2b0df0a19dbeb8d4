"""A JSON task: a schema, what to write, and what is right."""

from collections.abc import Mapping
from dataclasses import dataclass

from envs.task import Task


@dataclass(frozen=True, kw_only=True)
class JsonExample:
    """A solved extraction to the same schema, shown to the model before the task."""

    text: str
    gold: str
    """The right value as JSON text."""


@dataclass(frozen=True, kw_only=True)
class MathGold:
    """One part of the value is verified as mathematics, the rest is free (GSM8K-JSON)."""

    value: str
    """The right answer, as ``envs.math`` takes a gold."""
    pointer: str = "/answer"
    """JSON Pointer (RFC 6901) to that part; a string or a number stands there."""
    reference: str | None = None
    """A whole value that is right, as JSON text; None: nobody knows one, and the gold is not judged at load."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call of a function, and which arguments are right."""

    function: str
    arguments: Mapping[str, tuple[str, ...]]
    """Argument -> the values that are right, each as JSON text; at least one for those that are not optional."""
    optional: frozenset[str] = frozenset()
    """Arguments that may be left out."""


@dataclass(frozen=True, kw_only=True)
class CallsGold:
    """The value is a call, or a list of calls, of functions."""

    calls: tuple[Call, ...]
    is_ordered: bool = False
    """The calls must come in this order; false: in any."""
    has_loose_strings: bool = False
    """Strings are equal whatever their case, their spaces and their ``,./-_*^``, as in the Berkeley leaderboard's own
    comparison; false: code point by code point."""


@dataclass(frozen=True, kw_only=True)
class JsonTask(Task):
    """Write the value that ``schema`` describes, with what ``text`` says."""

    schema: str
    """The JSON Schema as JSON text; its property order is the order in which answers are written."""
    text: str | None = None
    """What to extract from, the question, or the request; None asks for any instance of the schema."""
    gold: str | MathGold | CallsGold | None = None
    """What is right: a value as JSON text, a part of it, or calls; None when only validity can be judged."""
    functions: str | None = None
    """The functions that may be called, as JSON text (a list of {name, description, parameters}); None elsewhere."""
    examples: tuple[JsonExample, ...] = ()
    """Solved examples for the prompt (few-shot)."""
