"""Weights that move with the steps and with mastery, and the clamp."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.errors import ConfigurationError
from envs.json.environment import JsonEnvironment
from envs.json.judge import JsonVerdict
from rewards.composite import Composite
from rewards.configuration import Clamp, Pace, PartConfig, RewardConfig, SchedulePoint, UnjudgedLimit
from rewards.schedule import Moment, pace_factor, schedule_factor

JSON = JsonEnvironment()
POINTS = (SchedulePoint(step=10, factor=1.0), SchedulePoint(step=30, factor=0.5), SchedulePoint(step=40, factor=0.0))
fractions = st.floats(0, 1)
verdicts = st.builds(
    JsonVerdict, is_parsed=st.booleans(), is_valid=st.booleans(), f1=fractions, is_correct=st.booleans()
)


def weighted(**parts: PartConfig) -> Composite:
    return Composite(JSON, RewardConfig(parts=parts))


@pytest.mark.parametrize(
    ("step", "factor"), [(0, 1.0), (10, 1.0), (20, 0.75), (30, 0.5), (35, 0.25), (40, 0.0), (4000, 0.0)]
)
def test_a_schedule_is_linear_between_its_points_and_level_outside(step: int, factor: float) -> None:
    assert schedule_factor(POINTS, step) == pytest.approx(factor)


def test_without_a_schedule_the_weight_does_not_move() -> None:
    assert [schedule_factor((), step) for step in (0, 1, 10**6)] == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(("mean", "factor"), [(0.0, 0.0), (0.2, 0.0), (0.5, 0.5), (0.8, 1.0), (1.0, 1.0)])
def test_a_paced_weight_opens_with_the_mean_of_the_other_part(mean: float, factor: float) -> None:
    assert pace_factor(Pace(part="valid", opens_at=0.2, full_at=0.8), {"valid": mean}) == pytest.approx(factor)


def test_a_paced_weight_is_closed_before_the_first_answer() -> None:
    assert pace_factor(Pace(part="valid"), {}) == 0.0


def test_the_curriculum_pays_syntax_first_and_then_content() -> None:
    composite = weighted(
        parsed=PartConfig(weight=1, schedule=[SchedulePoint(step=0, factor=1), SchedulePoint(step=100, factor=0.25)]),
        content=PartConfig(weight=3, pace=Pace(part="parsed", opens_at=0.5, full_at=0.9)),
    )
    verdict = JsonVerdict(is_parsed=True, f1=0.0)
    assert composite.pacing == ("parsed",) and composite.is_moving
    assert composite.score(verdict).value == 1.0
    assert composite.score(verdict, Moment(step=0, means={"parsed": 0.7})).value == pytest.approx(1 / 2.5)
    assert composite.score(verdict, Moment(step=100, means={"parsed": 0.95})).value == pytest.approx(0.25 / 3.25)


@given(st.integers(0, 200), fractions, verdicts)
def test_weights_add_up_to_1_and_the_value_is_their_sum_of_what_is_paid(
    step: int, mean: float, verdict: JsonVerdict
) -> None:
    composite = weighted(
        valid=PartConfig(weight=2, schedule=POINTS),
        parsed=PartConfig(weight=1),
        content=PartConfig(weight=5, gate="valid", pace=Pace(part="valid", opens_at=0.1, full_at=0.6)),
    )
    moment = Moment(step=step, means={"valid": mean})
    weights, score = composite.weights(moment), composite.score(verdict, moment)
    assert math.fsum(weights.values()) == pytest.approx(1.0)
    assert score.value == pytest.approx(sum(weights[name] * paid for name, paid in score.paid.items()))
    assert score.value is not None and 0 <= score.value <= 1


def test_what_is_paid_is_gated_and_without_parts_of_weight_0() -> None:
    composite = weighted(
        valid=PartConfig(weight=1), content=PartConfig(weight=1, gate="valid"), parsed=PartConfig(weight=0)
    )
    assert composite.paying == ("valid", "content")
    assert composite.score(JsonVerdict(is_valid=False, f1=0.5, is_parsed=True)).paid == {"valid": 0.0, "content": 0.0}
    assert composite.score(JsonVerdict(is_valid=True, f1=0.5)).paid == {"valid": 1.0, "content": 0.5}
    assert composite.score(JsonVerdict(is_valid=True, f1=None)).paid == {}


def test_a_part_may_measure_a_component_of_another_name() -> None:
    score = weighted(ends=PartConfig(weight=1, component="finished")).score(JsonVerdict(is_truncated=True))
    assert score.parts == {"ends": 0.0}


@given(
    st.dictionaries(st.sampled_from(["parsed", "valid", "content"]), st.floats(0.1, 10), min_size=1), verdicts, verdicts
)
def test_with_a_clamp_no_wrong_answer_reaches_a_right_one(
    weights: dict[str, float], first: JsonVerdict, second: JsonVerdict
) -> None:
    config = RewardConfig(
        parts={name: PartConfig(weight=weight) for name, weight in weights.items()},
        clamp=Clamp(wrong_at_most=0.4, right_at_least=0.5),
    )
    composite = Composite(JSON, config)
    values = {verdict.is_correct: composite.score(verdict).value for verdict in (first, second)}
    if len(values) == 2:
        assert values[True] > values[False]
    free = Composite(JSON, RewardConfig(parts=config.parts)).score(first).value
    clamped = composite.score(first).value
    assert clamped == (max(free, 0.5) if first.is_correct else min(free, 0.4))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Clamp(wrong_at_most=0.5, right_at_least=0.5), ["wrong_at_most", "0.5"]),
        (lambda: Clamp(wrong_at_most=-0.1, right_at_least=0.5), ["-0.1"]),
        (lambda: Pace(part="valid", opens_at=0.9, full_at=0.3), ["'valid'", "0.9", "0.3"]),
        (lambda: UnjudgedLimit(share=1.5), ["1.5"]),
        (lambda: UnjudgedLimit(window=0), ["window 0"]),
        (
            lambda: RewardConfig(parts={}, normalization="parts", clamp=Clamp(wrong_at_most=0.4, right_at_least=0.5)),
            ["clamp", "'parts'"],
        ),
        (lambda: weighted(valid=PartConfig(weight=1, schedule=POINTS)), ["positive weight", "step 40"]),
        (
            lambda: weighted(valid=PartConfig(weight=1, pace=Pace(part="parsed")), parsed=PartConfig(weight=0)),
            ["no pace"],
        ),
        (lambda: weighted(valid=PartConfig(weight=1, pace=Pace(part="parsde"))), ["'parsde'", "pace"]),
        (lambda: weighted(valid=PartConfig(weight=1, pace=Pace(part="valid"))), ["'valid'", "pace"]),
        (lambda: weighted(valid=PartConfig(weight=1, schedule=POINTS[::-1])), ["'valid'", "steps", "40, 30, 10"]),
        (
            lambda: weighted(valid=PartConfig(weight=1, schedule=[SchedulePoint(step=0, factor=-1)])),
            ["'valid'", "-1"],
        ),
        (lambda: weighted(valid=PartConfig(weight=1, options={"limit": 3})), ["'valid'", "no options", "'limit'"]),
    ],
)
def test_a_reward_that_means_nothing_is_refused(make: object, words: list[str]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        make()  # type: ignore[operator]
    message = str(caught.value)
    assert "\n" not in message and all(word in message for word in words), message
