"""Grammar masks, one grammar a row: as a function of logits, and as a transformers LogitsProcessor.

The processor is for ``model.generate(logits_processor=[...])``, the functions for our own engine. Not covered: beam
search, which reorders the rows of a batch between two steps.
"""

from collections.abc import Sequence

import numpy as np
import torch
from transformers import LogitsProcessor

from decoding.grammars.matcher import Matcher


class GrammarLogitsProcessor(LogitsProcessor):
    """Sets to -inf every token that would leave a row's grammar.

    Stateful: call it once a step, with the ids that have grown by the tokens sampled since the call before.
    """

    def __init__(self, matchers: Sequence[Matcher | None]) -> None:
        """
        Args:
            matchers: one for each row of the batch, at the start of its grammar; None leaves a row free.
        """
        self._matchers = list(matchers)
        self._length: int | None = None

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """
        Args:
            input_ids: (B, L) ids so far; the columns of the first call are the prompt and are not matched.
            scores: (B, V) logits of the next token.

        Returns:
            (B, V) logits, masked; ``scores`` itself when no row has a grammar to obey.
        """
        if self._length is not None:
            for matcher, ids in zip(self._matchers, input_ids[:, self._length :].tolist(), strict=True):
                # A stopped row is being padded by its caller: nothing follows the end of a sentence.
                if matcher is not None and not matcher.is_over:
                    matcher.consume(ids)
        self._length = input_ids.shape[1]
        return mask_logits(scores, self._matchers)


def mask_logits(scores: torch.Tensor, matchers: Sequence[Matcher | None]) -> torch.Tensor:
    """Sets to -inf every token that would leave a row's grammar.

    Args:
        scores: (B, V) logits of the next token.
        matchers: of the B rows, each after all that its row has written; None leaves a row free.

    Returns:
        (B, V) logits, masked; ``scores`` itself when no row has a grammar to obey.
    """
    # A back end's limits are no property of the grammar, so a row that met one goes on freely.
    found = [(row, matcher.mask()) for row, matcher in enumerate(matchers) if matcher is not None]
    masks = {row: words.copy() for row, words in found if words is not None}
    if not masks:
        return scores
    masked = scores.clone()
    apply_masks(masked, masks)
    return masked


def apply_masks(scores: torch.Tensor, masks: dict[int, np.ndarray]) -> None:
    """Sets to -inf, in place, what masks do not allow.

    Args:
        scores: (B, V) logits.
        masks: (W,) words of 32 bits by row, as ``Matcher.mask`` gives them. Rows without one stay as they are.
    """
    forbidden = _forbidden(np.stack(list(masks.values())), width=scores.shape[1], device=scores.device)
    if len(masks) == len(scores) and list(masks) == list(range(len(scores))):
        scores.masked_fill_(forbidden, -torch.inf)
    else:
        rows = torch.tensor(list(masks), device=scores.device)
        scores[rows] = scores[rows].masked_fill_(forbidden, -torch.inf)


def _forbidden(words: np.ndarray, *, width: int, device: torch.device) -> torch.Tensor:
    """(A, W) words of 32 bits to (A, width) booleans, True for what they do not allow and beyond the vocabulary.

    On a GPU the words are what travels. Plain operations, because llguidance's own kernel goes through torch.compile,
    which needs a C compiler.
    """
    octets = np.invert(words).astype("<i4", copy=False).view(np.uint8)
    if device.type == "cuda":
        staged = torch.from_numpy(octets).pin_memory().to(device, non_blocking=True)
        bits = torch.tensor([1 << bit for bit in range(8)], dtype=torch.uint8, device=device)
        forbidden = ((staged.unsqueeze(-1) & bits) != 0).flatten(1)
    else:
        # Twenty times as fast as torch's operations on bytes.
        forbidden = torch.from_numpy(np.unpackbits(octets, axis=1, bitorder="little").view(np.bool_)).to(device)
    return torch.nn.functional.pad(forbidden, (0, max(0, width - forbidden.shape[1])), value=True)[:, :width]
