"""The composite's formula, its gates, and that what could not be judged is never a number."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.errors import ConfigurationError
from envs.json.environment import JsonEnvironment
from envs.json.judge import JsonVerdict
from envs.math.environment import MathEnvironment
from envs.verdict import Verdict
from rewards.component import Component
from rewards.composite import Composite
from rewards.configuration import PartConfig, RewardConfig
from rewards.registry import COMPONENTS

JSON = JsonEnvironment()
REQUIRED_OPTIONS = {"length": {"limit": 100}}
NAMES = ("parsed", "bare", "valid", "content", "finished")

verdicts = st.builds(
    JsonVerdict,
    is_parsed=st.booleans(),
    has_extra_text=st.booleans(),
    is_valid=st.booleans(),
    is_truncated=st.booleans(),
    f1=st.none() | st.sampled_from([0.0, 1.0]) | st.floats(0, 1),
)


@st.composite
def configurations(draw: st.DrawFn) -> dict[str, PartConfig]:
    """Parts with weights and gates, at least one of them paid."""
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, unique=True))
    weights = draw(st.lists(st.just(0.0) | st.floats(1e-3, 1e3), min_size=len(names), max_size=len(names)).filter(any))
    gates = [draw(st.none() | st.sampled_from([other for other in names if other != name] or [None])) for name in names]
    return {
        name: PartConfig(weight=weight, gate=gate) for name, weight, gate in zip(names, weights, gates, strict=True)
    }


def measured(name: str, verdict: JsonVerdict) -> float | None:
    """A part's own value, as the documentation states it."""
    return {
        "parsed": float(verdict.is_parsed),
        "bare": float(verdict.is_parsed and not verdict.has_extra_text),
        "valid": float(verdict.is_valid),
        "content": verdict.f1,
        "finished": float(not verdict.is_truncated),
    }[name]


def formula(parts: dict[str, PartConfig], verdict: JsonVerdict) -> float | None:
    """sum_i w_i g_i r_i / sum_i w_i, and None where a number that counts is missing."""
    paid = {name: part for name, part in parts.items() if part.weight > 0}
    gates = {name: 1.0 if part.gate is None else measured(part.gate, verdict) for name, part in paid.items()}
    if any(gate is None for gate in gates.values()):
        return None
    opened = {name: part for name, part in paid.items() if gates[name] == 1}
    values = {name: measured(name, verdict) for name in opened}
    if any(value is None for value in values.values()):
        return None
    return sum(opened[name].weight * value for name, value in values.items()) / sum(p.weight for p in paid.values())


@given(configurations(), verdicts)
def test_the_value_is_the_weighted_mean_of_the_open_parts(parts: dict[str, PartConfig], verdict: JsonVerdict) -> None:
    score = Composite(JSON, RewardConfig(parts=parts)).score(verdict)
    expected = formula(parts, verdict)
    assert score.parts == {name: measured(name, verdict) for name in parts}
    if expected is None:
        assert score.value is None
    else:
        assert score.value == pytest.approx(expected, rel=1e-12)


@given(configurations(), verdicts)
def test_the_value_lies_between_0_and_1(parts: dict[str, PartConfig], verdict: JsonVerdict) -> None:
    value = Composite(JSON, RewardConfig(parts=parts)).score(verdict).value
    assert value is None or 0.0 <= value <= 1.0


@given(configurations(), verdicts)
def test_the_value_is_1_exactly_when_all_that_pays_and_its_gates_are(
    parts: dict[str, PartConfig], verdict: JsonVerdict
) -> None:
    paid = {name for name, part in parts.items() if part.weight > 0}
    needed = paid | {part.gate for name, part in parts.items() if name in paid and part.gate is not None}
    values = [measured(name, verdict) for name in needed]
    if any(value is not None and 1 - 1e-9 < value < 1 for value in values):
        return  # a difference that no sum of floats can hold
    assert (Composite(JSON, RewardConfig(parts=parts)).score(verdict).value == 1.0) == all(
        value == 1 for value in values
    )


def test_awkward_weights_add_up_to_exactly_1() -> None:
    # Weights that are divided by their total before they are added do not.
    parts = {name: PartConfig(weight=weight) for name, weight in zip(NAMES, (0.1, 0.2, 0.7, 0.1, 0.3), strict=True)}
    best = JsonVerdict(is_parsed=True, is_valid=True, f1=1.0)
    assert Composite(JSON, RewardConfig(parts=parts)).score(best).value == 1.0


def test_an_unjudged_verdict_has_no_value_and_no_parts() -> None:
    score = Composite(JSON, RewardConfig(parts={"valid": PartConfig(weight=1)})).score(
        JsonVerdict(unjudged="deadline", is_valid=True)
    )
    assert score.value is None and score.parts == {"valid": None}


def test_a_paying_part_that_cannot_be_measured_leaves_no_value() -> None:
    parts = {"valid": PartConfig(weight=1), "content": PartConfig(weight=1)}
    score = Composite(JSON, RewardConfig(parts=parts)).score(JsonVerdict(is_valid=True, f1=None))
    assert score.value is None and score.parts == {"valid": 1.0, "content": None}


def test_a_part_of_weight_0_is_logged_and_neither_pays_nor_spoils() -> None:
    parts = {"valid": PartConfig(weight=2), "content": PartConfig(weight=0)}
    composite = Composite(JSON, RewardConfig(parts=parts))
    assert composite.names == ("valid", "content")
    assert composite.score(JsonVerdict(is_valid=True, f1=None)).value == 1.0
    assert composite.score(JsonVerdict(is_valid=True, f1=0.3)).parts == {"valid": 1.0, "content": 0.3}


def test_a_gate_pays_only_at_1_and_its_part_still_counts_in_the_total() -> None:
    parts = {"valid": PartConfig(weight=1, gate="content"), "content": PartConfig(weight=0)}
    composite = Composite(JSON, RewardConfig(parts=parts))
    assert composite.score(JsonVerdict(is_valid=True, f1=1.0)).value == 1.0
    assert composite.score(JsonVerdict(is_valid=True, f1=0.999)).value == 0.0
    shared = Composite(
        JSON, RewardConfig(parts={"valid": PartConfig(weight=1), "content": PartConfig(weight=3, gate="valid")})
    )
    assert shared.score(JsonVerdict(is_valid=False, f1=1.0)).value == 0.0
    assert shared.score(JsonVerdict(is_valid=True, f1=0.0)).value == 0.25


def test_a_gate_that_could_not_be_judged_is_not_a_closed_one() -> None:
    parts = {"valid": PartConfig(weight=1, gate="content"), "content": PartConfig(weight=0)}
    assert Composite(JSON, RewardConfig(parts=parts)).score(JsonVerdict(is_valid=True, f1=None)).value is None


def test_a_closed_gate_makes_an_unmeasured_part_harmless() -> None:
    parts = {"valid": PartConfig(weight=1), "content": PartConfig(weight=1, gate="valid")}
    assert Composite(JSON, RewardConfig(parts=parts)).score(JsonVerdict(is_valid=False, f1=None)).value == 0.0


@pytest.mark.parametrize(
    ("parts", "names"),
    [
        ({"vaild": PartConfig(weight=1)}, ["'vaild'", "did you mean 'valid'?", "environment 'json'", "content"]),
        ({"boxed": PartConfig(weight=1)}, ["'boxed'", "environment 'json'"]),
        ({"valid": PartConfig(weight=1, gate="valid")}, ["'valid'", "gate"]),
        ({"valid": PartConfig(weight=1, gate="parsde"), "parsed": PartConfig(weight=0)}, ["'parsde'", "'parsed'?"]),
        ({"vaild": PartConfig(weight=0), "content": PartConfig(weight=1, gate="valid")}, ["'vaild'", "'valid'?"]),
        ({"valid": PartConfig(weight=-0.1)}, ["'valid'", "-0.1"]),
        ({"valid": PartConfig(weight=math.nan)}, ["'valid'", "nan"]),
        ({"valid": PartConfig(weight=math.inf)}, ["'valid'", "inf"]),
        ({"valid": PartConfig(weight=0)}, ["positive weight"]),
        ({}, ["positive weight"]),
    ],
)
def test_a_composite_that_means_nothing_is_refused(parts: dict[str, PartConfig], names: list[str]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Composite(JSON, RewardConfig(parts=parts))
    message = str(caught.value)
    assert "\n" not in message and all(name in message for name in names), message


@pytest.mark.parametrize("environment", sorted(COMPONENTS))
def test_every_component_can_measure_its_environments_emptiest_verdict(environment: str) -> None:
    for name, entry in COMPONENTS[environment].items():
        component = entry if isinstance(entry, Component) else entry(**REQUIRED_OPTIONS.get(name, {})).component()
        value = component.measure(component.verdict())
        assert value is None or 0.0 <= value <= 1.0, name


def test_the_general_components_belong_to_every_environment() -> None:
    composite = Composite(
        MathEnvironment(), RewardConfig(parts={"correct": PartConfig(weight=1), "finished": PartConfig(weight=0)})
    )
    assert composite.score(Verdict(is_correct=True, is_truncated=True)).value == 1.0
