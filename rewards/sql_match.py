"""Exact match: is an SQL answer the gold, apart from how it is written?"""

from envs.sql.judge import SqlVerdict
from rewards.component import Component, ComponentOptions
from rewards.sql_metrics import needs_fact, official_metric


def exact(verdict: SqlVerdict) -> float | None:
    """1 when answer and gold have the same canonical syntax tree (``envs.sql.parsing.canonical``); None where the gold
    has none."""
    if verdict.answer is None:
        return 0.0
    return None if verdict.parsed is None or verdict.parsed.is_exact is None else float(verdict.parsed.is_exact)


COMPONENTS: dict[str, Component | type[ComponentOptions]] = {
    "exact": Component(verdict=SqlVerdict, measure=exact, lacks=needs_fact("parsed")),
    "spider_exact_match": official_metric("spider_exact_match"),
}
