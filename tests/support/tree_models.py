"""Small random models with TRL's head, and a micro-batch whose rows share prefixes, for tests of prefix trees."""

from collections.abc import Callable
from typing import Any

import torch
from tiny_model import widen
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)
from trl.trainer.utils import add_fused_lm_head

VOCABULARY = 60
SIZE = {
    "vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "pad_token_id": 0,
}  # fmt: skip
MIXED = {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": 4}
SOFT_CAPS = {"attn_logit_softcapping": 5.0, "final_logit_softcapping": 4.0}
MODELS: dict[str, Callable[[], Any]] = {
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**SIZE)),
    "llama eager": lambda: LlamaForCausalLM(LlamaConfig(**SIZE, attn_implementation="eager")),
    "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**SIZE)),
    "qwen2 mixed": lambda: Qwen2ForCausalLM(Qwen2Config(**SIZE, **MIXED, use_sliding_window=True)),
    "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**SIZE)),
    "gemma2": lambda: Gemma2ForCausalLM(Gemma2Config(**SIZE, **MIXED, **SOFT_CAPS, query_pre_attn_scalar=8)),
    "gemma3": lambda: Gemma3ForCausalLM(Gemma3TextConfig(**SIZE, **MIXED, query_pre_attn_scalar=8)),
    "mistral sliding": lambda: MistralForCausalLM(MistralConfig(**SIZE, sliding_window=4)),
}
COMPLETION = 7

Batch = tuple[torch.Tensor, torch.Tensor, int]


def wide_model(name: str) -> Any:
    """A model of MODELS, training, with weights wide enough that every token before matters, and TRL's head."""
    model = widen(MODELS[name]())
    add_fused_lm_head(model, temperature=0.7, outputs=("log_probs", "entropy"))
    return model.train()


def tree_batch() -> Batch:
    """Two prompts of different lengths; shared turns, a duplicate, a short row, and a row without a completion."""
    draw = torch.Generator().manual_seed(3)
    ids = torch.randint(1, VOCABULARY, (8, 6 + COMPLETION), generator=draw)
    seen = torch.ones_like(ids)
    ids[1:5, :6] = ids[0, :6]
    ids[1, :10] = ids[0, :10]  # shares four tokens of its completion
    ids[2] = ids[0]
    seen[3, 9:] = 0
    seen[4, 6:] = 0
    ids[6, :6] = ids[5, :6]
    seen[5:7, :2] = 0
    return ids, seen, COMPLETION


def row_scores(
    model: torch.nn.Module, ids: torch.Tensor, seen: torch.Tensor, width: int, *_: Any, **__: Any
) -> tuple[torch.Tensor, torch.Tensor, None]:
    """TRL's own rows: the body of `_get_per_token_logps_and_entropies` for text, without a trainer."""
    labels = ids.masked_fill(seen == 0, -100)
    labels[:, :-width] = -100
    output = model(input_ids=ids, attention_mask=seen, labels=labels, fused_lm_head=True)
    return output.log_probs[:, -width:], output.entropy[:, -width:], None
