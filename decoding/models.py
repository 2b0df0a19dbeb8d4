"""Loads a causal language model and its tokenizer from a reference."""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from decoding.model_reference import adapter_base, resolve_reference
from envs.errors import ConfigurationError


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Which model, and how it is loaded."""

    reference: str
    """A hub id, a local directory (model, LoRA adapter or run), or package://NAME/FILE.gguf."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Type of the weights. Full fine-tuning wants float32 weights; trainer.bf16 then computes in bfloat16."""
    attention: Literal["sdpa", "eager", "flash_attention_2"] = "sdpa"
    """Attention implementation of transformers."""


def load_tokenizer(reference: str) -> PreTrainedTokenizerBase:
    """The tokenizer of a model or adapter, with a padding token and a chat template.

    Raises:
        ConfigurationError: the reference does not exist, or its tokenizer has no chat template.
    """
    directory = resolve_reference(reference)
    tokenizer = _load(AutoTokenizer, directory, reference)
    if tokenizer.chat_template is None:
        raise ConfigurationError(f"model '{reference}': its tokenizer has no chat template; use an instruct model")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_model(config: ModelConfig) -> PreTrainedModel:
    """The model, on the CPU. A LoRA adapter is merged into its base.

    Raises:
        ConfigurationError: the reference, or the base of the adapter it names, does not exist.
    """
    directory = resolve_reference(config.reference)
    base = adapter_base(directory)
    options = {"dtype": getattr(torch, config.dtype), "attn_implementation": config.attention}
    if base is None:
        return _load(AutoModelForCausalLM, directory, config.reference, **options)

    from peft import PeftModel

    model = _load(AutoModelForCausalLM, resolve_reference(base), base, **options)
    return PeftModel.from_pretrained(model, directory).merge_and_unload()


def window(model: PreTrainedModel) -> int | None:
    """The number of positions that the model was built for; None when its configuration names no limit."""
    return getattr(model.config.get_text_config(), "max_position_embeddings", None)


def _load(loader: Any, directory: str, reference: str, **options: Any) -> Any:
    """``loader.from_pretrained``, its many ways of saying "not there" turned into one."""
    try:
        return loader.from_pretrained(directory, **options)
    except (OSError, ValueError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise ConfigurationError(
            f"model '{reference}' cannot be loaded: {reason} (give a directory, a hub id or package://NAME/FILE.gguf)"
        ) from error
