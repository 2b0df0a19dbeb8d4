"""Decides, once a model, whether its micro-batches go through prefix trees or row by row as TRL does it.

A model that takes tree masks is held against TRL's own rows before it is relied on: two short branches, no gradients,
all processes alike. What disagrees, or takes no such mask, goes TRL's way for the rest of the run, and one line says
why.
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

from decoding.attention_masks import unsupported_attention
from train.tree_forward import causal_model, tree_logps
from train.tree_masks import disable_flex, enable_flex

Scores = tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]
logger = logging.getLogger(__name__)

# Mean |difference| of log p that rounding explains. A mask or a position that is wrong moves it by far more.
TOLERANCE_32_BIT = 1e-3
TOLERANCE_16_BIT = 0.1


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
    """Scores micro-batches through their prefix trees where the model allows it, and row by row where not."""

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
        parts = []
        for ids, seen in zip(input_ids.split(size), attention_mask.split(size), strict=True):
            with self._autocast():
                parts.append(tree_logps(model, ids, seen, logits_to_keep, compute_entropy=compute_entropy))
        logps = torch.cat([part[0] for part in parts])
        entropies = [part[1] for part in parts if part[1] is not None]
        return logps, torch.cat(entropies) if entropies else None, None

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
        """Holds the tree of two branches against their rows."""
        ids, seen, width = _two_branches(causal.config.get_text_config().vocab_size, device)
        with torch.no_grad(), _without_dropout(model):
            expected = rows(model, ids, seen, width)[0]
            try:
                with self._autocast():
                    found = tree_logps(model, ids, seen, width)[0]
            except (TypeError, ValueError) as error:  # what a forward raises on a mask of a form that it does not know
                return f"its forward does not take tree masks ({str(error).splitlines()[0][:120]})"
        difference = float((found - expected).float().abs().sum() / seen[:, -width:].sum())
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


def _two_branches(vocabulary: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor, int]:
    """A micro-batch of two rows of one prompt, that share the start of their completions too: ids, mask, C."""
    random = torch.Generator().manual_seed(0)
    prompt, shared, one, other = (torch.randint(0, vocabulary, (length,), generator=random) for length in (12, 3, 6, 6))
    ids = torch.stack([torch.cat([prompt, shared, one]), torch.cat([prompt, shared, other])])
    seen = torch.ones_like(ids)
    seen[1, -2:] = 0
    return ids.to(device), seen.to(device), 9


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
