"""Draws the next token of every row from the model's logits, and records the probability that it was drawn with."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from decoding.grammar_processor import apply_masks
from decoding.row import Row


def draw_tokens(rows: Sequence[Row], logits: Tensor) -> list[Row]:
    """Draws one token a row and appends it to the row.

    Args:
        rows: B rows that are in a turn.
        logits: (B, V) of the next tokens, in any floating type; computed with in float32.

    Returns:
        The rows whose text their sampler has given up.

    Raises:
        FloatingPointError: the logits are not numbers.
    """
    sampled = [place for place, row in enumerate(rows) if row.request.sampler is not None]
    if not sampled:
        _draw_masked(rows, logits)
        return []
    masked = [place for place, row in enumerate(rows) if row.request.sampler is None]
    if masked:
        _draw_masked([rows[place] for place in masked], logits[masked])
    return _draw_sampled([rows[place] for place in sampled], logits[sampled])


def score_forced(rows: Sequence[Row], tokens: Sequence[int], logits: Tensor) -> None:
    """Records the probability that the model gave to tokens which a grammar forced: the mass that the mask allowed.

    Args:
        rows: of each of the M tokens, in the order of the text where they are the same.
        tokens: M token ids.
        logits: (M, V) at their places.

    Raises:
        FloatingPointError: the logits are not numbers.
    """
    scaled = _scaled(rows, logits)
    chosen = scaled.gather(1, torch.tensor(tokens, device=logits.device)[:, None]).squeeze(1)
    for row, log_z in zip(rows, (chosen - scaled.logsumexp(dim=1)).clamp(max=0).tolist(), strict=True):
        _require_number(row, log_z)
        row.score(log_z)


def _draw_masked(rows: Sequence[Row], logits: Tensor) -> None:
    """Draws from what the masks of the rows allow."""
    scaled = _scaled(rows, logits)
    found = [(place, row.mask()) for place, row in enumerate(rows)]
    masks = {place: words for place, words in found if words is not None}
    places = list(masks)
    if masks:
        total = (scaled if len(masks) == len(rows) else scaled[places]).logsumexp(dim=1)
        apply_masks(scaled, masks)
    mass = scaled.logsumexp(dim=1)
    log_q = scaled - mass[:, None]
    tokens = _invert(log_q, rows)
    log_z = [0.0] * len(rows)
    if masks:
        for place, allowed in zip(places, (mass[places] - total).clamp(max=0).tolist(), strict=True):
            log_z[place] = allowed
    chosen = log_q.gather(1, tokens[:, None]).squeeze(1).tolist()
    for row, token, logprob, allowed in zip(rows, tokens.tolist(), chosen, log_z, strict=True):
        _require_number(row, logprob)
        row.append(token, logprob=logprob, log_z=allowed)


def _draw_sampled(rows: Sequence[Row], logits: Tensor) -> list[Row]:
    """Lets each row's own sampler draw; returns the rows that it gives up."""
    log_p = _scaled(rows, logits).log_softmax(dim=1)
    given_up = []
    for place in sorted(range(len(rows)), key=lambda place: rows[place].number):
        row = rows[place]
        assert row.request.sampler is not None
        _require_number(row, log_p[place, 0].item())
        drawn = row.request.sampler.draw(row.number, tuple(row.turn_ids), row.matcher(), log_p[place], row.uniform())
        row.append(drawn.token, logprob=drawn.logprob, log_z=drawn.log_weight)
        if drawn.ends_row:
            given_up.append(row)
    return given_up


def _scaled(rows: Sequence[Row], logits: Tensor) -> Tensor:
    """(B, V) logits over temperature, in a tensor of its own."""
    temperature = torch.tensor([row.request.temperature or 1.0 for row in rows], device=logits.device)
    return logits.float() / temperature[:, None]


def _require_number(row: Row, value: float) -> None:
    if math.isnan(value):
        raise FloatingPointError(
            f"the model's logits are not numbers after {len(row.turn_ids)} tokens: its weights have diverged "
            "(a smaller learning rate), or its type is too narrow (bfloat16 instead of float16)"
        )


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
