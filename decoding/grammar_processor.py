"""Grammar masks, one grammar a row: as a function of logits, and as a transformers LogitsProcessor.

The processor is for ``model.generate(logits_processor=[...])``, the function for our own engine. Not covered: beam
search, which reorders the rows of a batch between two steps.
"""

from collections.abc import Sequence

import llguidance
import torch
from transformers import LogitsProcessor


class GrammarLogitsProcessor(LogitsProcessor):
    """Sets to -inf every token that would leave a row's grammar.

    Stateful: call it once a step, with the ids that have grown by the tokens sampled since the call before.
    """

    def __init__(self, matchers: Sequence[llguidance.LLMatcher | None]) -> None:
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
                if matcher is not None and not matcher.is_stopped():
                    matcher.consume_tokens(ids)
        self._length = input_ids.shape[1]
        return mask_logits(scores, self._matchers)


def mask_logits(scores: torch.Tensor, matchers: Sequence[llguidance.LLMatcher | None]) -> torch.Tensor:
    """Sets to -inf every token that would leave a row's grammar.

    Args:
        scores: (B, V) logits of the next token.
        matchers: of the B rows, each after all that its row has written; None leaves a row free.

    Returns:
        (B, V) logits, masked; ``scores`` itself when no row has a grammar to obey.
    """
    rows, masks = [], []
    for row, matcher in enumerate(matchers):
        if matcher is None or matcher.is_error():
            continue
        # One bit a token, in whole 32-bit words. A matcher that ended its sentence allows end-of-text alone.
        mask = torch.frombuffer(bytearray(matcher.compute_bitmask()), dtype=torch.int32)
        # Computing the mask is what runs into llguidance's limits, and it then allows end-of-text alone: that is no
        # property of the grammar, so such a row goes on freely.
        if not matcher.is_error():
            rows.append(row)
            masks.append(mask)
    if not rows:
        return scores
    masked = scores.clone()
    allowed = _unpack(torch.stack(masks).to(scores.device), width=scores.shape[1])
    masked[rows] = scores[rows].masked_fill(~allowed, -torch.inf)
    return masked


def _unpack(words: torch.Tensor, *, width: int) -> torch.Tensor:
    """(A, W) words of 32 bits to (A, width) booleans; False beyond the tokenizer's vocabulary.

    Plain operations, because llguidance's own kernel goes through torch.compile, which needs a C compiler.
    """
    bits = (words.unsqueeze(-1) >> torch.arange(32, dtype=torch.int32, device=words.device) & 1).flatten(1).bool()
    return torch.nn.functional.pad(bits, (0, max(0, width - bits.shape[1])), value=False)[:, :width]
