"""Loads a causal language model and its tokenizer from a reference."""

import json
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
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
    with _loading(reference):
        tokenizer = AutoTokenizer.from_pretrained(directory)
    if tokenizer.chat_template is None:
        raise ConfigurationError(f"model {reference!r}: its tokenizer has no chat template; use an instruct model")
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
    """The model, on the CPU. A LoRA adapter is merged into its base.

    Raises:
        ConfigurationError: the reference, or the base of the adapter it names, does not exist, or does not hold all
            weights of a causal language model.
    """
    directory = resolve_reference(config.reference)
    base = adapter_base(directory)
    if base is None:
        return _load_full(directory, config)
    model = _load_full(resolve_reference(base), config)

    from peft import PeftModel

    with _loading(config.reference):
        adapted = PeftModel.from_pretrained(model, directory)
    if not hasattr(adapted.base_model, "merge_and_unload"):
        raise ConfigurationError(
            f"model {config.reference!r}: only adapters that merge into their base (LoRA) are read"
        )
    return adapted.merge_and_unload()


def window(model: PreTrainedModel) -> int | None:
    """The number of positions that the model was built for; None when its configuration names no limit."""
    return getattr(model.config.get_text_config(), "max_position_embeddings", None)


def _load_full(directory: str, config: ModelConfig) -> PreTrainedModel:
    with _loading(directory):
        model, info = AutoModelForCausalLM.from_pretrained(
            directory,
            dtype=getattr(torch, config.dtype),
            attn_implementation=config.attention,
            output_loading_info=True,
        )
    # transformers would start them at random and say so in a warning only.
    if missing := sorted(info["missing_keys"]):
        raise ConfigurationError(
            f"model {directory!r} lacks {len(missing)} of its weights, among them {missing[0]}; "
            "give the directory of a whole causal language model"
        )
    return model


@contextmanager
def _loading(reference: str) -> Iterator[None]:
    """Turns the many ways in which transformers and peft say "not there" or "not whole" into one."""
    try:
        yield
    except (OSError, ValueError, ImportError, RuntimeError, SafetensorError) as error:
        reason = textwrap.shorten(str(error), width=300, placeholder=" ...") or type(error).__name__
        raise ConfigurationError(
            f"model {reference!r} cannot be loaded: {reason} (give a directory, a hub id or package://NAME/FILE.gguf)"
        ) from error
