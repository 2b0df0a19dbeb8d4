"""What training logs of its rewards: each part, and why answers have no reward."""

from collections import defaultdict
from statistics import mean

from decoding.rollout import Ledger, Rollout
from envs.json.environment import JsonEnvironment
from envs.json.verdict import JsonVerdict
from envs.task import Task
from envs.transcript import Transcript
from envs.verdict import Verdict
from rewards.composite import Composite
from rewards.configuration import PartConfig, RewardConfig
from train.reward_functions import reward_functions
from train.rollout_curves import log_scores, truncation_curves, unjudged_reason
from train.rollouts import Batch, Refill, ScoredRollout

PARTS = {"valid": PartConfig(weight=1.0), "content": PartConfig(weight=3.0, gate="valid")}
COMPOSITE = Composite(JsonEnvironment(), RewardConfig(parts=PARTS))
RIGHT = JsonVerdict(answer="x", is_valid=True, f1=1.0)
HALF = JsonVerdict(answer="x", is_valid=True, f1=0.5)


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


def batch(answers: list[ScoredRollout], *, stays: bool = True) -> Batch:
    group = tuple(answers)
    refill = Refill(flat=0, flat_after=0, sampled=0)
    return Batch(groups=(group,) if stays else (), first=(group,), ledger=Ledger(), refill=refill)


def test_curves_are_of_what_was_first_sampled_also_where_it_was_replaced() -> None:
    logged: dict[str, list[float]] = defaultdict(list)
    log_scores(batch([scored(RIGHT)], stays=False), COMPOSITE, lambda name, value: logged[name].append(value))
    assert logged == {"rewards/valid": [1.0], "rewards/content": [1.0], "unjudged": [0.0], "truncated": [0.0]}


def test_truncation_is_of_what_a_budget_cut_off() -> None:
    curves = truncation_curves([4, 9, 7], [False, True, False])
    assert curves == {
        "clipped_ratio": 1 / 3, "mean_terminated_length": 5.5, "min_terminated_length": 4.0,
        "max_terminated_length": 7.0,
    }  # fmt: skip
    assert truncation_curves([9], [True])["mean_terminated_length"] == 0.0


def test_each_part_is_a_curve_and_what_was_not_judged_is_in_none() -> None:
    logged: dict[str, list[float]] = defaultdict(list)
    (reward,) = reward_functions(COMPOSITE, "sum")
    answers = [scored(verdict) for verdict in (RIGHT, HALF, JsonVerdict(unjudged="deadline"))]
    assert reward(scored=answers) == [1.0, 0.625, None]
    log_scores(batch(answers), COMPOSITE, lambda name, value: logged[name].append(value))
    assert (mean(logged["rewards/valid"]), mean(logged["rewards/content"])) == (1.0, 0.75)
    assert mean(logged["unjudged"]) == 1 / 3


def test_parts_that_are_normalised_apart_are_functions_that_pay_behind_their_gates() -> None:
    valid, content = reward_functions(COMPOSITE, "parts")
    answers = [scored(verdict) for verdict in (HALF, JsonVerdict(answer="x", f1=1.0), JsonVerdict(unjudged="deadline"))]
    assert (valid.__name__, content.__name__) == ("valid", "content")
    assert valid(scored=answers) == [1.0, 0.0, None]
    assert content(scored=answers) == [0.5, 0.0, None]


def test_the_reason_names_what_the_judge_said_or_the_part_that_says_nothing() -> None:
    assert unjudged_reason(scored(RIGHT)) is None
    assert unjudged_reason(scored(JsonVerdict(unjudged="database: 'a' is locked"))) == "database"
    assert unjudged_reason(scored(JsonVerdict(answer="x", is_valid=True))) == "part content"
