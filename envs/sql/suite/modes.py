"""The ways in which the rows of a small database are drawn; each tells other mistakes from the gold."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Literal

Spread = Literal["even", "skewed", "ranked", "demanded"]
"""How often the values of a column, or the rows that a foreign key refers to, recur: all alike; a few most of the time;
one once, one twice, one three times and so on; as often as the gold's conditions on COUNT say, once more, once less."""


@dataclass(frozen=True, kw_only=True)
class Mode:
    """One way to draw. The shares are probabilities."""

    parents: tuple[int, int]
    """Fewest and most rows of a table that refers to no other."""
    children: tuple[int, int]
    """The same for a table with foreign keys."""
    distinct: float
    """Share of the columns whose values all differ."""
    narrow: float
    """Share of the columns that hold one to three values."""
    meeting: float
    """Share of the values, in columns that the gold has conditions on, that meet one."""
    spreads: tuple[Spread, ...]
    """What the spread of a column is chosen from."""
    copies: float = 0.0
    """Share of the rows that repeat another one in all but their keys and what rows are ordered by."""
    null: float = 0.25
    """Share of NULL, where NULL may stand."""
    empty: float = 0.0
    """Share of the tables with foreign keys that have no rows; what others refer to is never empty in its domain."""


MODES = (
    Mode(parents=(3, 6), children=(4, 10), distinct=0.4, narrow=0.3, meeting=0.6, spreads=("even", "skewed", "ranked")),
    Mode(parents=(4, 8), children=(6, 14), distinct=1.0, narrow=0.0, meeting=0.5, spreads=("ranked",)),
    Mode(
        parents=(4, 8),
        children=(8, 18),
        distinct=0.2,
        narrow=0.6,
        meeting=0.5,
        spreads=("even", "demanded"),
        copies=0.4,
    ),
    Mode(parents=(3, 6), children=(5, 12), distinct=0.5, narrow=0.3, meeting=0.95, spreads=("even", "ranked")),
    Mode(
        parents=(5, 9), children=(2, 6), distinct=0.4, narrow=0.3, meeting=0.6, spreads=("skewed", "even"), copies=0.3
    ),
    Mode(parents=(6, 12), children=(12, 24), distinct=0.3, narrow=0.4, meeting=0.8, spreads=("demanded", "ranked")),
    Mode(
        parents=(2, 5), children=(1, 5), distinct=0.5, narrow=0.4, meeting=0.4, spreads=("even",), empty=0.4, null=0.5
    ),
)
ASIDE = Mode(parents=(1, 3), children=(1, 4), distinct=0.5, narrow=0.3, meeting=0.0, spreads=("even",))
"""For tables that the gold does not name: rows enough for foreign keys and for a prediction that asks the wrong one."""
FEW = Mode(
    parents=(1, 3), children=(1, 4), distinct=0.6, narrow=0.3, meeting=0.7, spreads=("even", "ranked"), copies=0.2
)
"""For predictions with conditions of their own: among few rows, those that fail one matter to the result."""


def spread_out(options: Sequence[Any], count: int, spread: Spread, sizes: Sequence[int], random: Random) -> list[Any]:
    """``count`` picks among ``options``.

    Args:
        sizes: for ``demanded``, how often single options are to recur; empty: as ``ranked``.
    """
    if not options:
        return []
    if spread == "even":
        return random.choices(options, k=count)
    shuffled = random.sample(options, len(options))
    if spread == "skewed":
        return random.choices(shuffled, weights=[0.5**place for place in range(len(shuffled))], k=count)
    picks: list[Any] = []
    for place, option in enumerate(shuffled):
        times = sizes[place % len(sizes)] if spread == "demanded" and sizes else place + 1
        picks += [option] * times
    picks = picks[:count] if len(picks) >= count else picks + random.choices(shuffled, k=count - len(picks))
    random.shuffle(picks)
    return picks
