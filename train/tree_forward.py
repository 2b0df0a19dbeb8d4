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

from decoding.attention_masks import attention_windows, query_dtype
from train.prefix_tree import Forest, Row, cheapest, forward_cost, pack, plant
from train.tree_masks import skips_unseen, tree_mask

IGNORED = -100  # the label of what TRL's head scores as 0
# Trees are worth their masks and their layout where they save at least this share of what rows cost.
LEAST_SAVING = 0.1
# The most that the dense masks of a micro-batch may take, of all kinds of layers together.
MOST_MASK_BYTES = 512 * 2**20


def tree_logps(
    model: nn.Module,
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor,
    logits_to_keep: int,
    *,
    compute_entropy: bool = False,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """log p of each completion token, and the entropy of the distribution that it is drawn from, through whole trees.

    Whatever they cost: ``lay_out`` says where rows are cheaper. One call of ``model`` and no other collective
    operation, so that processes may call it beside TRL's own path.

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
    forest = pack(plant(split_rows(input_ids, attention_mask, logits_to_keep)), logits_to_keep)
    return forest_logps(model, forest, input_ids.device, compute_entropy=compute_entropy)


def lay_out(
    causal: PreTrainedModel, input_ids: torch.Tensor, attention_mask: torch.Tensor, logits_to_keep: int
) -> Forest | None:
    """The cheapest forest of a micro-batch, to be called under autocast where the forward is.

    Args:
        causal: the model, without wrappers.
        input_ids: (B, P + C), as ``tree_logps`` takes them.
        attention_mask: (B, P + C).
        logits_to_keep: C.

    Returns:
        None where it would save less than ``LEAST_SAVING`` of what the rows cost, padded as they are, or where even
        trees of one row each would need masks of more than ``MOST_MASK_BYTES``.

    Raises:
        ValueError: a row has no prompt, or gaps in its mask.
    """
    config = causal.config.get_text_config()
    skips = skips_unseen(causal)
    pair_bytes = len(attention_windows(config)) * query_dtype(causal).itemsize
    trees = cheapest(
        plant(split_rows(input_ids, attention_mask, logits_to_keep)), config.hidden_size, skips=skips,
        most_pairs=None if skips else MOST_MASK_BYTES // pair_bytes,
    )  # fmt: skip
    if trees is None:
        return None
    # Rows without padding need no mask, and then kernels leave out the half above the diagonal.
    seen = 1 if (attention_mask == 0).any() else 0.5
    count, width = input_ids.shape
    rows_cost = forward_cost(count, width, config.hidden_size, seen=0 if skips else seen)
    length = max(tree.size for tree in trees)
    cost = forward_cost(len(trees), length, config.hidden_size, seen=0 if skips else 1)
    return pack(trees, logits_to_keep) if cost <= (1 - LEAST_SAVING) * rows_cost else None


def forest_logps(
    model: nn.Module, forest: Forest, device: torch.device, *, compute_entropy: bool = False
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """As ``tree_logps``, through a forest that is laid out already."""
    causal = causal_model(model)
    on_device = {name: torch.from_numpy(value).to(device) for name, value in vars(forest).items()}
    depths, slots = on_device["depths"], on_device["slots"]
    # One more place, of no label: what rows without a token point to. It scores 0 and keeps the graph whole even where
    # nothing is scored, so that backward runs on every process.
    predecessors = nn.functional.pad(on_device["predecessors"], (0, 1))
    labels = nn.functional.pad(on_device["labels"], (0, 1), value=IGNORED)
    with only_these(causal.base_model, predecessors):
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
def only_these(backbone: nn.Module, nodes: torch.Tensor) -> Iterator[None]:
    """The backbone's output holds the hidden states of these nodes only, as one row: (T, N, H) becomes (1, M, H).

    Args:
        backbone: what lies before the head.
        nodes: (M,) places in the flattened (T * N,) hidden states; some may be given twice.
    """

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
