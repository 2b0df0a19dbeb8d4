"""Schema linking: which tables and columns an SQL answer names, beside those of the gold."""

from envs.sql.judge import SqlVerdict
from rewards.component import Component, ComponentOptions
from rewards.sql_metrics import needs_fact


def schema_linking(verdict: SqlVerdict) -> float | None:
    """|P ∩ G| / |P ∪ G| over the tables and columns that answer (P) and gold (G) were resolved to; None when the gold
    names none.

    The Jaccard form is that of Reasoning-SQL (Pourreza et al. 2025); that the names are those which the database itself
    resolved, aliases, ``*`` and quoted literals included, is ours.
    """
    gold = set(verdict.gold_names)
    predicted = set(verdict.names)
    return len(gold & predicted) / len(gold | predicted) if gold else None


def column_overlap(verdict: SqlVerdict) -> float | None:
    """|P ∩ G| / |P ∪ G| over the ``table.column`` that the texts name, run or not. ``schema_linking`` asks the database
    instead, which knows of a query that fails only what it saw before. None where the gold cannot be parsed."""
    if verdict.answer is None:
        return 0.0
    return None if verdict.parsed is None else verdict.parsed.column_jaccard


COMPONENTS: dict[str, Component | type[ComponentOptions]] = {
    "schema_linking": Component(verdict=SqlVerdict, measure=schema_linking, is_rate=False),
    "column_overlap": Component(verdict=SqlVerdict, measure=column_overlap, is_rate=False, lacks=needs_fact("parsed")),
}
