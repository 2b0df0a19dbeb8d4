"""What the intermediate queries of an SQL answer are worth: did they show what the answer needs?

With G the names (tables, ``table.column``) of the gold, a query of a step is, in this order,

    wasted      it was not run (one step too many), failed, returned no rows or nothing but NULLs, says nothing of the
                data (``SELECT 1``), repeats an earlier step, or less than half of the tables that it reads are in G
    idle        it is the answer itself: looking at its result is fair, and explores nothing
    useful      any other

    r = |G ∩ names of the useful queries| / |G| * max(0, 1 - wasted / tolerance)

The formula is ours: that of ReEx-SQL (arXiv 2505.12768), which pays for exploration, could not be read. It cannot be
padded: the first factor is at most 1 and rises only when something of G is seen for the first time; a wasted query
lowers the second; any other query changes nothing. One query over every table at once (a cross join) is wasted, like
the looks at tables of no use that it stands for.

Not covered: whether the model read the results.
"""

from dataclasses import dataclass

from envs.errors import ConfigurationError
from envs.sql.exploration import IntermediateQuery
from envs.sql.judge import SqlVerdict
from rewards.component import Component, ComponentOptions
from rewards.layout import needs_tag


@dataclass(frozen=True, kw_only=True)
class Exploration:
    """The share of the gold's names that useful queries read, lowered by wasted ones; None when the gold names none."""

    tolerance: int = 5
    """Wasted queries after which nothing is paid; each takes an equal share. ReEx-SQL allows ten queries in all."""

    def __post_init__(self) -> None:
        if self.tolerance < 1:
            raise ConfigurationError(f"exploration: tolerance is {self.tolerance}; expected at least 1 query")

    def component(self) -> Component:
        """The component with these options."""
        return Component(verdict=SqlVerdict, measure=self._measure, is_rate=False, lacks=needs_tag("step"))

    def _measure(self, verdict: SqlVerdict) -> float | None:
        gold = frozenset(verdict.gold_names)
        if not gold:
            return None
        of_use = [query for query in verdict.queries if not _is_wasted(query, gold)]
        seen = {name for query in of_use if not query.repeats_answer for name in query.names}
        wasted = max(len(verdict.queries), len(verdict.layout.steps)) - len(of_use)
        return len(gold & seen) / len(gold) * max(0.0, 1 - wasted / self.tolerance)


def _is_wasted(query: IntermediateQuery, gold: frozenset[str]) -> bool:
    # Informative says that it ran and that what came back is not empty, not NULL and not the same on any data.
    if not query.is_informative or query.is_repeat:
        return True
    tables = {name for name in query.names if "." not in name}
    return 2 * len(tables & gold) < len(tables)


COMPONENTS: dict[str, Component | type[ComponentOptions]] = {"exploration": Exploration}
