"""Aligned sampling over a real model and real masks: the sessions' forks, weights and samplers, and the decoder."""

import json
import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from enumerable_model import divergence

from decoding.aligned.config import AlignedSampling
from decoding.aligned.decoder import AlignedDecoder
from decoding.aligned.masking import masked_log_p
from decoding.aligned.sample import sample
from decoding.budgets import Budgets
from decoding.decoder import SampleDecoder
from decoding.engine import Request
from decoding.grammars.compiler import shared_compiler
from decoding.transformers_engine import TransformersEngine, end_ids
from envs.errors import ConfigurationError
from envs.grammar import Grammar
from envs.json.environment import JsonEnvironment
from envs.json.task import JsonTask

WORDS = Grammar(kind="choice", source=json.dumps(["on", "one", "oh no", "a", "at", "as if", "if"]))
PROMPT = (5, 6, 7)
VALUE = {"enum": [True, False, None]}
SCHEMA = json.dumps({"type": "object", "properties": {"on": VALUE}, "required": ["on"], "additionalProperties": False})
TASKS = [JsonTask(id=name, schema=SCHEMA, text=f"The {name} is on.", gold='{"on": true}') for name in ("lamp", "fan")]


def masses(model: Any, tokenizer: Any, temperature: float) -> dict[tuple[int, ...], float]:
    """p of every text that masks allow, by forwards of the bare model."""
    ends = end_ids(model, tokenizer)
    found = {}
    todo: list[tuple[tuple[int, ...], float]] = [((), 0.0)]
    while todo:
        text, log_p = todo.pop()
        matcher = shared_compiler(tokenizer, end_ids=ends).compile(WORDS).matcher()
        matcher.consume(text)
        with torch.no_grad():
            logits = model(torch.tensor([[*PROMPT, *text]])).logits[0, -1].double()
        _, after = masked_log_p((logits / temperature).log_softmax(dim=0), matcher)
        for token in np.flatnonzero(after > -np.inf).tolist():
            longer = ((*text, token), log_p + float(after[token]))
            if token in ends:
                found[longer[0]] = math.exp(longer[1])
            else:
                todo.append(longer)
    return found


@pytest.mark.parametrize(
    ("method", "skips_forced"), [("asap", True), ("cars", True), ("sir", True), ("smc", True), ("smc", False)]
)
def test_answers_of_a_real_engine_follow_the_model(model: Any, tokenizer: Any, method: Any, skips_forced: bool) -> None:
    target = masses(model, tokenizer, 3.0)
    assert len(target) >= 10
    engine = TransformersEngine(model, tokenizer, max_batch_rows=64, skips_forced=skips_forced)
    request = Request(prompt_ids=PROMPT, max_new_tokens=8, grammar=WORDS, temperature=3.0, n=120, seed=1)
    config = AlignedSampling(method=method, particles=10, tries=10_000)
    # One after another, tries learn from each other; what is needed of ASAp's first ones is that they are learned from.
    rows = 1 if method in ("asap", "cars") else 64
    answers = sample(engine, [request], config, max_batch_rows=rows)[0]
    assert answers.fallbacks == 0
    assert divergence([one.token_ids for one in answers.generations][20:], target) < 0.15
    assert math.exp(answers.log_evidence or 0) == pytest.approx(sum(target.values()), rel=0.25)
    for one in answers.generations:
        recorded = sum(one.logprobs) + sum(one.log_z or ())
        assert recorded == pytest.approx(math.log(target[one.token_ids]), abs=1e-3)


@pytest.fixture
def decoder(model: Any, tokenizer: Any) -> AlignedDecoder:
    return AlignedDecoder(
        engine=TransformersEngine(model, tokenizer, max_batch_rows=32),
        tokenizer=tokenizer,
        environment=JsonEnvironment(),
        budgets=Budgets(max_new_tokens=20),
        max_batch_rows=32,
        aligned=AlignedSampling(particles=4),
    )


@pytest.mark.parametrize("method", ["gcd", "asap", "cars", "sir", "smc", "awrs"])
def test_groups_are_judged_by_their_own_tasks(decoder: AlignedDecoder, method: Any) -> None:
    aligned = AlignedSampling(method=method, particles=4, tries=2)
    decoder = replace(decoder, aligned=aligned, check=lambda task: lambda text, is_whole: "null" not in text)
    decoding = decoder.decode(TASKS, n=[3, 2], seed=0)
    assert [group.task.id for group in decoding.groups] == ["lamp", "fan"]
    assert [len(group.rollouts) for group in decoding.groups] == [3, 2]
    assert [len(answers.generations) for answers in decoding.aligned] == [3, 2]
    assert decoding.ledger.judged == 5
    assert decoding.ledger.generated_tokens == sum(answers.model_calls for answers in decoding.aligned) > 0
    for group in decoding.groups:
        for rollout in group.rollouts:
            answer = json.loads(rollout.transcript.model_text)
            assert rollout.verdict.is_correct == (answer == {"on": True})
            assert answer["on"] is not None or method != "awrs"
            assert rollout.grammars and rollout.log_z is not None and rollout.finish == "eos"


def test_a_seed_gives_the_same_answers_in_any_batch(decoder: AlignedDecoder) -> None:
    together = decoder.decode(TASKS, n=[3, 2], seed=4)
    alone = decoder.decode(TASKS[1:], n=[2], seed=4)
    assert [one.completion_ids for one in together.groups[1].rollouts] == [
        one.completion_ids for one in alone.groups[0].rollouts
    ]


def test_masks_alone_are_the_sample_decoder(decoder: AlignedDecoder) -> None:
    masked = replace(decoder, aligned=AlignedSampling(method="gcd")).decode(TASKS, n=[3, 2], seed=4)
    plain = SampleDecoder(
        engine=decoder.engine,
        tokenizer=decoder.tokenizer,
        environment=decoder.environment,
        budgets=decoder.budgets,
        masked_share=1.0,
    ).decode(TASKS, n=[3, 2], seed=4)
    for ours, theirs in zip(masked.groups, plain.groups, strict=True):
        assert [one.completion_ids for one in ours.rollouts] == [one.completion_ids for one in theirs.rollouts]


def test_tasks_without_rollouts_are_not_asked(decoder: AlignedDecoder) -> None:
    decoding = decoder.decode(TASKS, n=[0, 1], seed=0)
    assert [len(group.rollouts) for group in decoding.groups] == [0, 1] and len(decoding.aligned) == 1


@dataclass(frozen=True, kw_only=True)
class TurnEnvironment(JsonEnvironment):
    """Answers at the end of a query."""

    stops: ClassVar[tuple[str, ...]] = ("</query>",)


def test_what_cannot_be_aligned_is_refused(decoder: AlignedDecoder) -> None:
    with pytest.raises(ConfigurationError, match="answers between turns"):
        replace(decoder, environment=TurnEnvironment())
    with pytest.raises(ConfigurationError, match="temperature above 0"):
        replace(decoder, temperature=0.0)
    with pytest.raises(ConfigurationError, match="needs a check"):
        replace(decoder, aligned=AlignedSampling(method="awrs"))


@pytest.mark.parametrize("skips_forced", [True, False])
def test_what_closes_a_cut_text_does_not_change_the_weight_of_what_was_drawn(
    model: Any, tokenizer: Any, skips_forced: bool
) -> None:
    grammar = Grammar(kind="regex", source="n[0-9]{10}|y[0-9]*qxqxqxqx")
    engine = TransformersEngine(model, tokenizer, skips_forced=skips_forced)
    request = Request(prompt_ids=PROMPT, max_new_tokens=60, grammar=grammar, temperature=2.0, n=24, seed=3)
    whole = engine.generate([request])
    cut = engine.generate([replace(request, max_new_tokens=12)])
    assert sum(one.closed > 0 for one in cut) > 3
    for long, short in zip(whole, cut, strict=True):
        assert long.log_z is not None and short.log_z is not None
        drawn = sum(long.log_z[:12])
        assert sum(short.log_z) + short.dropped_log_z == pytest.approx(drawn, abs=1e-3)
        assert short.closed > 0 or short.dropped_log_z == 0
