r"""A gold with answers that are equal to it or different by construction; what the templates of pairs are made of."""

from dataclasses import dataclass
from random import Random


@dataclass(frozen=True)
class Variants:
    """A gold and answers to it."""

    gold: str
    right: list[str]
    wrong: list[str]
    form: list[str]


def term(coefficient: int, symbol: str = "", *, is_first: bool = False) -> str:
    """A term of a sum with its sign: ``+3x``, ``-x``; empty when the coefficient is 0."""
    if coefficient == 0:
        return ""
    sign = "-" if coefficient < 0 else "" if is_first else "+"
    size = "" if symbol and abs(coefficient) == 1 else str(abs(coefficient))
    return f"{sign}{size}{symbol}"


def distinct(chance: Random, count: int, low: int = 2, high: int = 19) -> list[int]:
    """Different integers, in the order in which they were drawn."""
    return chance.sample(range(low, high + 1), count)
