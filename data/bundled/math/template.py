"""A template: the wordings of one word problem, how its numbers are drawn, and the arithmetic that solves it."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

Difficulty = Literal["easy", "medium", "hard"]
Drawn = tuple[Mapping[str, int | str], Fraction | int]
"""The numbers of one problem by placeholder, and its answer, found another way than the expression where possible."""

NAMES = ("Ada", "Bruno", "Chloe", "Dmitri", "Emil", "Farah", "Greta", "Hasan", "Iris", "Jamal", "Kenji", "Lena")


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One word problem."""

    question: str
    answer: str
    expression: str


@dataclass(frozen=True, kw_only=True)
class Template:
    """A word problem with its numbers left open."""

    name: str
    difficulty: Difficulty
    """By the arithmetic operations of the expression: one is easy, two or three are medium, more are hard."""
    expression: str
    """The solution as arithmetic over the placeholders."""
    phrasings: tuple[str, ...]
    draw: Callable[[random.Random], Drawn]
    asks_for_fraction: bool
    """The question wants a fraction, so 2/5 is not written 0.4."""

    def problem(self, source: random.Random) -> Problem:
        """A problem with numbers and names from ``source``."""
        numbers, answer = self.draw(source)
        name, other = source.sample(NAMES, 2)
        question = source.choice(self.phrasings).format(**numbers, name=name, other=other)
        return Problem(
            question=question,
            answer=written(Fraction(answer), as_fraction=self.asks_for_fraction),
            expression=self.expression.format(**numbers),
        )


def template(
    *, difficulty: Difficulty, expression: str, phrasings: tuple[str, ...], asks_for_fraction: bool = False
) -> Callable[[Callable[[random.Random], Drawn]], Template]:
    """Makes a template of the function that draws its numbers; the function's name becomes the template's."""

    def make(draw: Callable[[random.Random], Drawn]) -> Template:
        return Template(
            name=draw.__name__,
            difficulty=difficulty,
            expression=expression,
            phrasings=phrasings,
            draw=draw,
            asks_for_fraction=asks_for_fraction,
        )

    return make


def written(answer: Fraction, *, as_fraction: bool) -> str:
    """``12`` for a whole number, else ``5/2`` or ``2.5`` as asked.

    Raises:
        ValueError: a decimal is asked for that has more than two places: a defect of the template's ranges.
    """
    if answer.denominator == 1 or as_fraction:
        return str(answer)
    if 100 % answer.denominator:
        raise ValueError(f"{answer} has no short decimal form")
    return f"{float(answer):.2f}".rstrip("0")


def money(cents: int) -> str:
    """An amount with two decimals: 1250 is ``12.50``."""
    return f"{cents // 100}.{cents % 100:02d}"
