"""What the intermediate queries of an SQL answer are worth: did they show what the answer needs?

With G the names (tables, ``table.column``) of the gold, a query of a step is, in this order,

    wasted      it was not run (one step too many), failed, returned no rows or nothing but NULLs, says nothing of the
                data (``SELECT 1``), repeats an earlier step, or reads no table of G
    idle        it is the answer itself, or has it inside of it, in the same words or in others of the same canonical
                form, with or without LIMIT, ORDER BY and DISTINCT: looking at its result is fair, and explores nothing;
                or it reads tables of G and others at once
    useful      any other: it reads tables of G only

    r = |G ∩ names written in the useful queries| / |G| * max(0, 1 - wasted / tolerance)

Written are the tables, and the columns that stand in the query: ``SELECT * FROM t`` writes t alone.

The formula is ours: that of ReEx-SQL (arXiv 2505.12768), which pays for exploration, could not be read. The first
factor is at most 1 and rises only when something of G is seen for the first time; a wasted query lowers the second; an
idle one changes nothing. So neither more of the same, nor queries that show nothing, nor one query over the whole
database earn.

Not covered: how a query reads a column (``WHERE a || b IS NOT NULL`` counts as reading both); a draft of the answer
that differs from it, which is a look at what the answer needs; whether the model read the results.
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
        not_wasted = [query for query in verdict.queries if not _is_wasted(query, gold)]
        useful = [query for query in not_wasted if not query.repeats_answer and _tables(query) <= gold]
        seen = {name for query in useful for name in query.written_names}
        wasted = max(len(verdict.queries), len(verdict.layout.steps)) - len(not_wasted)
        return len(gold & seen) / len(gold) * max(0.0, 1 - wasted / self.tolerance)


def _is_wasted(query: IntermediateQuery, gold: frozenset[str]) -> bool:
    if not query.is_executed or query.is_empty or not query.is_informative or query.is_repeat:
        return True
    return not _tables(query) & gold


def _tables(query: IntermediateQuery) -> set[str]:
    return {name for name in query.names if "." not in name}


COMPONENTS: dict[str, Component | type[ComponentOptions]] = {"exploration": Exploration}
