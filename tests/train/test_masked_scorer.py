"""Scoring a window under masks: forward by forward, and with the masks of one forward at a time."""

import weakref
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.gradient_check import make_trainer, sampled_window
from train.mask_replay import MaskReplay
from train.masked_scorer import MaskedScorer
from train.rollout_config import RolloutConfig


@pytest.mark.parametrize("prefix_tree", [True, False])
def test_a_window_is_scored_as_at_once_and_the_masks_of_one_forward_are_held(tmp_path: Path, prefix_tree: bool) -> None:
    trainer = make_trainer(
        tmp_path, RolloutConfig(grammar="masked"), regex="(b|c)(a|de)?", rows=16, group=8, longest=4, letters="abcde",
        tasks=("ba", "ab"), prefix_tree=prefix_tree,
    )  # fmt: skip
    inputs = sampled_window(trainer)
    ids, seen = (torch.cat([inputs[f"prompt_{name}"], inputs[f"completion_{name}"]], dim=1) for name in ("ids", "mask"))
    width = inputs["completion_ids"].shape[1]
    tokenizer = trainer.processing_class
    replay = MaskReplay(tokenizer, [tokenizer.eos_token_id])
    scorer = MaskedScorer(replay, trainer._scorer)
    own, made, rows = replay.masks, [], []

    def recording(completion_ids: torch.Tensor, spans: Any) -> Any:
        assert all(one() is None for one in made), "masks of an earlier forward are still held"
        masks = own(completion_ids, spans)
        made.append(weakref.ref(masks))
        rows.append(len(masks.numbers))
        return masks

    replay.masks = recording  # type: ignore[method-assign]
    plain = super(type(trainer), trainer)._get_per_token_logps_and_entropies
    scores = []
    with torch.no_grad():
        for size in (None, 5):
            arguments = (plain, trainer.model, ids, seen, width, size)
            scores.append(scorer.score(*arguments, spans=inputs["grammars"], should_score_forced=True))
    assert rows == [16, 5, 5, 5, 1]
    for whole, parts in zip(scores[0][:3], scores[1][:3], strict=True):
        torch.testing.assert_close(whole, parts, rtol=0, atol=1e-5)
    assert (scores[0].log_z < 0).any()


def test_masks_that_were_made_ahead_are_taken_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = make_trainer(
        tmp_path, RolloutConfig(grammar="masked"), regex="(b|c)(a|de)?", rows=8, longest=4, letters="abcde"
    )
    inputs = sampled_window(trainer)
    grammar = trainer._grammar
    assert grammar is not None
    grammar.look_ahead(inputs)
    ahead = grammar._replay._ahead
    assert len(ahead) == 1
    trainer._compute_loss(trainer.model, inputs)
    assert not ahead
