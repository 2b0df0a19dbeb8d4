"""Components of SQL verdicts. That the result equals the gold's is ``correct`` in ``rewards.general``."""

from collections.abc import Callable

from envs.sql.environment import SqlEnvironment
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


def agrees_on_database(verdict: SqlVerdict) -> float:
    """1 when the result is the gold's on the task's own database, whatever the test suite says: what most published
    rewards pay for. Beside ``correct`` it shows how many answers are right by luck."""
    return float(verdict.agrees_on_database)


def exact(verdict: SqlVerdict) -> float | None:
    """1 when answer and gold have the same canonical syntax tree (``envs.sql.parsing.canonical``); None where the gold
    has none."""
    if verdict.answer is None:
        return 0.0
    return None if verdict.parsed is None or verdict.parsed.is_exact is None else float(verdict.parsed.is_exact)


def column_overlap(verdict: SqlVerdict) -> float | None:
    """|P ∩ G| / |P ∪ G| over the ``table.column`` that the texts name, run or not. ``schema_linking`` asks the database
    instead, which knows of a query that fails only what it saw before. None where the gold cannot be parsed."""
    if verdict.answer is None:
        return 0.0
    return None if verdict.parsed is None else verdict.parsed.column_jaccard


def clause_overlap(verdict: SqlVerdict) -> float | None:
    """The mean of the clauses' F1 (``envs.sql.parsing.clauses``), over the clauses that answer or gold have. The mean
    is ours; None where the gold cannot be parsed."""
    if verdict.answer is None:
        return 0.0
    if verdict.parsed is None:
        return None
    scores = [score for score in verdict.parsed.clause_scores.values() if score is not None]
    return sum(scores) / len(scores) if scores else None


def _official(name: str, scale: float = 1.0) -> Component:
    """The component of an official metric; None where its script has no verdict (the gold is outside its grammar)."""

    def measure(verdict: SqlVerdict) -> float | None:
        if verdict.answer is None:
            return 0.0
        return verdict.metrics[name] / scale if name in verdict.metrics else None

    return Component(
        verdict=SqlVerdict, measure=measure, is_rate=name not in ("soft_f1", "r_ves"), lacks=_needs_fact(name)
    )


def _needs_fact(name: str) -> Callable[[SqlEnvironment], str | None]:
    def lacks(environment: SqlEnvironment) -> str | None:
        if name in environment.executor.facts:
            return None
        return f"environment.options.executor.facts to hold '{name}'"

    return lacks


COMPONENTS: dict[str, Component] = {
    "parsed": Component(verdict=SqlVerdict, measure=parsed),
    "executed": Component(verdict=SqlVerdict, measure=executed),
    "schema_linking": Component(verdict=SqlVerdict, measure=schema_linking, is_rate=False),
    "agrees_on_database": Component(verdict=SqlVerdict, measure=agrees_on_database),
    "exact": Component(verdict=SqlVerdict, measure=exact, lacks=_needs_fact("parsed")),
    "column_overlap": Component(verdict=SqlVerdict, measure=column_overlap, is_rate=False, lacks=_needs_fact("parsed")),
    "clause_overlap": Component(verdict=SqlVerdict, measure=clause_overlap, is_rate=False, lacks=_needs_fact("parsed")),
    "spider_execution": _official("spider_execution"),
    "spider_exact_match": _official("spider_exact_match"),
    "bird_execution": _official("bird_execution"),
    "soft_f1": _official("soft_f1"),
    # The official R-VES of a dataset is 100 * the mean of sqrt(reward); rewards go to 1.25.
    "r_ves": _official("r_ves", scale=1.25),
}
