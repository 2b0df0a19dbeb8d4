"""Tasks that a reward cannot be paid for are left out, and counted, before training."""

import pytest

from data.reader import Reading
from envs.errors import ConfigurationError
from envs.json.environment import JsonEnvironment
from envs.json.task import JsonTask
from rewards.composite import Composite
from rewards.configuration import PartConfig, RewardConfig
from train.tasks import rewardable

ENVIRONMENT = JsonEnvironment()
SCHEMA = '{"type": "object", "required": ["n"]}'
WITH_GOLD = JsonTask(id="gold", schema=SCHEMA, text="n is 1", gold='{"n": 1}')
WITHOUT = JsonTask(id="none", schema=SCHEMA)


def composite(**parts: PartConfig) -> Composite:
    return Composite(ENVIRONMENT, RewardConfig(parts=parts))


def test_a_task_whose_good_answers_would_have_no_reward_is_left_out_and_counted() -> None:
    # An invalid answer to it would be paid 0, since the gate is closed; a valid one would not be paid at all.
    paid = composite(valid=PartConfig(weight=1), content=PartConfig(weight=1, gate="valid"))
    left = rewardable(Reading(tasks=[WITH_GOLD, WITHOUT]), ENVIRONMENT, paid)
    assert left.tasks == [WITH_GOLD]
    assert left.skipped == {"reward part 'content' cannot be measured": 1}


def test_a_part_that_only_logs_leaves_no_task_out() -> None:
    paid = composite(valid=PartConfig(weight=1), content=PartConfig(weight=0))
    assert rewardable(Reading(tasks=[WITH_GOLD, WITHOUT]), ENVIRONMENT, paid).tasks == [WITH_GOLD, WITHOUT]


def test_a_gate_must_be_measurable_too() -> None:
    paid = composite(valid=PartConfig(weight=1, gate="content"), content=PartConfig(weight=0))
    with pytest.raises(ConfigurationError, match="'content'"):
        rewardable(Reading(tasks=[WITHOUT]), ENVIRONMENT, paid)


def test_a_reward_that_fits_no_task_is_refused_with_the_part() -> None:
    with pytest.raises(ConfigurationError, match="1 x reward part 'content' cannot be measured; leave"):
        rewardable(Reading(tasks=[WITHOUT]), ENVIRONMENT, composite(content=PartConfig(weight=1)))
