"""What came of running an SQL answer. That it is right is ``correct`` in ``rewards.general``."""

from envs.sql.judge import SqlVerdict
from rewards.component import Component, ComponentOptions
from rewards.sql_metrics import official_metric


def parsed(verdict: SqlVerdict) -> float:
    """1 when the database's parser took the answer as one permitted statement."""
    return float(verdict.is_parsed)


def executed(verdict: SqlVerdict) -> float:
    """1 when the answer ran to its end inside the limits, whatever it returned."""
    return float(verdict.is_executed)


def agrees_on_database(verdict: SqlVerdict) -> float:
    """1 when the result is the gold's on the task's own database, whatever the test suite says: what most published
    rewards pay for. Beside ``correct`` it shows how many answers are right by luck."""
    return float(verdict.agrees_on_database)


COMPONENTS: dict[str, Component | type[ComponentOptions]] = {
    "parsed": Component(verdict=SqlVerdict, measure=parsed),
    "executed": Component(verdict=SqlVerdict, measure=executed),
    "agrees_on_database": Component(verdict=SqlVerdict, measure=agrees_on_database),
    "spider_execution": official_metric("spider_execution"),
    "bird_execution": official_metric("bird_execution"),
    "soft_f1": official_metric("soft_f1", is_rate=False),
    # The official R-VES of a dataset is 100 * the mean of sqrt(reward); rewards go to 1.25.
    "r_ves": official_metric("r_ves", is_rate=False, scale=1.25),
}
