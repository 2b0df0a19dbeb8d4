"""Components of what an SQL judge says on request only: the official metrics, and what is read off the texts."""

from collections.abc import Callable

from envs.sql.environment import SqlEnvironment
from envs.sql.judge import SqlVerdict
from rewards.component import Component


def official_metric(
    name: str, *, is_rate: bool = True, score: Callable[[float], float] = lambda value: value
) -> Component:
    """The component of an official metric: 0 without an answer, None where its script has no verdict (the gold is
    outside its grammar).

    Args:
        name: a fact of ``envs.sql.executor.job.Fact``.
        is_rate: it is 0 or 1.
        score: what a value of it is worth, in [0, 1]; the value itself where it lies there already.
    """

    def measure(verdict: SqlVerdict) -> float | None:
        if verdict.answer is None:
            return 0.0
        return score(verdict.metrics[name]) if name in verdict.metrics else None

    return Component(verdict=SqlVerdict, measure=measure, is_rate=is_rate, lacks=needs_fact(name))


def needs_fact(name: str) -> Callable[[SqlEnvironment], str | None]:
    """For ``Component.lacks``: the environment must ask its workers for this fact."""

    def lacks(environment: SqlEnvironment) -> str | None:
        if name in environment.executor.facts:
            return None
        return f"environment.options.executor.facts to hold '{name}'"

    return lacks
