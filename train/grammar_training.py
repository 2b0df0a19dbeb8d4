"""What a trainer does about masks, from its rollouts to its loss; see ``train/grammar_objective.py`` for why."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from decoding.rollout import Rollout
from envs.errors import ConfigurationError
from train.grammar_curves import log_gaps, log_importance, structure_gaps
from train.grammar_objective import GrammarMode, importance, log_masses
from train.mask_replay import MaskReplay, Spans
from train.masked_forward import MaskedScores
from train.masked_scorer import MaskedScorer
from train.tree_scorer import RowScorer, Scores

GRAMMARS = "grammars"
"""The name under which a micro-batch of TRL's holds the spans of its rows."""


class GrammarTraining:
    """The masks of the rows that are being scored, and the weights of their tokens."""

    def __init__(
        self, mode: GrammarMode, replay: MaskReplay, scorer: MaskedScorer, *, importance_cap: float | None = None
    ) -> None:
        """
        Args:
            mode: what is maximised.
            replay: finds masks.
            scorer: scores rows under them.
            importance_cap: the largest weight of a token that an engine with another arithmetic has drawn; None: there
                is no such engine, or its difference is not made up for.
        """
        self._mode = mode
        self._replay = replay
        self._scorer = scorer
        self._importance_cap = importance_cap
        self._spans: Sequence[Spans] = ()

    @property
    def has_masked_loss(self) -> bool:
        """The loss is that of the masked policy."""
        return self._mode == "masked"

    def take_rollouts(self, rollouts: Sequence[Rollout]) -> None:
        """Rollouts have been made; what is scored next are their rows, in this order."""
        self._spans = [self._replay.readable(one) for one in rollouts]

    def take_inputs(self, inputs: dict[str, Any]) -> None:
        """What is scored next are the rows of a micro-batch."""
        if self.has_masked_loss:
            self._spans = inputs[GRAMMARS]

    def look_ahead(self, inputs: dict[str, Any]) -> None:
        """Begins with the masks of the micro-batch after this one."""
        if self.has_masked_loss:
            self._replay.prefetch(inputs["completion_ids"], inputs[GRAMMARS])

    def extend_inputs(self, inputs: dict[str, Any]) -> None:
        """Puts into a window what ``take_inputs`` needs of it."""
        if self.has_masked_loss:
            inputs[GRAMMARS] = list(self._spans)

    def score_for_loss(
        self,
        rows: RowScorer,
        model: nn.Module,
        input_ids: Tensor,
        attention_mask: Tensor,
        logits_to_keep: int,
        batch_size: int | None = None,
        compute_entropy: bool = False,
        compute_aux_loss: bool = False,
        **inputs: Any,
    ) -> Scores:
        """In the place of ``rows``, for the masked policy: (B, C) log q, (B, C) entropies of q, load-balancing loss.

        Raises:
            ConfigurationError: the rows have images.
            RuntimeError: sampling and training disagree about a grammar.
        """
        if given := [name for name, value in inputs.items() if value is not None]:
            raise ConfigurationError(f"rollout.grammar 'masked' is for text; the rows have {', '.join(given)}")
        scores = self._scorer.score(
            rows, model, input_ids, attention_mask, logits_to_keep, batch_size,
            spans=self._spans, compute_aux_loss=compute_aux_loss,
        )  # fmt: skip
        return scores.log_q, scores.entropies if compute_entropy else None, scores.aux_loss

    def needs_scores(self, rollouts: Sequence[Rollout]) -> bool:
        """Whether ``weights`` has to know how the policy scores rollouts."""
        return self._importance_cap is not None or any(one.grammars and one.log_z is None for one in rollouts)

    def score(
        self, rows: RowScorer, model: nn.Module, input_ids: Tensor, attention_mask: Tensor, width: int, batch_size: int
    ) -> MaskedScores:
        """Rows under the distributions that they were drawn from, log Z of all their tokens included."""
        return self._scorer.score(
            rows, model, input_ids, attention_mask, width, batch_size, spans=self._spans, should_score_forced=True
        )

    def weights(
        self, rollouts: Sequence[Rollout], scores: MaskedScores | None, like: Tensor
    ) -> tuple[Tensor | None, dict[str, list[float]]]:
        """What the advantages of tokens are multiplied by.

        Args:
            rollouts: those of the batch, B of them.
            scores: of their rows, where ``needs_scores``.
            like: (B, C) tensor on the device.

        Returns:
            (B, C) without gradient, None where all are 1; and values of curves that the scores tell, by name.
        """
        weights = None
        curves: dict[str, list[float]] = defaultdict(list)
        if self._mode == "mixed":
            weights = log_masses(rollouts, scores, like).exp()
        if scores is not None:
            log_gaps(structure_gaps(rollouts, scores.log_z), lambda name, value: curves[name].append(value))
        if scores is not None and self._importance_cap is not None:
            found = importance(rollouts, scores, self._importance_cap)
            log_importance(rollouts, found, self._importance_cap, lambda name, value: curves[name].append(value))
            weights = found.weights if weights is None else weights * found.weights
        return weights, dict(curves)
