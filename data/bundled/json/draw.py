"""Seeded random values for one task.

Open vocabulary (names, places, titles, things) is divided: every third entry of a pool is reserved for held-out tasks,
so a model cannot score on them by remembering. Numbers, dates, times and enumerated values share their ranges.
"""

import random
from collections.abc import Sequence
from datetime import date, timedelta
from typing import TypeVar

from data.bundled.json import pools
from data.reader import Split

ValueT = TypeVar("ValueT")


def vocabulary(pool: Sequence[ValueT], split: Split) -> Sequence[ValueT]:
    """The entries of a pool that tasks of this split may use."""
    return [entry for position, entry in enumerate(pool) if (position % 3 == 2) == (split == "heldout")]


class Draw:
    """Draws values; the same seed and split always give the same ones."""

    def __init__(self, seed: str, split: Split) -> None:
        self.split: Split = split
        self.random = random.Random(seed)

    def one_of(self, *values: ValueT) -> ValueT:
        """Any of the given values."""
        return self.random.choice(values)

    def chance(self, share: float = 0.5) -> bool:
        """True with probability ``share``."""
        return self.random.random() < share

    def say(self, fact: bool, yes: Sequence[str], no: Sequence[str]) -> str:
        """A wording of a yes-or-no fact."""
        return self.random.choice(yes if fact else no)

    def word(self, pool: Sequence[str]) -> str:
        """One entry of a pool of open vocabulary."""
        return self.random.choice(vocabulary(pool, self.split))

    def words(self, pool: Sequence[str], least: int, most: int) -> list[str]:
        """Between ``least`` and ``most`` different entries of a pool."""
        return self.random.sample(vocabulary(pool, self.split), self.random.randint(least, most))

    def person(self) -> str:
        """A first name and a surname."""
        return f"{self.word(pools.FIRST_NAMES)} {self.word(pools.SURNAMES)}"

    def whole(self, least: int, most: int, step: int = 1) -> int:
        """A whole number between the bounds, both included."""
        return self.random.randrange(least, most + 1, step)

    def decimal(self, least: int, most: int, places: int = 1) -> float:
        """A number with exactly ``places`` decimals, the last not zero, so that it is written in one way only."""
        scale = 10**places
        scaled = self.random.randrange(least * scale, most * scale)
        if scaled % 10 == 0:
            scaled += self.random.randint(1, 9)
        return scaled / scale

    def date(self) -> date:
        """A day of 2025 or 2026."""
        return date(2025, 1, 1) + timedelta(days=self.random.randrange(730))

    def time(self, first_hour: int, last_hour: int) -> str:
        """A time as HH:MM, on a multiple of five minutes."""
        return f"{self.random.randint(first_hour, last_hour):02d}:{self.random.randrange(0, 60, 5):02d}"

    def code(self, form: str) -> str:
        """A code: in ``form`` every ``A`` becomes a capital letter and every ``0`` a digit; the rest stays."""
        letters = {"A": "BCDFGHJKLMNPQRSTVWXZ", "0": "0123456789"}
        return "".join(self.random.choice(letters.get(sign, sign)) for sign in form)
