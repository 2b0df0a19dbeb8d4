"""Scores rows under the masks that they were drawn under: through prefix trees where these pay, else row by row."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from train.mask_replay import MaskReplay, Spans
from train.masked_forward import MaskedScores, forest_scores, row_scores
from train.tree_forward import causal_model, lay_out
from train.tree_scorer import PrefixTreeScorer, RowScorer


class MaskedScorer:
    """What ``train.tree_scorer`` does for log p, for the log q of masked rollouts."""

    def __init__(
        self,
        replay: MaskReplay,
        trees: PrefixTreeScorer | None,
        autocast: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ) -> None:
        """
        Args:
            replay: finds the masks.
            trees: says which models go through trees; None: none does.
            autocast: the context in which TRL calls the model (``accelerator.autocast``).
        """
        self._replay = replay
        self._trees = trees
        self._autocast = autocast

    def score(
        self,
        rows: RowScorer,
        model: nn.Module,
        input_ids: Tensor,
        attention_mask: Tensor,
        logits_to_keep: int,
        batch_size: int | None = None,
        *,
        spans: Sequence[Spans],
        should_score_forced: bool = False,
        compute_aux_loss: bool = False,
    ) -> MaskedScores:
        """The scores of B rows.

        Args:
            rows: TRL's own way, against which trees are held.
            model: the model as it is wrapped for training, with TRL's fused head.
            input_ids: (B, P + C) prompts padded on the left, completions on the right.
            attention_mask: (B, P + C).
            logits_to_keep: C.
            batch_size: the most rows of one forward, and of those whose masks are held at once; None for all.
            spans: of the B rows.
            should_score_forced: log Z is wanted of tokens too that were the only ones allowed.
            compute_aux_loss: the load-balancing loss of a mixture of experts is wanted, which goes row by row.

        Raises:
            RuntimeError: sampling and training disagree about a grammar.
        """
        goes_through_trees = (
            self._trees is not None
            and not compute_aux_loss
            and self._trees.reason(rows, model, input_ids.device) is None
        )
        size = batch_size or len(input_ids)
        parts = []
        for start in range(0, len(input_ids), size):
            rows_of_part = slice(start, start + size)
            # All of them must be the object that was given: its masks may have been made ahead.
            own = spans if size >= len(input_ids) else spans[rows_of_part]
            ids, seen = input_ids[rows_of_part], attention_mask[rows_of_part]
            parts.append(
                self._part(
                    model,
                    ids,
                    seen,
                    logits_to_keep,
                    own,
                    goes_through_trees=goes_through_trees,
                    should_score_forced=should_score_forced,
                    compute_aux_loss=compute_aux_loss,
                )  # fmt: skip
            )
        return MaskedScores(
            log_q=torch.cat([part.log_q for part in parts]),
            entropies=_joined([part.entropies for part in parts], torch.cat),
            log_z=torch.cat([part.log_z for part in parts]),
            aux_loss=_joined([part.aux_loss for part in parts], lambda losses: torch.stack(losses).mean()),
        )

    def _part(
        self,
        model: nn.Module,
        ids: Tensor,
        seen: Tensor,
        width: int,
        spans: Sequence[Spans],
        *,
        goes_through_trees: bool,
        should_score_forced: bool,
        compute_aux_loss: bool,
    ) -> MaskedScores:
        """Of the rows of one forward. Their masks live no longer than it, or than its backward."""
        masks = self._replay.masks(ids[:, -width:], spans)
        with self._autocast():
            forest = lay_out(causal_model(model), ids, seen, width) if goes_through_trees else None
            if forest is not None:
                return forest_scores(model, forest, ids.device, masks, should_score_forced=should_score_forced)
            return row_scores(
                model, ids, seen, masks, should_score_forced=should_score_forced, compute_aux_loss=compute_aux_loss
            )


def _joined(parts: Sequence[Tensor | None], join: Callable[[list[Tensor]], Tensor]) -> Tensor | None:
    present = [part for part in parts if part is not None]
    return join(present) if present else None
