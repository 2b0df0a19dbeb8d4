"""The forwards of diverse beam search: one serves the beams of many tasks.

Each prompt is read once, and beams with the same text are one row of the batch. Not covered: models whose forward needs
other processes (sharded weights).
"""

from collections.abc import Collection, Sequence

import torch
from torch import Tensor
from transformers import DynamicCache

from decoding.forward import SampledModel
from decoding.grammar_processor import mask_logits
from decoding.search.diverse_beam import Beam, BeamGroups, BeamSearcher, Opening


@torch.no_grad()
def search_beams(
    model: SampledModel, openings: Sequence[Opening], groups: BeamGroups, end_ids: Collection[int]
) -> list[BeamSearcher]:
    """The finished beams of several tasks, whose rows are decoded in one batch: at most ``groups.beams`` a task.

    A group has fewer beams where its grammar has fewer texts.

    Args:
        model: entered by the caller.
        openings: of the tasks; at least one.
        groups: how many beams each has.
        end_ids: the tokens that end a text.

    Raises:
        FloatingPointError: the model's logits are not numbers, or all that a mask allows is impossible to the model.
    """
    searchers = [BeamSearcher(groups, opening, end_ids, row=row) for row, opening in enumerate(openings)]
    cache = DynamicCache(config=model.model.config)
    logits, attention_mask = _read_prompts(model, cache, [opening.prompt_ids for opening in openings])
    while True:
        going = [(searcher, searcher.live) for searcher in searchers]
        log_p, log_z = _masked(logits, [beam for _, live in going for beam in live])
        first = 0
        for searcher, live in going:
            if live:
                rows = slice(first, first + len(live))
                searcher.step(live, log_p[rows], log_z[rows], first=first)
            first += len(live)
        beams = [beam for searcher in searchers for beam in searcher.live]
        if not beams:
            return searchers
        rows_before = torch.tensor([beam.row for beam in beams], device=attention_mask.device)
        # Unlike batch_select_indices, which does the same, it knows recurrent layers as well.
        cache.reorder_cache(rows_before)
        attention_mask = attention_mask[rows_before]
        attention_mask = torch.cat([attention_mask, attention_mask.new_ones(len(beams), 1)], dim=1)
        logits = model.last_logits(
            input_ids=torch.tensor([[beam.token_ids[-1]] for beam in beams], device=attention_mask.device),
            attention_mask=attention_mask,
            position_ids=attention_mask.sum(dim=1, keepdim=True) - 1,
            past_key_values=cache,
        )


def _read_prompts(model: SampledModel, cache: DynamicCache, prompts: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """One forward over the prompts, padded on the left: the logits (P, V) after each, and the attention mask (P, L)."""
    width = max(map(len, prompts))
    # Which token pads is of no consequence: it is masked.
    input_ids = torch.zeros(len(prompts), width, dtype=torch.long, device=model.model.device)
    attention_mask = torch.zeros_like(input_ids)
    for row, prompt in enumerate(prompts):
        input_ids[row, width - len(prompt) :] = torch.tensor(list(prompt), device=input_ids.device)
        attention_mask[row, width - len(prompt) :] = 1
    logits = model.last_logits(
        input_ids=input_ids,
        attention_mask=attention_mask,
        position_ids=(attention_mask.cumsum(dim=1) - 1).clamp(min=0),
        past_key_values=cache,
    )
    return logits, attention_mask


def _masked(logits: Tensor, beams: Sequence[Beam]) -> tuple[Tensor, list[float]]:
    """(R, V) log-probabilities with -inf for what masks forbid, and the log of the mass that each mask allowed."""
    # float64: the sums of hundreds of tokens are compared.
    log_p = logits.double().log_softmax(dim=1)
    if log_p.isnan().any():
        raise FloatingPointError(
            f"the model's logits are not numbers after {len(beams[0].token_ids)} tokens: its weights have diverged, or"
            " its type is too narrow (bfloat16 instead of float16)"
        )
    masked = mask_logits(log_p, [beam.matcher for beam in beams])
    if masked is log_p:
        return log_p, [0.0] * len(beams)
    return masked, masked.logsumexp(dim=1).clamp(max=0).tolist()
