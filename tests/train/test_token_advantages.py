"""Advantages by token: the plan's weight reaches exactly the tokens before its closing tag."""

from typing import Any

import pytest
import torch

from decoding.models import load_tokenizer
from decoding.rollout import Rollout
from decoding.token_text import encode_text
from envs.layout import Tags
from envs.task import Task
from envs.transcript import Segment, Transcript
from envs.verdict import Verdict
from rewards.composite import Score
from rewards.credit import Branch
from train.advantages import CreditConfig, token_advantages
from train.rollouts import ScoredRollout

TAGS = Tags(reasoning="think", plan="plan", step="step", observation="result", answer="answer")


@pytest.fixture(scope="module")
def tokenizer(tiny_model: Any) -> Any:
    return load_tokenizer(str(tiny_model))


def scored(tokenizer: Any, *said: str, reward: float = 1.0, node: int = 0) -> ScoredRollout:
    """A rollout of stretches by the model and, in between, the environment."""
    ids = [encode_text(tokenizer, text) for text in said]
    authors = ["environment" if place % 2 else "model" for place in range(len(said))]
    rollout = Rollout(
        prompt_ids=(1,),
        completion_ids=tuple(token for part in ids for token in part),
        logprobs=(0.0,) * sum(map(len, ids)),
        env_mask=tuple(int(author == "model") for author, part in zip(authors, ids, strict=True) for _ in part),
        log_z=None,
        finish="stop",
        transcript=Transcript(
            segments=tuple(Segment(author=author, text=text) for author, text in zip(authors, said, strict=True))
        ),
        verdict=Verdict(),
        branches=(Branch(node=node, start=0),),
    )
    return ScoredRollout(task=Task(id="task"), rollout=rollout, score=Score(value=reward, parts={}))


def advantages(tokenizer: Any, group: list[ScoredRollout], values: list[float], credit: CreditConfig) -> Any:
    width = max(len(one.rollout.completion_ids) for one in group) + 2
    given = torch.tensor(values)
    return token_advantages(given, [tuple(group)], width, credit, scales=False, tags=TAGS, tokenizer=tokenizer)


def test_nothing_asked_for_leaves_trls_advantages_as_they_are(tokenizer: Any) -> None:
    given = torch.tensor([0.5, -0.5])
    group = (scored(tokenizer, "a"), scored(tokenizer, "b"))
    options: dict[str, Any] = {"scales": True, "tags": TAGS, "tokenizer": tokenizer}
    assert token_advantages(given, [group], 3, CreditConfig(), **options) is given


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (["<plan>1. count</plan>"], " then <answer>x</answer>"),
        (["<think>no <plan>draft</plan></think><plan>1. étude \N{SNOWMAN}</plan>"], "<answer>x</answer>"),
        (["<step>q</step>", "<result>no </plan> here</result>", "<plan>2</plan>"], "<answer>x</answer>"),
    ],
)
def test_the_weight_reaches_the_end_of_the_plan_and_no_further(tokenizer: Any, before: list[str], after: str) -> None:
    *first, last = before
    one = scored(tokenizer, *first, last + after)
    row, plain = advantages(
        tokenizer, [one, scored(tokenizer, "no plan")], [2.0, -1.0], CreditConfig(plan_weight=0.25)
    ).tolist()
    ids = one.rollout.completion_ids
    text = "".join(before).removesuffix("</plan>")
    end = next(count for count in range(len(ids) + 1) if text in tokenizer.decode(ids[:count]))
    assert row == [0.5] * end + [2.0] * (len(ids) - end) + [0.0] * (len(row) - len(ids))
    assert set(plain) == {-1.0, 0.0}


def test_siblings_and_the_plans_weight_go_together(tokenizer: Any) -> None:
    text = "<plan>1</plan><answer>x</answer>"
    group = [scored(tokenizer, text, reward=1.0, node=0), scored(tokenizer, text, reward=0.0, node=1)]
    credit = CreditConfig(advantage="siblings", plan_weight=0.0)
    first, second = advantages(tokenizer, group, [9.0, 9.0], credit).tolist()
    assert set(first) == {0.0, 0.5} and set(second) == {-0.0, -0.5} and first.index(0.5) == second.index(-0.5)
