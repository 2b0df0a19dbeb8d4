"""What SQL verdicts are worth."""

import math

import pytest

from envs.errors import ConfigurationError
from envs.sql.environment import SqlEnvironment
from envs.sql.executor.settings import ExecutorSettings
from envs.sql.judge import SqlVerdict
from envs.sql.metrics.bird_execution import r_ves
from envs.sql.parsing.facts import ParsedFacts
from rewards.component import Component
from rewards.composite import Composite
from rewards.configuration import PartConfig, RewardConfig
from rewards.sql import COMPONENTS


def made(name: str) -> Component:
    """The component, with its options' defaults if it has any."""
    entry = COMPONENTS[name]
    return entry if isinstance(entry, Component) else entry().component()


def measure(name: str, verdict: SqlVerdict) -> float | None:
    return made(name).measure(verdict)


@pytest.mark.parametrize(
    ("verdict", "parsed", "executed"),
    [
        (SqlVerdict(error="empty"), 0.0, 0.0),
        (SqlVerdict(answer="x", error="not SQL"), 0.0, 0.0),
        (SqlVerdict(answer="x", error="unknown table", is_parsed=True), 1.0, 0.0),
        (SqlVerdict(answer="x", error="wrong result", is_parsed=True, is_executed=True), 1.0, 1.0),
    ],
)
def test_parsing_and_running_are_paid_apart(verdict: SqlVerdict, parsed: float, executed: float) -> None:
    assert measure("parsed", verdict) == parsed
    assert measure("executed", verdict) == executed


@pytest.mark.parametrize(
    ("names", "gold_names", "expected"),
    [
        (("t", "t.a"), ("t", "t.a"), 1.0),
        (("t", "t.a", "t.b"), ("t", "t.a"), 2 / 3),
        (("u",), ("t",), 0.0),
        ((), ("t",), 0.0),
        (("t",), (), None),
    ],
)
def test_schema_linking_is_the_jaccard_overlap(
    names: tuple[str, ...], gold_names: tuple[str, ...], expected: float | None
) -> None:
    assert measure("schema_linking", SqlVerdict(names=names, gold_names=gold_names)) == expected


def test_naming_every_column_does_not_pay() -> None:
    gold = ("t", "t.a")
    everything = SqlVerdict(names=("t", *(f"t.{letter}" for letter in "abcdefghij")), gold_names=gold)
    assert measure("schema_linking", everything) < measure("schema_linking", SqlVerdict(names=("t",), gold_names=gold))


def test_what_is_no_rate_says_so() -> None:
    rates = {"parsed", "executed", "agrees_on_database", "spider_execution", "bird_execution"}
    rates |= {"exact", "spider_exact_match", "spider_test_suite"}
    assert {name for name in COMPONENTS if made(name).is_rate} == rates
    assert {made(name).verdict for name in COMPONENTS} == {SqlVerdict}


FACTS = ParsedFacts(
    is_exact=False,
    table_jaccard=1.0,
    column_jaccard=0.25,
    clause_scores={"select": 1.0, "where": 0.5, "limit": None},
    error=None,
)


def test_what_the_texts_share_is_paid_by_the_part_that_they_share() -> None:
    verdict = SqlVerdict(answer="x", parsed=FACTS)
    assert (measure("exact", verdict), measure("column_overlap", verdict), measure("clause_overlap", verdict)) == (
        0.0,
        0.25,
        0.75,
    )


@pytest.mark.parametrize("name", ["exact", "column_overlap", "clause_overlap", "soft_f1", "spider_exact_match"])
def test_an_answer_that_is_not_there_is_worth_nothing_and_one_that_cannot_be_measured_is_none(name: str) -> None:
    assert measure(name, SqlVerdict(error="empty")) == 0.0
    assert measure(name, SqlVerdict(answer="x")) is None


def test_official_metrics_are_in_the_unit_interval() -> None:
    verdict = SqlVerdict(answer="x", metrics={"soft_f1": 0.5, "r_ves": 1.25})
    assert (measure("soft_f1", verdict), measure("r_ves", verdict)) == (0.5, 1.0)


def test_the_mean_of_r_ves_is_the_official_score_by_its_greatest() -> None:
    rewards = [1.25, 1.0, 0.75, 0.5, 0.25, 0.0]
    measured = [measure("r_ves", SqlVerdict(answer="x", metrics={"r_ves": reward})) for reward in rewards]
    mean = sum(value or 0.0 for value in measured) / len(measured)
    assert mean * 100 * math.sqrt(1.25) == pytest.approx(r_ves(rewards))


def test_a_component_whose_facts_nobody_asked_for_is_refused() -> None:
    config = RewardConfig(parts={"soft_f1": PartConfig(weight=1.0)})
    with pytest.raises(ConfigurationError, match="facts to hold 'soft_f1'"):
        Composite(SqlEnvironment(), config)
    Composite(SqlEnvironment(executor=ExecutorSettings(facts=("soft_f1",))), config)


def test_right_by_luck_is_seen_beside_right() -> None:
    lucky = SqlVerdict(answer="x", is_executed=True, agrees_on_database=True, error="wrong result")
    assert (measure("agrees_on_database", lucky), lucky.is_correct) == (1.0, False)
