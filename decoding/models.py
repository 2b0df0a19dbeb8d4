"""Loads a causal language model and its tokenizer from a reference."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from decoding.model_reference import ADAPTER_FILE, adapter_base, resolve_reference
from decoding.model_weights import load_whole_model, loading, merged_adapter
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
    chat_template_options: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    """Variables of the chat template, as ``{enable_thinking: false}`` for Qwen3. They become part of the template that
    is saved with the trained model, so that an evaluation of it needs none."""


def load_tokenizer(
    reference: str, chat_template_options: Mapping[str, str | int | float | bool] | None = None
) -> PreTrainedTokenizerBase:
    """The tokenizer of a model or adapter, with a padding token and a chat template.

    An adapter without a tokenizer of its own has that of its base.

    Args:
        reference: of the model.
        chat_template_options: variables that its chat template is to have.

    Raises:
        ConfigurationError: the reference does not exist, or its tokenizer has no chat template, or none that can be
            given variables.
    """
    directory = resolve_reference(reference)
    base = adapter_base(directory)
    if base is not None and not (Path(directory) / "tokenizer_config.json").exists():
        return load_tokenizer(base, chat_template_options)
    with loading(reference):
        tokenizer = AutoTokenizer.from_pretrained(directory)
    if tokenizer.chat_template is None:
        raise ConfigurationError(
            f"model {reference!r}: its tokenizer has no chat template, and prompts are chat messages; use an instruct"
            " model, or save one's chat_template.jinja beside this tokenizer"
        )
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    if chat_template_options:
        tokenizer.chat_template = _with_variables(tokenizer.chat_template, chat_template_options)
    return tokenizer


def _with_variables(template: Any, variables: Mapping[str, str | int | float | bool]) -> str:
    """A chat template that begins by setting variables: what is saved with the model says the same everywhere."""
    unknown = [name for name in variables if not isinstance(template, str) or name not in template]
    if unknown:
        raise ConfigurationError(
            f"model.chat_template_options: the model's chat template knows no '{unknown[0]}'; leave it out"
        )
    # The literals of JSON are those of Jinja.
    return "".join(f"{{%- set {name} = {json.dumps(value)} %}}" for name, value in variables.items()) + str(template)


def load_model(config: ModelConfig) -> PreTrainedModel:
    """The model, on the CPU. A LoRA adapter is merged into its base, which may be a merged adapter itself.

    Raises:
        ConfigurationError: the reference, or the base of the adapter it names, does not exist, is no causal language
            model, or holds other weights than its configuration, or the adapter's base, asks for.
    """
    return _load(config, adapters=())


def _load(config: ModelConfig, adapters: tuple[str, ...]) -> PreTrainedModel:
    """
    Args:
        adapters: those that led to this model as their base.
    """
    directory = resolve_reference(config.reference)
    base = adapter_base(directory)
    if base is None:
        return load_whole_model(directory, dtype=config.dtype, attention=config.attention)
    if directory in adapters:
        raise ConfigurationError(f"adapter {directory!r} is an adapter of itself: mend {ADAPTER_FILE}")
    try:
        model = _load(replace(config, reference=base), (*adapters, directory))
    except ConfigurationError as error:
        raise ConfigurationError(
            f"adapter {config.reference!r} needs its base {base!r}: {error}; put the base there, or mend"
            f" base_model_name_or_path in '{Path(directory) / ADAPTER_FILE}'"
        ) from error
    return merged_adapter(model, directory, base=base)


def window(model: PreTrainedModel) -> int | None:
    """The number of positions that the model was built for; None when its configuration names no limit."""
    return getattr(model.config.get_text_config(), "max_position_embeddings", None)
