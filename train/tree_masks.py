"""The attention masks of packed prefix trees: dense ones for SDPA and eager attention, block masks for FlexAttention.

FlexAttention leaves out blocks of 128 x 128 pairs in which nothing is seen, which SDPA computes. It is used on CUDA in
place of SDPA, where `enable_flex` finds that it works. It was tested on the CPU only, where it has a forward and no
gradients; on a GPU it has not been run by us.

Not covered: FlexAttention for models that ask for eager attention, or that drop attention weights.
"""

from functools import cache
from typing import Any, TypeAlias

import torch
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from decoding.attention_masks import SDPA_OR_FLEX, attention_windows, make_attention_mask, query_dtype

TreeMask: TypeAlias = torch.Tensor | BlockMask | dict[str, torch.Tensor] | dict[str, BlockMask]

# What FlexAttention and SDPA may differ by in 32 and in 16 bits, relative to the largest number.
TOLERANCE = {torch.float32: 1e-2}  # TF32 is allowed on GPUs
TOLERANCE_16_BIT = 5e-2


def tree_mask(causal: PreTrainedModel, ends: torch.Tensor, depths: torch.Tensor) -> TreeMask:
    """The ``attention_mask`` with which each token of packed trees sees itself and its ancestors.

    Args:
        causal: the model, without wrappers.
        ends: (T, N) the place after each token's subtree.
        depths: (T, N) position ids.
    """
    if skips_unseen(causal):
        windows = attention_windows(causal.config.get_text_config())
        blocks = {kind: block_mask(ends, depths, window) for kind, window in windows.items()}
        return blocks if len(blocks) > 1 else next(iter(blocks.values()))
    return make_attention_mask(causal.config, visibility(ends), depths, depths, query_dtype(causal))


def visibility(ends: torch.Tensor) -> torch.Tensor:
    """(T, N, N) bool: whether a token (second dimension) sees another (third): itself and its ancestors.

    Args:
        ends: (T, N) the place after each token's subtree.
    """
    places = torch.arange(ends.shape[1], device=ends.device)
    return (places[None, None, :] <= places[None, :, None]) & (places[None, :, None] < ends[:, None, :])


def block_mask(ends: torch.Tensor, depths: torch.Tensor, window: int | None) -> BlockMask:
    """The same for FlexAttention, and no further back than a sliding window, in positions.

    Args:
        ends: (T, N).
        depths: (T, N).
        window: None for layers that do not slide.
    """

    def sees(tree: torch.Tensor, head: torch.Tensor, query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
        ancestor = (key <= query) & (query < ends[tree, key])
        if window is None:
            return ancestor
        return ancestor & (depths[tree, query] - depths[tree, key] < window)

    trees, width = ends.shape
    # Compiled, it never holds all pairs; there is nothing to compile with on many CPUs.
    return create_block_mask(
        sees, B=trees, H=None, Q_LEN=width, KV_LEN=width, device=ends.device, _compile=ends.is_cuda
    )


def skips_unseen(causal: PreTrainedModel) -> bool:
    """Whether the model's attention leaves out pairs that are not seen."""
    return causal.config.get_text_config()._attn_implementation == SDPA_OR_FLEX


def enable_flex(causal: PreTrainedModel) -> str | None:
    """Lets a model that runs SDPA take block masks too; everything else stays SDPA, generation included.

    Returns:
        Why it cannot, and then nothing has changed; None where it can.
    """
    config = causal.config.get_text_config()
    if config._attn_implementation != "sdpa" or not causal._supports_flex_attn:
        return "the model does not run sdpa, or transformers knows no FlexAttention for it"
    if getattr(config, "attention_dropout", 0.0):
        return "FlexAttention drops no attention weights"
    heads, width = config.num_attention_heads, getattr(config, "head_dim", None)
    if reason := probe_flex(heads, width or config.hidden_size // heads, causal.dtype, causal.device):
        return reason
    AttentionInterface.register(SDPA_OR_FLEX, sdpa_or_flex)
    AttentionMaskInterface.register(SDPA_OR_FLEX, sdpa_mask)
    causal.set_attn_implementation(SDPA_OR_FLEX)
    return None


def disable_flex(causal: PreTrainedModel) -> None:
    """Undoes ``enable_flex``, where it did anything."""
    if skips_unseen(causal):
        causal.set_attn_implementation("sdpa")


def probe_flex(heads: int, head_width: int, dtype: torch.dtype, device: torch.device) -> str | None:
    """Runs FlexAttention forward and backward beside SDPA, on random numbers and two branches of a prefix.

    Returns:
        Why it is not to be used; None where both agree.
    """
    ends = torch.arange(1, 257, device=device)[None].repeat(1, 1)
    ends[0, :100], ends[0, 100:180] = 256, 180
    depths = torch.where(torch.arange(256, device=device) < 180, torch.arange(256, device=device), 0)[None]
    random = torch.Generator(device=device).manual_seed(0)
    inputs = [
        torch.randn((1, heads, 256, head_width), generator=random, device=device, dtype=dtype).requires_grad_()
        for _ in range(3)
    ]
    try:
        flexed = _flex(device.type)(*inputs, block_mask=block_mask(ends, depths, None))
        gradients = torch.autograd.grad(flexed.sum(), inputs)
    except (RuntimeError, NotImplementedError, ValueError) as error:  # what torch says where it cannot compile it
        return f"FlexAttention fails here ({str(error).splitlines()[0][:120]})"
    plain = torch.nn.functional.scaled_dot_product_attention(*inputs, attn_mask=visibility(ends)[:, None])
    expected = torch.autograd.grad(plain.sum(), inputs)
    tolerance = TOLERANCE.get(dtype, TOLERANCE_16_BIT)
    for ours, theirs in zip((flexed, *gradients), (plain, *expected), strict=True):
        if (ours - theirs).abs().max() > tolerance * theirs.abs().max().clamp(min=1):
            return "FlexAttention disagrees with SDPA here"
    return None


def sdpa_or_flex(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | BlockMask | None,
    scaling: float | None = None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """An attention of transformers: FlexAttention where the mask is a block mask, and SDPA everywhere else.

    Args:
        module: the attention layer.
        query: (B, heads, Q, D).
        key: (B, key-value heads, K, D).
        value: (B, key-value heads, K, D).
        attention_mask: what the layer was handed.
        scaling: of the products; None for 1 / sqrt(D).
        options: those of transformers' SDPA.

    Returns:
        (B, Q, heads, D) and no weights.
    """
    if not isinstance(attention_mask, BlockMask):
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **options)
    grouped = query.shape[1] != key.shape[1]
    mixed = _flex(query.device.type)(query, key, value, block_mask=attention_mask, scale=scaling, enable_gqa=grouped)
    return mixed.transpose(1, 2).contiguous(), None


@cache
def _flex(device_type: str) -> Any:
    # dynamic: micro-batches differ in width, and each width would be compiled anew.
    return torch.compile(flex_attention, dynamic=True) if device_type == "cuda" else flex_attention
