"""Components of SQL verdicts. That the result equals the gold's is ``correct`` in ``rewards.general``."""

from envs.sql.judge import SqlVerdict
from rewards.component import Component


def parsed(verdict: SqlVerdict) -> float:
    """1 when the database's parser took the answer as one permitted statement."""
    return float(verdict.is_parsed)


def executed(verdict: SqlVerdict) -> float:
    """1 when the answer ran to its end inside the limits, whatever it returned."""
    return float(verdict.is_executed)


def schema_linking(verdict: SqlVerdict) -> float | None:
    """|P ∩ G| / |P ∪ G| over the tables and columns that answer (P) and gold (G) were resolved to; None when the gold
    names none.

    The Jaccard form is that of Reasoning-SQL (Pourreza et al. 2025); that the names are those which the database itself
    resolved, aliases, ``*`` and quoted literals included, is ours.
    """
    gold = set(verdict.gold_names)
    predicted = set(verdict.names)
    return len(gold & predicted) / len(gold | predicted) if gold else None


COMPONENTS: dict[str, Component] = {
    "parsed": Component(verdict=SqlVerdict, measure=parsed),
    "executed": Component(verdict=SqlVerdict, measure=executed),
    "schema_linking": Component(verdict=SqlVerdict, measure=schema_linking, is_rate=False),
}
