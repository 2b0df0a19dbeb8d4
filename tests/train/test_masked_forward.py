"""Rows and prefix trees score alike under masks, whatever rows share, and as logits in full say."""

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.parallel import DistributedDataParallel
from tree_models import COMPLETION, VOCABULARY, tree_batch, wide_model

from train.mask_replay import FORCED, FREE, TokenMasks
from train.masked_forward import MaskedScores, forest_scores, row_scores
from train.prefix_tree import pack, plant
from train.tree_forward import split_rows

TEMPERATURE = 0.7


def masks_of_batch() -> TokenMasks:
    """Masks at random, of which each allows the token that was drawn; rows that share tokens may have others there."""
    ids, _, width = tree_batch()
    draw = np.random.default_rng(0)
    completions = ids[:, -width:].numpy()
    numbers = draw.integers(FORCED, 3, completions.shape)
    allowed = draw.random((3, VOCABULARY)) < 0.3
    for number in range(3):
        allowed[number, completions[numbers == number]] = True
    bits = np.pad(allowed, ((0, 0), (0, -VOCABULARY % 32)))
    words = np.packbits(bits, axis=1, bitorder="little").view(np.int32)
    return TokenMasks(numbers=numbers, words=torch.from_numpy(words))


def scores_of_rows(model: Any, **options: Any) -> MaskedScores:
    ids, seen, _ = tree_batch()
    return row_scores(model, ids, seen, masks_of_batch(), **options)


def scores_of_trees(model: Any, **options: Any) -> MaskedScores:
    ids, seen, width = tree_batch()
    forest = pack(plant(split_rows(ids, seen, width)), width)
    return forest_scores(model, forest, ids.device, masks_of_batch(), **options)


def gradient(model: torch.nn.Module, scores: MaskedScores) -> torch.Tensor:
    """Of an arbitrary weighting, over all trained weights."""
    assert scores.entropies is not None
    weights = torch.randn(scores.log_q.shape, generator=torch.Generator().manual_seed(5))
    model.zero_grad()
    (scores.log_q * weights + scores.entropies * weights.flip(0)).sum().backward()
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


def in_full(model: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """log q and log Z of the completions from all logits; meaningless where there is no token."""
    ids, seen, width = tree_batch()
    masks = masks_of_batch()
    numbers = torch.from_numpy(masks.numbers)
    bits = np.unpackbits(masks.words.numpy().view(np.uint8), axis=1, bitorder="little")[:, :VOCABULARY]
    allowed = torch.from_numpy(bits.astype(bool))[numbers.clamp(min=0)]
    completions = ids[:, -width:]
    allowed |= (numbers == FREE)[:, :, None]
    is_drawn = torch.nn.functional.one_hot(completions, VOCABULARY).bool()
    allowed = torch.where((numbers == FORCED)[:, :, None], is_drawn, allowed)
    log_p = (model(ids, attention_mask=seen).logits[:, -width - 1 : -1] / TEMPERATURE).log_softmax(-1)
    log_z = log_p.masked_fill(~allowed, -torch.inf).logsumexp(-1)
    return log_p.gather(2, completions[:, :, None])[:, :, 0] - log_z, log_z


@pytest.mark.parametrize("name", ["llama", "gemma2", "mistral sliding"])
def test_rows_score_as_logits_in_full_and_trees_as_rows(name: str) -> None:
    model = wide_model(name)
    is_there = tree_batch()[1][:, -COMPLETION:].bool()
    rows = scores_of_rows(model, should_score_forced=True)
    log_q, log_z = in_full(model)
    torch.testing.assert_close(rows.log_q, log_q * is_there, rtol=0, atol=1e-5)
    torch.testing.assert_close(rows.log_z, log_z * is_there, rtol=0, atol=1e-5)
    trees = scores_of_trees(model, should_score_forced=True)
    for mine, theirs in zip(trees[:3], rows[:3], strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-5)
    expected, found = gradient(model, scores_of_rows(model)), gradient(model, scores_of_trees(model))
    assert (found - expected).norm() <= 1e-5 * expected.norm() and expected.norm() > 0


def test_forced_tokens_have_probability_1_and_do_not_go_through_the_head(monkeypatch: pytest.MonkeyPatch) -> None:
    model = wide_model("llama")
    from train import masked_head

    scored = []
    own = masked_head.MaskedLogProbs.apply

    def recording(hidden: torch.Tensor, *arguments: Any) -> Any:
        scored.append(len(hidden))
        return own(hidden, *arguments)

    monkeypatch.setattr(masked_head.MaskedLogProbs, "apply", recording)
    scores = scores_of_rows(model)
    assert scores.entropies is not None
    numbers, is_there = masks_of_batch().numbers, tree_batch()[1][:, -COMPLETION:].bool().numpy()
    forced = torch.from_numpy((numbers == FORCED) & is_there)
    assert forced.any() and (scores.log_q[forced] == 0).all() and (scores.entropies[forced] == 0).all()
    assert scored == [int(((numbers != FORCED) & is_there).sum()) + 1]  # and one place for what is not scored


def test_a_micro_batch_of_which_nothing_is_scored_still_has_a_backward() -> None:
    model = wide_model("llama")
    ids, seen, width = tree_batch()
    everything = TokenMasks(numbers=np.full((len(ids), width), FORCED), words=torch.zeros(0, 0, dtype=torch.int32))
    scores = row_scores(model, ids, seen, everything)
    scores.log_q.sum().backward()
    assert (scores.log_q == 0).all() and all((p.grad == 0).all() for p in model.parameters() if p.grad is not None)


def test_a_model_wrapped_for_several_processes_scores_the_same() -> None:
    expected = scores_of_rows(wide_model("llama")).log_q
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    try:
        found = scores_of_trees(DistributedDataParallel(wide_model("llama"))).log_q
    finally:
        torch.distributed.destroy_process_group()
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
