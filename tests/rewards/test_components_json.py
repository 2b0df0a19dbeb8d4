"""Components of JSON verdicts, on verdicts made by hand."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.errors import ConfigurationError
from envs.json.verdict import JsonVerdict
from rewards.component import Component
from rewards.json import COMPONENTS
from rewards.json_validity import DenseValidity

RIGHT = JsonVerdict(
    answer="{}",
    is_correct=True,
    is_parsed=True,
    is_valid=True,
    progress=1.0,
    structure=1.0,
    coverage=1.0,
    f1=1.0,
    is_equal=True,
)
BESIDE_TEXT = JsonVerdict(
    answer="{}", is_parsed=True, has_extra_text=True, is_valid=True, progress=1.0, structure=1.0, coverage=1.0, f1=1.0
)
KEY_MISSING = JsonVerdict(
    answer="{}", is_parsed=True, progress=0.9, structure=0.5, coverage=0.5, f1=0.6, missing_count=1
)
KEY_INVENTED = JsonVerdict(
    answer="{}", is_parsed=True, progress=0.4, structure=0.75, coverage=1.0, f1=0.8, invented_count=2
)
CUT_OFF = JsonVerdict(answer="{", progress=0.5, f1=0.0)
NOTHING = JsonVerdict(f1=0.0)


def measure(name: str, verdict: JsonVerdict) -> float | None:
    entry = COMPONENTS[name]
    return (entry if isinstance(entry, Component) else entry().component()).measure(verdict)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        #                     right, beside text, key missing, key invented, cut off, nothing
        ("parsed", [1, 1, 1, 1, 0, 0]),
        ("bare", [1, 0, 1, 1, 0, 0]),
        ("valid", [1, 1, 0, 0, 0, 0]),
        ("usable", [1, 0, 0, 0, 0, 0]),
        ("progress", [1, 1, 0.9, 0.4, 0.5, 0]),
        ("dense_validity", [1, 0.3, 0.27, 0.12, 0.15, 0]),
        ("structure", [1, 1, 0.5, 0.75, 0, 0]),
        ("coverage", [1, 1, 0.5, 1, 0, 0]),
        ("structural_accuracy", [1, 1, 0, 0, 0, 0]),
        ("complete_keys", [1, 1, 0, 1, 0, 0]),
        ("known_keys", [1, 1, 1, 0, 0, 0]),
        ("content", [1, 1, 0.6, 0.8, 0, 0]),
    ],
)
def test_what_each_component_is_worth(name: str, values: list[float]) -> None:
    verdicts = [RIGHT, BESIDE_TEXT, KEY_MISSING, KEY_INVENTED, CUT_OFF, NOTHING]
    assert [measure(name, verdict) for verdict in verdicts] == pytest.approx(values)


def test_the_table_above_has_every_component() -> None:
    (mark,) = test_what_each_component_is_worth.pytestmark  # type: ignore[attr-defined]
    assert {name for name, _ in mark.args[1]} == COMPONENTS.keys()


verdicts = st.builds(
    JsonVerdict,
    is_parsed=st.booleans(),
    has_extra_text=st.booleans(),
    is_valid=st.booleans(),
    progress=st.floats(0, 1),
    structure=st.floats(0, 1),
    f1=st.none() | st.floats(0, 1),
    missing_count=st.integers(0, 3),
    invented_count=st.integers(0, 3),
)


@given(verdicts)
def test_every_value_lies_between_0_and_1_and_rates_are_0_or_1(verdict: JsonVerdict) -> None:
    for name, entry in COMPONENTS.items():
        component = entry if isinstance(entry, Component) else entry().component()
        value = component.measure(verdict)
        assert value is None or 0 <= value <= 1, name
        assert not component.is_rate or value in (0.0, 1.0), name


@given(st.lists(st.floats(0, 1), min_size=2).map(sorted), st.floats(0, 0.99))
def test_getting_further_pays_and_being_valid_pays_most(shares: list[float], partial: float) -> None:
    dense = DenseValidity(partial=partial).component()
    values = [dense.measure(JsonVerdict(answer="{", progress=share)) for share in shares]
    assert all(lower <= higher for lower, higher in pairwise(value for value in values if value is not None))
    assert all(value is not None and value < dense.measure(RIGHT) for value in values)  # type: ignore[operator]


def test_content_without_a_gold_is_not_known() -> None:
    assert measure("content", JsonVerdict(answer="{}", is_parsed=True, is_valid=True, progress=1.0)) is None


@pytest.mark.parametrize("partial", [-0.1, 1.0])
def test_an_invalid_answer_cannot_be_worth_a_valid_one(partial: float) -> None:
    with pytest.raises(ConfigurationError, match="dense_validity: partial"):
        DenseValidity(partial=partial)
