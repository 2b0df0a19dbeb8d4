"""Grammar masks as a transformers LogitsProcessor, one grammar a row.

Usable with ``model.generate(logits_processor=[...])`` as well as inside our own engine.
"""

from collections.abc import Sequence

import llguidance
import llguidance.torch
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
        return self._mask(scores)

    def keep(self, rows: Sequence[int]) -> None:
        """Drops all rows of the batch but ``rows``, in that order."""
        self._matchers = [self._matchers[row] for row in rows]

    def _mask(self, scores: torch.Tensor) -> torch.Tensor:
        # A matcher that ended its sentence allows the end-of-text token alone; one in error can allow nothing any more.
        active = [row for row, matcher in enumerate(self._matchers) if matcher and not matcher.is_error()]
        if not active:
            return scores
        vocabulary = scores.shape[1]
        bitmask = llguidance.torch.allocate_token_bitmask(len(active), vocabulary)  # (A, ceil(V / 32)) int32
        for index, row in enumerate(active):
            llguidance.torch.fill_next_token_bitmask(self._matchers[row], bitmask, index)
        # Unpacked with plain operations: llguidance's own kernel goes through torch.compile, which needs a C compiler.
        bits = bitmask.to(scores.device).unsqueeze(-1) >> torch.arange(32, device=scores.device) & 1  # (A, W, 32)
        allowed = bits.flatten(1)[:, :vocabulary].bool()
        masked = scores.clone()
        masked[active] = scores[active].masked_fill(~allowed, -torch.inf)
        return masked
