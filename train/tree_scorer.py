"""Decides whether micro-batches go through prefix trees or row by row as TRL does it.

A model that takes tree masks is held against TRL's own rows before it is relied on: two short branches, no gradients,
all processes alike. What disagrees, or takes no such mask, goes TRL's way for the rest of the run, and one line says
why. Of a model that goes through trees, micro-batches that share too little still go row by row
(`train/tree_forward.py`, `lay_out`).
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import torch
from accelerate.state import PartialState
from accelerate.utils import extract_model_from_parallel, gather_object, is_compiled_module
from peft import PeftModel
from torch import nn
from transformers import PreTrainedModel

from decoding.attention_masks import attention_windows, unsupported_attention
from train.tree_forward import causal_model, forest_logps, lay_out, tree_logps
from train.tree_masks import disable_flex, enable_flex

Scores = tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]
logger = logging.getLogger(__name__)

# Mean |difference| of log p over a branch that rounding explains. In 16 bits, on SmolLM2-135M and three pairs of random
# branches: 0.04-0.05 where all is right; 0.32-0.37 where one token of the other branch is seen, 0.17-0.43 where one of
# the prefix is not, 0.15-0.30 where positions are off by one.
TOLERANCE_32_BIT = 1e-3
TOLERANCE_16_BIT = 0.1
# The branches of the check; and the widest window that they are made to reach beyond.
SHARED, BRANCH = 3, 16
WIDEST_WINDOW = 512


class RowScorer(Protocol):
    """TRL's ``_get_per_token_logps_and_entropies``, bound to its trainer."""

    def __call__(
        self,
        model: nn.Module,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        logits_to_keep: int,
        batch_size: int | None = None,
        compute_entropy: bool = False,
        compute_aux_loss: bool = False,
        **inputs: Any,
    ) -> Scores: ...


class PrefixTreeScorer:
    """Scores micro-batches through prefix trees where the model allows it and they share enough, else row by row."""

    def __init__(
        self, autocast: Callable[[], AbstractContextManager[Any]] = nullcontext, *, allow_flex: bool = True
    ) -> None:
        """
        Args:
            autocast: the context in which TRL calls the model (``accelerator.autocast``).
            allow_flex: whether FlexAttention may take SDPA's place on CUDA.
        """
        self._autocast = autocast
        self._allow_flex = allow_flex
        self._reasons: WeakKeyDictionary[PreTrainedModel, str | None] = WeakKeyDictionary()

    def score(
        self,
        rows: RowScorer,
        model: nn.Module,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        logits_to_keep: int,
        batch_size: int | None = None,
        compute_entropy: bool = False,
        compute_aux_loss: bool = False,
        **inputs: Any,
    ) -> Scores:
        """What ``rows`` returns for the same arguments: (B, C) log p, (B, C) entropies, load-balancing loss.

        Args:
            rows: TRL's own way.
            model: the model as it is wrapped for training, with TRL's fused head.
            input_ids: (B, P + C) prompts padded on the left, completions on the right.
            attention_mask: (B, P + C).
            logits_to_keep: C.
            batch_size: the most rows of one forward; None for all.
            compute_entropy: whether entropies are wanted.
            compute_aux_loss: whether the load-balancing loss of a mixture of experts is, which goes row by row: it
                counts what each row's tokens were routed to.
            inputs: those of images, and so on; where one is given, the rows go TRL's way.
        """
        is_plain = compute_aux_loss or any(value is not None for value in inputs.values())
        if is_plain or self.reason(rows, model, input_ids.device) is not None:
            options = {"compute_entropy": compute_entropy, "compute_aux_loss": compute_aux_loss, **inputs}
            return rows(model, input_ids, attention_mask, logits_to_keep, batch_size, **options)
        size = batch_size or len(input_ids)
        causal = causal_model(model)
        parts = []
        for ids, seen in zip(input_ids.split(size), attention_mask.split(size), strict=True):
            with self._autocast():
                forest = lay_out(causal, ids, seen, logits_to_keep)
                if forest is not None:
                    parts.append(forest_logps(model, forest, ids.device, compute_entropy=compute_entropy))
                    continue
            parts.append(rows(model, ids, seen, logits_to_keep, compute_entropy=compute_entropy)[:2])
        logps = torch.cat([part[0] for part in parts])
        entropies = [part[1] for part in parts if part[1] is not None]
        return logps, torch.cat(entropies) if compute_entropy else None, None

    def reason(self, rows: RowScorer, model: nn.Module, device: torch.device) -> str | None:
        """Why a model goes row by row; None where it goes through trees. Found out at the first call for each model.

        Args:
            rows: TRL's own way.
            model: the model as it is wrapped for training.
            device: where its inputs lie.
        """
        causal = causal_model(model)
        if causal not in self._reasons:
            self._reasons[causal] = reason = self._examine(rows, model, causal, device)
            if reason is not None and PartialState().is_main_process:
                logger.warning("prefix trees are not used for the update of this model: %s", reason)
        return self._reasons[causal]

    def _examine(self, rows: RowScorer, model: nn.Module, causal: PreTrainedModel, device: torch.device) -> str | None:
        reason = _agreed(_unsupported(model, causal) or unsupported_attention(causal))
        if reason is not None:
            return reason
        if self._allow_flex and device.type == "cuda":
            is_enabled = _agreed(enable_flex(causal)) is None
            if is_enabled and _agreed(self._disagreement(rows, model, causal, device)) is None:
                return None
            disable_flex(causal)
        return _agreed(self._disagreement(rows, model, causal, device))

    def _disagreement(
        self, rows: RowScorer, model: nn.Module, causal: PreTrainedModel, device: torch.device
    ) -> str | None:
        """Holds the tree of two branches against their rows: what comes after the fork, each branch for itself.

        A sliding window of at most ``WIDEST_WINDOW`` positions is left behind by a prompt of twice its length. In 32
        bits one that is read wrong by a single position is noticed; in 16 bits, only one that is read wrong by much.
        Of a wider one nothing is noticed.
        """
        config = causal.config.get_text_config()
        windows = [window for window in attention_windows(config).values() if window and window <= WIDEST_WINDOW]
        ids, seen, width = _two_branches(config.vocab_size, 2 * max(windows, default=0), device)
        with torch.no_grad(), _without_dropout(model):
            expected = rows(model, ids, seen, width)[0]
            try:
                with self._autocast():
                    found = tree_logps(model, ids, seen, width)[0]
            except torch.OutOfMemoryError:
                raise
            # What a forward raises on a mask of a form or type that it does not take.
            except (TypeError, ValueError, RuntimeError) as error:
                return f"its forward does not take tree masks ({str(error).splitlines()[0][:120]})"
        # The first token of a branch is drawn from what both share.
        apart = (found - expected).float().abs()[:, SHARED + 1 :]
        difference = float((apart.sum(dim=1) / seen[:, -width:][:, SHARED + 1 :].sum(dim=1)).max())
        with self._autocast():
            is_autocast = torch.is_autocast_enabled(device.type)
        tolerance = TOLERANCE_32_BIT if causal.dtype == torch.float32 and not is_autocast else TOLERANCE_16_BIT
        if difference <= tolerance:
            return None
        return (
            f"its log-probabilities differ by {difference:.2g} from those of plain rows (at most {tolerance} expected)"
        )


def _agreed(reason: str | None) -> str | None:
    """The first reason of any process: one that went on alone would wait for the others in a forward of its own."""
    return next((one for one in gather_object([reason]) if one is not None), None)


def _unsupported(model: nn.Module, causal: PreTrainedModel) -> str | None:
    """Why a model cannot go through trees, apart from its attention."""
    if getattr(causal.config.get_text_config(), "output_router_logits", False):
        return "its load-balancing loss counts tokens row by row"
    inner = extract_model_from_parallel(model)
    if is_compiled_module(inner):
        return "it is compiled, and then no hook can stand between its layers and its head"
    if isinstance(inner, PeftModel) and inner.active_peft_config.is_prompt_learning:
        return "its adapter puts tokens of its own before each row"
    return None


def _two_branches(vocabulary: int, prompt_length: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor, int]:
    """A micro-batch of two rows of one prompt, that share the start of their completions too: ids, mask, C."""
    random = torch.Generator().manual_seed(0)
    lengths = (max(12, prompt_length), SHARED, BRANCH, BRANCH)
    prompt, shared, one, other = (torch.randint(0, vocabulary, (length,), generator=random) for length in lengths)
    ids = torch.stack([torch.cat([prompt, shared, one]), torch.cat([prompt, shared, other])])
    seen = torch.ones_like(ids)
    seen[1, -2:] = 0
    return ids.to(device), seen.to(device), SHARED + BRANCH


@contextmanager
def _without_dropout(model: nn.Module) -> Iterator[None]:
    """Evaluation mode, and then each module in the mode that it had."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True
