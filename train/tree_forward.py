"""Log-probabilities and entropies of a micro-batch through one forward over its prefix trees.

What TRL computes from one row a completion (`GRPOTrainer._get_per_token_logps_and_entropies`) is computed here from
each distinct token once, and gradients flow the same way. The head is TRL's own
(`trl.trainer.utils.add_fused_lm_head`): a hook on the backbone hands it the hidden states of the scored tokens only, so
that temperature, soft caps and gathered weights stay its business.

With dropout, rows that share a prefix share what is dropped of it. Positions count from a row's first token and not
from its padding, as in generation; to rotary positions that makes no difference.

Not covered: images, prompt learning, and the load-balancing loss of mixtures of experts, whose routing counts tokens a
row; `train/tree_scorer.py` leaves these to TRL.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from accelerate.utils import extract_model_from_parallel
from peft import PeftModel
from torch import nn
from transformers import PreTrainedModel

from train.prefix_tree import Forest, Row, cheapest, pack, plant
from train.tree_masks import skips_unseen, tree_mask

IGNORED = -100  # the label of what TRL's head scores as 0


def tree_logps(
    model: nn.Module,
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor,
    logits_to_keep: int,
    *,
    compute_entropy: bool = False,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """log p of each completion token, and the entropy of the distribution that it is drawn from.

    One call of ``model`` and no other collective operation, so that processes may call it beside TRL's own path.

    Args:
        model: a causal language model with TRL's fused head, as it is wrapped for training.
        input_ids: (B, P + C) prompts padded on the left, completions padded on the right.
        attention_mask: (B, P + C) 1 for tokens; a row without any in its completion scores 0 throughout.
        logits_to_keep: C.
        compute_entropy: whether entropies are wanted; the head must have been made with them.

    Returns:
        (B, C) log-probabilities and (B, C) entropies or None; 0 where there is no token.

    Raises:
        ValueError: a row has no prompt, or gaps in its mask.
    """
    trees = plant(split_rows(input_ids, attention_mask, logits_to_keep))
    causal = causal_model(model)
    width = causal.config.get_text_config().hidden_size
    forest = pack(cheapest(trees, width, skips=skips_unseen(causal)), logits_to_keep)
    return forest_logps(model, forest, input_ids.device, compute_entropy=compute_entropy)


def forest_logps(
    model: nn.Module, forest: Forest, device: torch.device, *, compute_entropy: bool = False
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """As ``tree_logps``, of a forest that is laid out already."""
    causal = causal_model(model)
    on_device = {name: torch.from_numpy(value).to(device) for name, value in vars(forest).items()}
    depths, slots = on_device["depths"], on_device["slots"]
    # One more place, of no label: what rows without a token point to. It scores 0 and keeps the graph whole even where
    # nothing is scored, so that backward runs on every process.
    predecessors = nn.functional.pad(on_device["predecessors"], (0, 1))
    labels = nn.functional.pad(on_device["labels"], (0, 1), value=IGNORED)
    with _only_these(causal.base_model, predecessors):
        output = model(
            input_ids=on_device["tokens"],
            attention_mask=tree_mask(causal, on_device["ends"], depths),
            position_ids=depths,
            shift_labels=labels[None],
            fused_lm_head=True,
        )
    entropies = output.entropy[0][slots] if compute_entropy else None
    return output.log_probs[0][slots], entropies


def split_rows(input_ids: torch.Tensor, attention_mask: torch.Tensor, logits_to_keep: int) -> list[Row]:
    """The rows of a padded micro-batch, unpadded.

    Args:
        input_ids: (B, P + C).
        attention_mask: (B, P + C).
        logits_to_keep: C.

    Raises:
        ValueError: a row has no prompt, or its tokens do not lie side by side.
    """
    ids, seen = input_ids.cpu().numpy(), attention_mask.cpu().numpy().astype(bool)
    prompt_width = ids.shape[1] - logits_to_keep
    prompts, lengths = seen[:, :prompt_width].sum(axis=1), seen.sum(axis=1)
    columns = np.arange(ids.shape[1])
    first = (prompt_width - prompts)[:, None]
    if not (seen == ((columns >= first) & (columns < first + lengths[:, None]))).all():
        raise ValueError("rows must be prompts padded on the left and completions padded on the right, without gaps")
    return [
        Row(tokens=ids[number, prompt_width - prompt : prompt_width - prompt + length], prompt_length=int(prompt))
        for number, (prompt, length) in enumerate(zip(prompts, lengths, strict=True))
    ]


def causal_model(model: nn.Module) -> PreTrainedModel:
    """The causal language model inside what it is wrapped in for training: parallel wrappers, then adapters."""
    inner = extract_model_from_parallel(model)
    return inner.get_base_model() if isinstance(inner, PeftModel) else inner


@contextmanager
def _only_these(backbone: nn.Module, nodes: torch.Tensor) -> Iterator[None]:
    """The backbone's output holds the hidden states of these nodes only, as one row: (T, N, H) becomes (1, M, H)."""

    def select(module: nn.Module, arguments: Any, output: Any) -> Any:
        hidden = output.last_hidden_state
        # index_select: its backward adds rows up, which is much faster than that of indexing.
        output.last_hidden_state = hidden.flatten(0, 1).index_select(0, nodes.to(hidden.device))[None]
        return output

    handle = backbone.register_forward_hook(select)
    try:
        yield
    finally:
        handle.remove()
