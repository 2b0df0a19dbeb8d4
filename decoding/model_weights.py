"""Loads the weights of a causal language model or a LoRA adapter, and refuses those that do not fit.

transformers and peft fill what is missing at random and leave out what is too much, with a warning at most: a measured
model would then be another one than was meant.

Not covered: weights that fit and are still the wrong ones.
"""

import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel
from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from envs.errors import ConfigurationError

WRITING_HEADS = ("CausalLM", "ConditionalGeneration")
"""What the names of architectures that write text end with, after ``For``."""
WANTED = "give the directory of a whole causal language model"


def load_whole_model(directory: str, *, dtype: str, attention: str) -> PreTrainedModel:
    """A causal language model, on the CPU.

    Args:
        directory: a local one, or a hub id.
        dtype: the name of torch's type for the weights.
        attention: implementation of transformers.

    Raises:
        ConfigurationError: it cannot be loaded, is another kind of model, or its weights do not fit its configuration.
    """
    _require_known_type(directory)
    with loading(directory):
        config = AutoConfig.from_pretrained(directory)
    _require_causal(directory, config)
    with loading(directory):
        model, info = AutoModelForCausalLM.from_pretrained(
            directory,
            config=config,
            dtype=getattr(torch, dtype),
            attn_implementation=attention,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are told below, by their names
        )
    _require_fitting(directory, model, info)
    return model


def merged_adapter(model: PreTrainedModel, directory: str, *, base: str) -> PreTrainedModel:
    """The model with a LoRA adapter merged into it.

    Args:
        model: the adapter's base.
        directory: of the adapter.
        base: the base's reference.

    Raises:
        ConfigurationError: the adapter cannot be loaded or merged, or its weights do not fit the base.
    """
    from peft import PeftModel, get_peft_model_state_dict
    from peft.utils import load_peft_weights

    with loading(directory, f"adapter {directory!r} of base {base!r}"):
        adapted = PeftModel.from_pretrained(model, directory)
        held = {name for name in load_peft_weights(directory, device="cpu") if ".lora_" in name}
    if not hasattr(adapted.base_model, "merge_and_unload"):
        raise ConfigurationError(f"model {directory!r}: only adapters that merge into their base (LoRA) are read")
    wanted = {name for name in get_peft_model_state_dict(adapted, save_embedding_layers=False) if ".lora_" in name}
    faults = [
        f"{len(names)} of its weights {what}, among them {min(names)}"
        for names, what in (
            (held - wanted, "are for layers that the base does not have"),
            (wanted - held, "are missing for layers of the base"),
        )
        if names
    ]
    if faults:
        raise ConfigurationError(
            f"adapter {directory!r} does not fit its base {base!r}: {'; '.join(faults)}; give the base that it was"
            " trained on as base_model_name_or_path in its adapter_config.json"
        )
    return adapted.merge_and_unload()


@contextmanager
def loading(reference: str, subject: str | None = None) -> Iterator[None]:
    """Turns the many ways in which transformers and peft say "not there" or "not whole" into one.

    Args:
        reference: what is loaded.
        subject: what it is called; None: a model.
    """
    try:
        yield
    except (OSError, ValueError, ImportError, RuntimeError, SafetensorError) as error:
        reason = textwrap.shorten(str(error), width=300, placeholder=" ...") or type(error).__name__
        raise ConfigurationError(
            f"{subject or f'model {reference!r}'} cannot be loaded: {reason} (give a directory, a hub id or"
            " package://NAME/FILE.gguf)"
        ) from error


def _require_known_type(directory: str) -> None:
    """Checks what config.json calls the model, where there is one: transformers' own message is a page long."""
    try:
        content = json.loads((Path(directory) / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return  # a hub id; or a broken file, of which transformers speaks
    kind = content.get("model_type") if isinstance(content, dict) else None
    if isinstance(kind, str) and kind not in CONFIG_MAPPING_NAMES:
        raise ConfigurationError(
            f"model {directory!r} is a {_architecture(content)}, which transformers {transformers.__version__} does not"
            " know; update transformers, or give a model of an architecture that it knows"
        )


def _require_causal(directory: str, config: Any) -> None:
    names = _names(config.to_dict().get("architectures"))
    head = names[0].partition("For")[2] if names else ""
    if config.model_type not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES or (head and head not in WRITING_HEADS):
        raise ConfigurationError(
            f"model {directory!r} is a {_architecture(config.to_dict())}, expected a causal language model"
            " (...ForCausalLM); give one"
        )


def _require_fitting(directory: str, model: PreTrainedModel, info: Mapping[str, Any]) -> None:
    kind = type(model).__name__
    # Weights of a part that this model does not have at all (a vision tower, a value head) are no contradiction.
    outer = ("", model.base_model_prefix)
    modules = {name for name, _ in model.named_modules()}
    extra = sorted(name for name in info["unexpected_keys"] if _innermost(name, modules) not in outer)
    faults = []
    if missing := sorted(info["missing_keys"]):
        faults.append(f"lacks {len(missing)} of its weights, among them {missing[0]}")
    if extra:
        faults.append(f"holds {len(extra)} weights that have no place in it, among them {extra[0]}")
    if other := sorted(info["mismatched_keys"]):
        name, held, wanted = other[0]
        faults.append(
            f"holds {len(other)} weights of another shape, among them {name}: {list(held)} in the file,"
            f" {list(wanted)} by the configuration"
        )
    if faults:
        raise ConfigurationError(
            f"model {directory!r}, by its config.json a {kind}, {', '.join(faults)}; {WANTED}, with the config.json"
            " that was saved with its weights"
        )


def _innermost(name: str, modules: set[str]) -> str:
    """The innermost module of the model that a weight's name leads into."""
    parts = name.split(".")
    return next((prefix for end in range(len(parts), 0, -1) if (prefix := ".".join(parts[:end])) in modules), "")


def _architecture(content: Mapping[str, Any]) -> str:
    names = _names(content.get("architectures"))
    return f"{names[0] if names else 'model'} (model_type {content.get('model_type')!r})"


def _names(value: Any) -> Sequence[str]:
    return [name for name in value if isinstance(name, str)] if isinstance(value, list) else []
