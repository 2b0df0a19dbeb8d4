"""A family: one schema, how its values are drawn, and the sentences that state them."""

import re
import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from data.bundled.json.draw import Draw
from data.bundled.json.schemas import Schema

Facts = tuple[dict[str, Any], dict[str, str]]
"""The gold value, and the wording of those of its parts that are not said as they are written in JSON."""

_ARTICLE = re.compile(r"((?:\ba|(?:^|[.:!?] )A)) (?=[aeioAEIO]|umb)")
"""An article that needs an ``n``. A capital A counts only where a sentence begins: elsewhere it may be a code."""


@dataclass(frozen=True, kw_only=True)
class Family:
    """All tasks of one schema."""

    name: str
    difficulty: Literal["easy", "medium", "hard"]
    """easy: flat, nearly all copied; medium: nulls, booleans, enumerations, a list; hard: nested or reworded."""
    schema: Schema
    facts: Callable[[Draw], Facts]
    sentences: tuple[str, ...]
    """Texts with a placeholder for every fact: ``{key}``, ``{outer_inner}`` for a nested one."""
    asides: tuple[str, ...] = ()
    """Sentences that state nothing the schema asks for."""

    def task(self, draw: Draw) -> tuple[str, dict[str, Any]]:
        """A text and the value that it states.

        Raises:
            ValueError: a sentence leaves out a fact or names an unknown one: a defect of the family.
        """
        gold, wordings = self.facts(draw)
        phrases = {**spoken(gold), **wordings}
        sentence = draw.one_of(*self.sentences)
        named = {field for _, field, _, _ in string.Formatter().parse(sentence) if field}
        if named != phrases.keys():
            raise ValueError(f"{self.name}: facts {sorted(phrases)} but the sentence names {sorted(named)}: {sentence}")
        text = _ARTICLE.sub(r"\1n ", sentence.format(**phrases))
        if self.asides and draw.chance(0.35):
            aside = draw.one_of(*self.asides)
            text = f"{aside} {text}" if draw.chance() else f"{text} {aside}"
        return text, gold


def spoken(value: Mapping[str, Any], path: str = "") -> dict[str, str]:
    """How the parts of a value are said when nothing else is given: as written, lists of words with commas and "and".

    Booleans, nulls and lists of objects have no such form: the family words them.
    """
    phrases: dict[str, str] = {}
    for key, part in value.items():
        name = f"{path}{key}"
        if isinstance(part, Mapping):
            phrases |= spoken(part, f"{name}_")
        elif isinstance(part, list) and not any(isinstance(entry, Mapping) for entry in part):
            phrases[name] = listed([str(entry) for entry in part])
        elif isinstance(part, str | int | float) and not isinstance(part, bool):
            phrases[name] = str(part)
    return phrases


def listed(entries: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return entries[0] if len(entries) == 1 else f"{', '.join(entries[:-1])} and {entries[-1]}"
