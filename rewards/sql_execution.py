"""What came of running an SQL answer. That it is right is ``correct`` in ``rewards.general``."""

import math

from envs.sql.judge import SqlVerdict
from envs.sql.metrics.bird_execution import BEST_REWARD
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


def r_ves_score(reward: float) -> float:
    """What one pair adds to BIRD's R-VES, by the most that it can add: sqrt(reward / 1.25). The official R-VES of a
    dataset, the mean of 100 * sqrt(reward), is 111.8 (100 * sqrt(1.25)) times the mean of this component."""
    return math.sqrt(reward / BEST_REWARD)


COMPONENTS: dict[str, Component | type[ComponentOptions]] = {
    "parsed": Component(verdict=SqlVerdict, measure=parsed),
    "executed": Component(verdict=SqlVerdict, measure=executed),
    "agrees_on_database": Component(verdict=SqlVerdict, measure=agrees_on_database),
    "spider_execution": official_metric("spider_execution"),
    "spider_test_suite": official_metric("spider_test_suite"),
    "bird_execution": official_metric("bird_execution"),
    "soft_f1": official_metric("soft_f1", is_rate=False),
    "r_ves": official_metric("r_ves", is_rate=False, score=r_ves_score),
}
