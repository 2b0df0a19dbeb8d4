"""Attention masks for a forward in which each query sees any set of keys: packed trees, caches of ragged rows.

transformers makes masks from the order of the keys. Here the caller says which keys a query sees and at which position
of its text each of them stands, and the additive mask is made that the model's forward takes ready-made.

Not covered: kernels that take no mask (FlashAttention), block masks of FlexAttention, and layers that are no attention
over keys (recurrent, convolutional, chunked, sparse); `unsupported_attention` names them.
"""

import inspect

import torch
from transformers import PretrainedConfig, PreTrainedModel

FULL = "full_attention"
SLIDING = "sliding_attention"
# Registered where it is used (train/tree_masks.py): sdpa, but for block masks, which FlexAttention takes.
SDPA_OR_FLEX = "sdpa_or_flex"
MASKED_IMPLEMENTATIONS = ("sdpa", SDPA_OR_FLEX, "eager")
# In elements, which suits types of 16 bits and wider.
ALIGNMENT = 8

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
        config: the model's configuration; whether its layers slide is read from it.
        visible: (B, Q, K) bool, True where the query may see the key. Every query, padding too, must see at least one
            key within the window: of one that sees nothing, kernels make an average of everything or no number.
        query_positions: (B, Q) integers, the position ids of the queries.
        key_positions: (B, K) integers, those of the keys.
        dtype: the type of the queries (``query_dtype``): kernels take an additive mask of no other type.

    Returns:
        (B, 1, Q, K) of ``dtype``: 0 where seen and the type's least value elsewhere. Where full and sliding layers are
        mixed, one such mask by the name of each kind. Every layer reads the same tensor. A bool mask would be made
        additive within each layer, and each layer would keep its own for backward.

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
    if text._attn_implementation not in MASKED_IMPLEMENTATIONS:
        raise ValueError(f"attention {text._attn_implementation} takes no mask; load the model with sdpa or eager")
    windows = attention_windows(text)
    masks = {}
    for kind, window in windows.items():
        seen = visible
        if window is not None:
            # Compared and not subtracted: a difference would be a (B, Q, K) tensor of 8 bytes a pair.
            seen = seen & (key_positions[:, None, :] > (query_positions - window)[:, :, None])
        masks[kind] = _additive(seen, dtype)
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


def query_dtype(model: PreTrainedModel) -> torch.dtype:
    """The type in which a model's attention sees its queries: that of autocast where it is on, else the weights'."""
    device_type = model.device.type
    return torch.get_autocast_dtype(device_type) if torch.is_autocast_enabled(device_type) else model.dtype


def _additive(seen: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """(B, Q, K) bool as a (B, 1, Q, K) mask that is added to the scores."""
    rows, queries, keys = seen.shape
    # CUDA's memory-efficient kernel copies a mask whose lines do not begin at a multiple of ALIGNMENT, in every layer.
    width = -(-keys // ALIGNMENT) * ALIGNMENT
    mask = torch.full((rows, 1, queries, width), torch.finfo(dtype).min, dtype=dtype, device=seen.device)[..., :keys]
    return mask.masked_fill_(seen[:, None], 0)
