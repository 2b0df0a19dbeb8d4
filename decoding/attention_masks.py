"""Attention masks for a forward in which each query sees any set of keys: packed trees, caches of ragged rows.

transformers makes masks from the order of the keys. Here the caller says which keys a query sees and at which position
of its text each of them stands, and the mask is made in the form that the model's forward takes ready-made.

Not covered: kernels that take no mask (FlashAttention), block masks of FlexAttention, and layers that are no attention
over keys (recurrent, convolutional, chunked, sparse); `unsupported_attention` names them.
"""

import inspect

import torch
from transformers import PretrainedConfig, PreTrainedModel

FULL = "full_attention"
SLIDING = "sliding_attention"
# Registered where it is used (train/tree_flex.py): sdpa, but for block masks, which FlexAttention takes.
SDPA_OR_FLEX = "sdpa_or_flex"
MASKED_IMPLEMENTATIONS = ("sdpa", SDPA_OR_FLEX, "eager")

# Fields by which configurations older than layer_types name layers that are not full attention.
_HYBRID_FIELDS = ("layers_block_type", "block_types", "attention_types", "attention_chunk_size")


def make_attention_mask(
    config: PretrainedConfig,
    visible: torch.Tensor,
    query_positions: torch.Tensor,
    key_positions: torch.Tensor,
    dtype: torch.dtype,
) -> torch.Tensor | dict[str, torch.Tensor]:
    """What a model's forward takes as ``attention_mask`` so that each query sees the keys that ``visible`` says.

    In a sliding layer of window w a query at position p also sees no key at a position <= p - w. Windows are counted in
    positions, as the row alone would have them, and not in places among the keys.

    Args:
        config: the model's configuration; whether its layers slide and whether the mask is boolean (sdpa) or
            additive (eager) are read from it.
        visible: (B, Q, K) bool, True where the query may see the key. Every query, padding too, must see at least one
            key within the window: a softmax over nothing is not a number.
        query_positions: (B, Q) integers, the position ids of the queries.
        key_positions: (B, K) integers, those of the keys.
        dtype: the type of the model's activations, which an additive mask has too.

    Returns:
        (B, 1, Q, K): bool, or ``dtype`` with 0 where seen and the type's least value elsewhere. Where full and sliding
        layers are mixed, one such mask by the name of each kind.

    Raises:
        ValueError: shapes do not fit together, or the model has layers or kernels that take no such mask.
    """
    rows, queries, keys = visible.shape
    if query_positions.shape != (rows, queries) or key_positions.shape != (rows, keys):
        raise ValueError(
            f"visible is {tuple(visible.shape)}, so positions must be {(rows, queries)} and {(rows, keys)}, "
            f"got {tuple(query_positions.shape)} and {tuple(key_positions.shape)}"
        )
    text = config.get_text_config()
    windows = attention_windows(text)
    masks = {}
    for kind, window in windows.items():
        seen = visible
        if window is not None:
            seen = seen & (query_positions[:, :, None] - key_positions[:, None, :] < window)
        masks[kind] = _as_taken(text._attn_implementation, seen[:, None], dtype)
    # A model whose layers are all of one kind takes the tensor, whether or not it would take a dictionary.
    return masks if len(masks) > 1 else next(iter(masks.values()))


def attention_windows(config: PretrainedConfig) -> dict[str, int | None]:
    """The kinds of attention layers of a model and the window of each, in positions; None where it sees all.

    Raises:
        ValueError: a layer is neither full nor sliding attention, or slides without a window.
    """
    window = getattr(config, "sliding_window", None)
    kinds = getattr(config, "layer_types", None)
    if not kinds:
        return {FULL: None} if window is None else {SLIDING: window}
    if unknown := sorted(set(kinds) - {FULL, SLIDING}):
        raise ValueError(f"layers of the kind {unknown[0]} take no mask; expected {FULL} or {SLIDING}")
    if SLIDING in kinds and window is None:
        raise ValueError(f"the model has layers of the kind {SLIDING} but its configuration names no sliding_window")
    return {kind: window if kind == SLIDING else None for kind in sorted(set(kinds))}


def unsupported_attention(model: PreTrainedModel) -> str | None:
    """Why a model cannot take the masks of this module, in a few words; None where nothing speaks against it.

    Read from the model's class and configuration, so a model of unusual make may pass and still be wrong: compare one
    forward with plain rows before relying on it.

    Args:
        model: the causal language model itself, without wrappers.
    """
    config = model.config.get_text_config()
    if config._attn_implementation not in MASKED_IMPLEMENTATIONS:
        return f"its attention is {config._attn_implementation}; only sdpa and eager take any mask"
    if model.config.is_encoder_decoder:
        return "it is an encoder-decoder"
    if "position_ids" not in inspect.signature(type(model).forward).parameters:
        return "its forward takes no position_ids"
    if getattr(config, "alibi", False):
        return "its positions are ALiBi, counted from the order of the keys"
    if getattr(config, "use_bidirectional_attention", False):
        return "its attention is bidirectional"
    try:
        attention_windows(config)
    except ValueError as error:
        return str(error)
    if getattr(model, "_is_stateful", False) or any(getattr(config, name, None) for name in _HYBRID_FIELDS):
        return "some of its layers are recurrent, or not described by layer_types"
    return None


def _as_taken(implementation: str, seen: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """A bool mask in the form that an attention implementation of transformers takes."""
    if implementation in ("sdpa", SDPA_OR_FLEX):
        return seen
    if implementation == "eager":
        # torch.where, not masked_fill of zeros: one pass, no second (B, 1, Q, K) buffer.
        return torch.where(seen, torch.zeros((), dtype=dtype, device=seen.device), torch.finfo(dtype).min)
    raise ValueError(f"attention {implementation} takes no mask; load the model with sdpa or eager")
