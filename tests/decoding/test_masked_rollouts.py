"""Rollouts under a grammar: which of a group are, turn by turn, and what is recorded for the trainer to replay."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scripted import Echo

from decoding.budgets import Budgets
from decoding.decoder import Decoding, SampleDecoder, masked_parts
from decoding.engine import Generation
from decoding.episode import Episode
from decoding.grammars.compiler import shared_compiler
from decoding.rollout import Rollout
from decoding.transformers_engine import TransformersEngine, end_ids
from decoding.tree_decoder import TreeDecoder
from envs.errors import ConfigurationError
from envs.grammar import Block, Grammar, Region
from envs.task import Task
from envs.transcript import Transcript
from envs.verdict import Verdict
from rewards.credit import Branch

STEP = Block(opening="<step>", content=Grammar(kind="regex", source="[ab]{1,12}"), closing="</step>")
ANSWER = Block(opening="<answer>", content=Grammar(kind="regex", source="yes|no"), closing="</answer>")


def language(transcript: Transcript) -> Grammar:
    """Steps or an answer; after two observations the answer."""
    is_last = sum(segment.author == "environment" for segment in transcript.segments) >= 2
    return Grammar(kind="tagged", regions=(Region(blocks=(ANSWER,) if is_last else (STEP, ANSWER)),))


def decode(
    model: Any,
    tokenizer: Any,
    *,
    n: Sequence[int],
    share: float,
    branching: int = 1,
    most: int = 120,
    seed: int = 0,
    grammars: Callable[[Transcript], Grammar | None] = language,
) -> Decoding:
    options: dict[str, Any] = {
        "engine": TransformersEngine(model, tokenizer), "tokenizer": tokenizer,
        "environment": Echo(language=grammars),  # type: ignore[arg-type]
        "budgets": Budgets(max_new_tokens=most), "masked_share": share, "rejoin_after": 2,
    }  # fmt: skip
    decoder = SampleDecoder(**options) if branching == 1 else TreeDecoder(branching=branching, **options)
    return decoder.decode([Task(id=f"task {place}") for place in range(len(n))], n=n, seed=seed)


def is_masked(rollout: Rollout) -> bool:
    return bool(rollout.grammars)


@given(count=st.integers(0, 40), share=st.floats(0, 1), seed=st.integers(0, 9))
def test_a_share_of_the_samples_is_masked_and_there_is_one_of_each_kind(count: int, share: float, seed: int) -> None:
    parts = masked_parts(count, share, seed)
    masked = sum(part.count for part in parts if part.is_masked)
    assert sum(part.count for part in parts) == count and all(part.count for part in parts)
    assert len({part.seed for part in parts}) == len(parts)
    assert [part.is_masked for part in parts] == sorted((part.is_masked for part in parts), reverse=True)
    # Of fewer samples, from two on, there are no more of either kind.
    for fewer in range(2, count):
        pairs = zip(masked_parts(fewer, share, seed), parts, strict=True)
        assert all(one.count <= other.count and one.is_masked == other.is_masked for one, other in pairs)
    if 0 < share < 1 and count >= 2:
        assert 1 <= masked <= count - 1 and abs(masked - count * share) <= 1
    else:
        assert masked in ((0,) if share < 1 else (count,))


def test_a_share_outside_of_0_and_1_is_refused(model: Any, tokenizer: Any) -> None:
    for share in (-0.1, 1.5, float("nan")):
        with pytest.raises(ConfigurationError, match="from 0 to 1"):
            decode(model, tokenizer, n=[2], share=share)


@pytest.mark.parametrize("branching", [1, 2])
def test_the_masked_ones_come_first_and_all_their_turns_are_held_to_the_grammar(
    model: Any, tokenizer: Any, branching: int
) -> None:
    turns = 0
    for group in decode(model, tokenizer, n=[4, 6], share=0.5, branching=branching).groups:
        rollouts = group.rollouts
        half = len(rollouts) // 2
        assert [is_masked(one) for one in rollouts] == [True] * half + [False] * half
        for one in rollouts[:half]:
            assert one.finish == "stop" and one.grammar_error is None
            assert one.transcript.segments[-1].text in ("<answer>yes</answer>", "<answer>no</answer>")
            mine = [segment for segment in one.transcript.segments if segment.author == "model"]
            assert len(one.grammars) == len(mine)
            turns += len(mine)
            for span in one.grammars:
                assert set(one.env_mask[span.start : span.end]) == {1}
            assert sum(span.end - span.start for span in one.grammars) == sum(one.env_mask)
    assert turns > 6


@pytest.mark.parametrize("branching", [1, 2])
def test_replaying_the_grammars_gives_the_masks_that_were_sampled_under(
    model: Any, tokenizer: Any, branching: int
) -> None:
    compiler = shared_compiler(tokenizer, end_ids=end_ids(model, tokenizer))
    decoding = decode(model, tokenizer, n=[6], share=1.0, branching=branching)
    replayed = 0
    for one in decoding.groups[0].rollouts:
        ids = [*one.prompt_ids, *one.completion_ids]
        with torch.no_grad():
            log_p = model(torch.tensor([ids])).logits[0, len(one.prompt_ids) - 1 : -1].double().log_softmax(dim=-1)
        assert one.log_z is not None
        for span in one.grammars:
            matcher = compiler.compile(span.grammar).matcher()
            for place in range(span.start, span.end):
                words = matcher.mask()
                assert words is not None
                allowed = np.flatnonzero(np.unpackbits(words.view(np.uint8), bitorder="little"))
                token = one.completion_ids[place]
                log_z = log_p[place, allowed].logsumexp(dim=0).item()
                assert token in allowed
                assert one.log_z[place] == pytest.approx(log_z, abs=1e-4)
                assert one.logprobs[place] == pytest.approx(log_p[place, token].item() - log_z, abs=1e-4)
                matcher.consume([token])
                replayed += 1
    assert replayed > 60


def test_an_answer_that_the_budget_cuts_off_is_closed_and_what_closed_it_is_not_trained_on(
    model: Any, tokenizer: Any
) -> None:
    closed = 0
    for most in range(12, 60):
        (group,) = decode(model, tokenizer, n=[4], share=1.0, most=most, seed=most).groups
        for one in group.rollouts:
            assert len(one.completion_ids) <= most
            if one.grammar_error is not None:
                continue
            assert sum(span.end - span.start for span in one.grammars) == sum(one.env_mask)
            last = one.transcript.segments[-1].text
            assert last.endswith(("</step>", "</answer>")), (most, one.transcript.text)
            if one.finish == "length" and not one.env_mask[-1]:
                closed += one.transcript.segments[-1].author == "model"
    assert closed > 3


@pytest.mark.parametrize("branching", [1, 2])
def test_a_later_turn_without_a_grammar_is_counted_as_the_first_one_is(
    model: Any, tokenizer: Any, branching: int
) -> None:
    def first_alone(transcript: Transcript) -> Grammar | None:
        return None if transcript.segments else Grammar(kind="tagged", regions=(Region(blocks=(STEP,)),))

    (group,) = decode(model, tokenizer, n=[4], share=0.5, branching=branching, grammars=first_alone).groups
    for one in group.rollouts:
        assert (one.grammar_error == "environment 'echo' has no grammar for this turn") == is_masked(one)
        assert sum(span.end - span.start for span in one.grammars) < sum(one.env_mask)
    assert [is_masked(one) for one in group.rollouts] == [True, True, False, False]


def test_masked_and_free_samples_are_those_of_a_decode_with_one_kind_alone(model: Any, tokenizer: Any) -> None:
    twice = [decode(model, tokenizer, n=[4, 4], share=0.5, seed=3) for _ in range(2)]
    ids = [[one.completion_ids for group in each.groups for one in group.rollouts] for each in twice]
    assert ids[0] == ids[1]
    (alone,) = decode(model, tokenizer, n=[4], share=0.5, seed=3).groups
    assert [one.completion_ids for one in alone.rollouts] == ids[0][:4]


def test_what_goes_on_freely_is_no_part_of_the_stretch_that_was_masked() -> None:
    episode = Episode(task=Task(id="1"), place=0, row=0, prompt_ids=[1])
    grammar = Grammar(kind="regex", source="a+")
    parts = [(3, grammar), (2, grammar), (4, None), (1, grammar)]
    for count, masked in parts:
        episode.add_generation(
            Generation(token_ids=(5,) * count, logprobs=(-1.0,) * count, log_z=None, finish="stop", grammar=masked)
        )
    episode.end("stop")
    rollout = episode.rollout(Transcript(segments=()), Verdict(answer="", is_correct=False), (Branch(node=0, start=0),))
    assert [(span.start, span.end) for span in rollout.grammars] == [(0, 5)]
