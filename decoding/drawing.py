"""Draws the next token of every row from the model's logits, and records the probability that it was drawn with."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from decoding.grammar_processor import mask_logits
from decoding.row import Row


def draw_tokens(rows: Sequence[Row], logits: Tensor) -> None:
    """Draws one token a row and appends it to the row.

    Args:
        rows: B rows that are in a turn.
        logits: (B, V) of the next tokens, in any floating type; computed with in float32.

    Raises:
        FloatingPointError: the logits are not numbers.
    """
    temperature = torch.tensor([row.request.temperature or 1.0 for row in rows], device=logits.device)
    scaled = logits.float() / temperature[:, None]
    masked = mask_logits(scaled, [row.advanced_matcher() for row in rows])
    mass = masked.logsumexp(dim=1)
    log_q = masked - mass[:, None]
    tokens = _invert(log_q, rows)
    log_z = (mass - scaled.logsumexp(dim=1)).clamp(max=0).tolist() if masked is not scaled else [0.0] * len(rows)
    chosen = log_q.gather(1, tokens[:, None]).squeeze(1).tolist()
    for row, token, logprob, allowed in zip(rows, tokens.tolist(), chosen, log_z, strict=True):
        if math.isnan(logprob):
            raise FloatingPointError(
                f"the model's logits are not numbers after {len(row.turn_ids)} tokens: its weights have diverged "
                "(a smaller learning rate), or its type is too narrow (bfloat16 instead of float16)"
            )
        row.append(token, logprob=logprob, log_z=allowed)


def _invert(log_q: Tensor, rows: Sequence[Row]) -> Tensor:
    """One token a row (B,) by inversion of the cumulative distribution, so that a row needs one uniform number."""
    most_probable = log_q.argmax(dim=1)
    is_greedy = [row.request.temperature == 0 for row in rows]
    if all(is_greedy):
        return most_probable
    uniform = [0.0] * len(rows)
    # In the order of the rows' numbers: where they stand in the batch must not decide what those without a seed draw.
    for index in sorted(range(len(rows)), key=lambda index: rows[index].number):
        if not is_greedy[index]:
            uniform[index] = rows[index].uniform()
    # float64: the sum over 100,000 tokens must not swallow the rare ones.
    cumulative = log_q.exp().cumsum(dim=1, dtype=torch.float64)
    threshold = torch.tensor(uniform, dtype=torch.float64, device=log_q.device)[:, None] * cumulative[:, -1:]
    drawn = torch.searchsorted(cumulative, threshold, right=True).squeeze(1).clamp(max=log_q.shape[1] - 1)
    return torch.where(torch.tensor(is_greedy, device=log_q.device), most_probable, drawn)
