"""Weights of tokens and curves, from what rollouts tell and what they do not."""

import math
from typing import Any

import pytest
import torch

from decoding.rollout import GrammarSpan, Rollout
from envs.grammar import Grammar
from envs.transcript import Transcript
from envs.verdict import Verdict
from train.grammar_curves import log_grammars, structure_gaps
from train.grammar_objective import importance, log_masses
from train.masked_forward import MaskedScores
from train.requirements import means_over_processes

GRAMMAR = Grammar(kind="regex", source="a")


def rollout(*, log_z: list[float] | None, masked: int = 0, **options: Any) -> Rollout:
    spans = (GrammarSpan(start=0, end=masked, grammar=GRAMMAR),) if masked else ()
    return Rollout(**{
        "prompt_ids": (1,), "completion_ids": (2, 3, 4), "logprobs": (-1.0, -2.0, -3.0), "env_mask": (1, 1, 1),
        "log_z": log_z, "grammars": spans, "finish": "eos", "transcript": Transcript.of("a"), "verdict": Verdict(),
        **options,
    })  # fmt: skip


def scores(log_q: list[list[float]], log_z: list[list[float]]) -> MaskedScores:
    return MaskedScores(torch.tensor(log_q), None, torch.tensor(log_z))


def test_masses_are_those_that_were_told_else_those_that_are_scored_and_free_tokens_have_all() -> None:
    rollouts = [
        rollout(log_z=[-1.0, -0.5, 0.0], masked=2), rollout(log_z=None), rollout(log_z=None, masked=3)
    ]  # fmt: skip
    found = scores([[0.0] * 4] * 3, [[-9.0] * 4, [-9.0] * 4, [-0.1, -0.2, -0.3, 0.0]])
    like = torch.zeros(3, 4, dtype=torch.long)
    expected = [[-1.0, -0.5, 0, 0], [0, 0, 0, 0], [-0.1, -0.2, -0.3, 0]]
    torch.testing.assert_close(log_masses(rollouts, found, like), torch.tensor(expected))
    torch.testing.assert_close(log_masses(rollouts[:2], None, like[:2]), torch.tensor(expected[:2]))
    with pytest.raises(ValueError, match="need scores"):
        log_masses(rollouts, None, like)


def test_importance_is_capped_and_leaves_alone_what_the_model_did_not_write_or_the_engine_did_not_tell() -> None:
    one = rollout(log_z=None, logprobs=(-1.0, -5.0, -1.0), env_mask=(1, 1, 0))
    other = rollout(log_z=None, logprobs=(math.nan, -1.0, -1.0))
    found = importance([one, other], scores([[-1.5, -2.0, -9.0, 0.0]] * 2, [[0.0] * 4] * 2), 2.0)
    expected = [[math.exp(-0.5), 2.0, 1.0, 1.0], [1.0, math.exp(-1.0), math.exp(-8.0), 1.0]]
    torch.testing.assert_close(found.weights, torch.tensor(expected))
    torch.testing.assert_close(found.difference[0], torch.tensor([-0.5, 3.0, 0.0, 0.0]))


def test_the_structure_gap_is_of_masked_rollouts_and_taken_from_scores_where_none_is_told() -> None:
    rollouts = [rollout(log_z=[-1.0, -0.5, 0.0], masked=2), rollout(log_z=None), rollout(log_z=None, masked=3)]
    assert structure_gaps(rollouts) == [(1.5, 2)]
    scored = structure_gaps(rollouts, torch.tensor([[-9.0] * 3, [-9.0] * 3, [-0.5, -0.25, -0.25]]))
    assert scored == [(1.0, 3)]


def test_curves_count_where_a_grammar_held_could_not_or_was_ended_by_the_budget() -> None:
    curves: dict[str, list[float]] = {}
    rollouts = [
        rollout(log_z=[-1.0, -0.5, 0.0], masked=2, env_mask=(1, 1, 0)),
        rollout(log_z=[-1.0, -0.5, 0.0], masked=3, grammar_lenient="format"),
        rollout(log_z=None, grammar_error="too large"),
        rollout(log_z=None),
    ]
    log_grammars(rollouts, rollouts[:1], lambda name, value: curves.setdefault(name, []).append(value))
    assert curves == {
        "grammar/masked": [1, 1, 0, 0], "grammar/error": [0, 0, 1, 0], "grammar/lenient": [0, 1, 0, 0],
        "grammar/closed": [1, 0], "grammar/structure_gap": [1.5],
        "grammar/structure_gap_per_token": [0.75],
    }  # fmt: skip


def test_means_are_of_what_there_is() -> None:
    assert means_over_processes({"a": [1.0, 2.0], "b": []}) == {"a": 1.5}
