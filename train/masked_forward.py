"""Log q of a micro-batch: as TRL's rows and as prefix trees, each token scored under the mask that it was drawn under.

As in ``train/tree_forward.py`` a hook on the backbone hands TRL's head the hidden states of the scored tokens only, and
here another function computes in the head (``train/masked_head.py``). What several rows share is scored once for each
mask that they have there. A token that was the only one allowed has log q = 0 and no gradient, so that it does not go
through the head at all.

Not covered: images and prompt learning, whose rows are longer than their tokens, and compiled models, in which no hook
can stand (``require_hook``).
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from accelerate.utils import extract_model_from_parallel, is_compiled_module
from peft import PeftModel
from torch import Tensor, nn

from envs.errors import ConfigurationError
from train.mask_replay import FORCED, TokenMasks
from train.masked_head import masked_head
from train.prefix_tree import Forest
from train.tree_forward import IGNORED, causal_model, only_these
from train.tree_masks import tree_mask


class MaskedScores(NamedTuple):
    """What is known of the completion tokens of a micro-batch; 0 where there is none."""

    log_q: Tensor
    """(B, C) log-probabilities under the distribution that each was drawn from: q, or p where there was no mask."""
    entropies: Tensor | None
    """(B, C) of the same distribution; None where the head was not made with them."""
    log_z: Tensor
    """(B, C) log of the mass that the mask allowed, without gradient; 0 for free tokens."""
    aux_loss: Tensor | None = None
    """The load-balancing loss of a mixture of experts, where it was asked for."""


def require_hook(model: nn.Module, *, cause: str, will_compile: bool = False) -> None:
    """Checks that hidden states can be picked between a model's layers and its head.

    Args:
        model: as it is wrapped for training.
        cause: what of the configuration needs it.
        will_compile: the model is to be compiled later.

    Raises:
        ConfigurationError: they cannot.
    """
    inner = extract_model_from_parallel(model)
    if will_compile or is_compiled_module(inner):
        raise ConfigurationError(
            f"{cause} needs a hook between layers and head, which a compiled model does not call; leave"
            " trainer.torch_compile out"
        )
    if isinstance(inner, PeftModel) and inner.active_peft_config.is_prompt_learning:
        raise ConfigurationError(
            f"{cause} does not go with an adapter that puts tokens of its own before each row; use LoRA"
        )


def row_scores(
    model: nn.Module,
    input_ids: Tensor,
    attention_mask: Tensor,
    masks: TokenMasks,
    *,
    should_score_forced: bool = False,
    compute_aux_loss: bool = False,
) -> MaskedScores:
    """The scores of rows, padded as TRL pads them.

    Args:
        model: a causal language model with TRL's fused head, as it is wrapped for training.
        input_ids: (B, P + C) prompts padded on the left, completions padded on the right.
        attention_mask: (B, P + C).
        masks: of the (B, C) completion tokens.
        should_score_forced: log Z is wanted of forced tokens too.
        compute_aux_loss: the load-balancing loss is wanted.
    """
    width = masks.numbers.shape[1]
    seen = attention_mask[:, -width:].cpu().numpy().astype(bool)
    places = np.arange(input_ids.numel()).reshape(input_ids.shape)[:, -width:]
    slots = np.where(seen, np.arange(seen.size).reshape(seen.shape), seen.size)
    inputs: dict[str, Any] = {"input_ids": input_ids, "attention_mask": attention_mask}
    if compute_aux_loss:
        inputs["output_router_logits"] = True
    labels = input_ids[:, -width:].flatten().cpu().numpy()
    return _scores(model, inputs, places.flatten() - 1, labels, slots, masks, should_score_forced)


def forest_scores(
    model: nn.Module, forest: Forest, device: torch.device, masks: TokenMasks, *, should_score_forced: bool = False
) -> MaskedScores:
    """As ``row_scores``, through one forward over a micro-batch's prefix trees."""
    tokens, ends, depths = (torch.from_numpy(one).to(device) for one in (forest.tokens, forest.ends, forest.depths))
    inputs = {
        "input_ids": tokens,
        "attention_mask": tree_mask(causal_model(model), ends, depths),
        "position_ids": depths,
    }
    return _scores(model, inputs, forest.predecessors, forest.labels, forest.slots, masks, should_score_forced)


def _scores(
    model: nn.Module,
    inputs: dict[str, Any],
    predecessors: np.ndarray,
    labels: np.ndarray,
    slots: np.ndarray,
    masks: TokenMasks,
    should_score_forced: bool,
) -> MaskedScores:
    """
    Args:
        inputs: of the model, whose tokens flattened are nodes.
        predecessors: (S,) the node from which each scored token is predicted.
        labels: (S,) the scored tokens.
        slots: (B, C) which of them stands at a row's completion position; S where there is none.
    """
    is_forced = masks.numbers == FORCED
    is_scored = (slots < len(labels)) & (should_score_forced | ~is_forced)
    # Of a forced token log Z is log p: it is scored as a free one.
    numbers = np.maximum(masks.numbers, -1)
    choices = len(masks.words) + 1
    pairs, place = np.unique(slots[is_scored] * choices + numbers[is_scored] + 1, return_inverse=True)
    # One more place, of no label: what is not scored points to. It scores 0 and keeps the graph whole even where
    # nothing is scored, so that backward runs on every process.
    index = np.full(slots.shape, len(pairs))
    index[is_scored] = place
    nodes = np.append(predecessors[pairs // choices], 0)
    targets = np.append(labels[pairs // choices], IGNORED)
    mask_numbers = np.append(pairs % choices - 1, -1)
    device = inputs["input_ids"].device
    on_device = [torch.from_numpy(one).to(device) for one in (nodes, targets, mask_numbers, index)]
    with only_these(causal_model(model).base_model, on_device[0]), masked_head(on_device[2], masks.words) as head:
        output = model(**inputs, shift_labels=on_device[1][None], fused_lm_head=True)
    assert head.log_z is not None
    # Devices on which TRL leaves out what has no label have no log Z of the last place.
    log_z = nn.functional.pad(head.log_z[: len(pairs)], (0, 1))
    log_q, log_z = output.log_probs[0][on_device[3]], log_z[on_device[3]]
    entropies = None if output.entropy is None else output.entropy[0][on_device[3]]
    if should_score_forced:
        forced = torch.from_numpy(is_forced & is_scored).to(device)
        log_z = torch.where(forced, log_q.detach(), log_z)
        log_q = log_q.masked_fill(forced, 0)
        entropies = None if entropies is None else entropies.masked_fill(forced, 0)
    return MaskedScores(log_q, entropies, log_z, output.aux_loss)
