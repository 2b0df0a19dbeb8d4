"""What SQL verdicts are worth."""

import pytest

from envs.sql.judge import SqlVerdict
from rewards.sql import COMPONENTS


def measure(name: str, verdict: SqlVerdict) -> float | None:
    return COMPONENTS[name].measure(verdict)


@pytest.mark.parametrize(
    ("verdict", "parsed", "executed"),
    [
        (SqlVerdict(error="no answer"), 0.0, 0.0),
        (SqlVerdict(answer="x", error="syntax"), 0.0, 0.0),
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


def test_only_the_overlap_is_no_rate() -> None:
    assert {name for name, component in COMPONENTS.items() if not component.is_rate} == {"schema_linking"}
    assert {component.verdict for component in COMPONENTS.values()} == {SqlVerdict}
