"""A function that tasks may call: its declaration, how arguments are drawn, and the clauses that ask for it."""

import json
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from data.bundled.json.draw import Draw
from data.bundled.json.families_public import MONTHS
from data.bundled.json.family import Facts, spoken
from data.bundled.json.schemas import Schema

MENTIONED = 0.5
"""How often an optional argument is asked for."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Function:
    """One function and how people ask for it."""

    name: str
    domain: str
    description: str
    required: Mapping[str, Schema]
    facts: Callable[[Draw], Facts]
    """Draws all arguments, optional ones included (never their default), and words those not said as in JSON."""
    clauses: tuple[str, ...]
    """Requests in lower case and without a full stop; a placeholder for every required argument, ``{outer_inner}`` for
    a nested one."""
    optional: Mapping[str, Schema] = field(default_factory=dict)
    """Arguments that may be left out; a ``default`` in their schema says what then holds."""
    tails: Mapping[str, str] = field(default_factory=dict)
    """Optional argument -> what is added to a clause to ask for it."""

    @property
    def declaration(self) -> dict[str, Any]:
        """The function as a model is shown it."""
        return {
            "name": self.name,
            "description": self.description,
            "parameters": {
                "type": "object",
                "properties": {**self.required, **self.optional},
                "required": list(self.required),
            },
        }

    def call(self, draw: Draw) -> tuple[str, dict[str, Any]]:
        """A clause, and the right call as ``data.function_calls`` has it.

        Raises:
            ValueError: a clause leaves out an argument or names an unknown one: a defect of the function.
        """
        drawn, wordings = self.facts(draw)
        phrases = {**spoken(drawn), **wordings}
        clause = draw.one_of(*self.clauses)
        needed = {phrase for phrase in phrases if not any(_belongs(phrase, name) for name in self.optional)}
        if _placeholders(clause) != needed:
            raise ValueError(f"{self.name}: arguments {sorted(needed)} but the clause is: {clause}")
        call: dict[str, Any] = {"name": self.name, "arguments": {name: drawn[name] for name in self.required}}
        for name, schema in self.optional.items():
            if draw.chance(MENTIONED):
                if _placeholders(self.tails[name]) - {name}:
                    raise ValueError(f"{self.name}: the tail of {name} names something else: {self.tails[name]}")
                clause += self.tails[name]
                call["arguments"][name] = drawn[name]
            elif "default" in schema:
                call["arguments"][name] = schema["default"]
                call.setdefault("optional", []).append(name)
        return clause.format(**phrases), call


def spoken_date(draw: Draw, day: date) -> str:
    """A date as people write it."""
    return draw.one_of(day.isoformat(), f"{day.day} {MONTHS[day.month - 1]} {day.year}")


def spoken_time(draw: Draw, time: str) -> str:
    """``14:30`` or ``2:30 pm``."""
    hour = int(time[:2])
    return draw.one_of(time, f"{hour % 12 or 12}:{time[3:]} {'pm' if hour >= 12 else 'am'}")


def default(schema: Schema, value: Any) -> Schema:
    """The schema of an argument that has this value when it is left out."""
    return {**schema, "default": value}


def note(schema: Schema, text: str) -> Schema:
    """The schema with a description."""
    return {**schema, "description": text}


def written(call: Mapping[str, Any]) -> str:
    """A call as one text, to tell it from others."""
    return json.dumps({"name": call["name"], "arguments": call["arguments"]}, sort_keys=True)


def _belongs(phrase: str, argument: str) -> bool:
    return phrase == argument or phrase.startswith(f"{argument}_")


def _placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}
