"""What training logs of its rewards: a rate for each reason why an answer was not judged."""

from collections import defaultdict
from statistics import mean

from decoding.rollout import Rollout
from envs.json.environment import JsonEnvironment
from envs.task import Task
from envs.transcript import Transcript
from envs.verdict import Verdict
from rewards.composite import Composite
from rewards.configuration import PartConfig, RewardConfig
from train.trainer import ScoredRollout, _reward_functions

COMPOSITE = Composite(JsonEnvironment(), RewardConfig(parts={"correct": PartConfig(weight=1.0)}))


def scored(verdict: Verdict) -> ScoredRollout:
    rollout = Rollout(
        prompt_ids=[1],
        completion_ids=[2],
        logprobs=[0.0],
        env_mask=[1],
        log_z=None,
        finish="stop",
        transcript=Transcript.of("x"),
        verdict=verdict,
    )
    return ScoredRollout(task=Task(id="1"), rollout=rollout, score=COMPOSITE.score(verdict))


def test_each_reason_for_a_missing_verdict_is_a_rate_of_its_own() -> None:
    logged: dict[str, list[float]] = defaultdict(list)
    (reward,) = _reward_functions(COMPOSITE, "sum")

    def log(name: str, value: float) -> None:
        logged[name].append(value)

    right = Verdict(answer="x", is_correct=True)
    first = [right, Verdict(unjudged="database: 'a' is locked"), Verdict(unjudged="database: 'b' is gone"), right]
    values = reward(scored=[scored(verdict) for verdict in first], log_metric=log)
    assert values == [1.0, None, None, 1.0]
    assert (mean(logged["unjudged"]), mean(logged["unjudged/database"])) == (0.5, 0.5)
    logged.clear()
    reward(scored=[scored(verdict) for verdict in (right, Verdict(unjudged="deadline"))], log_metric=log)
    assert (mean(logged["unjudged/database"]), mean(logged["unjudged/deadline"])) == (0.0, 0.5)
