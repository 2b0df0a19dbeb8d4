"""Engines beside the policy that rollouts can come from, and how they get its weights."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from decoding.engine import Engine


class SyncedEngine(Engine, Protocol):
    """An engine with weights of its own, which are brought up to date before it is asked.

    Its arithmetic is not the trainer's, so that its tokens get importance weights (``train.grammar_objective``). Its
    log-probabilities are of the distribution that it samples from: renormalised over the mask under a grammar.
    """

    def load_weights(self, weights: Iterable[tuple[str, Tensor]]) -> None:
        """Takes over weights, by the names that they have in the model's own checkpoints."""
        ...


def make_vllm(reference: str, tokenizer: PreTrainedTokenizerBase, options: Mapping[str, Any]) -> SyncedEngine:
    """vLLM with a model.

    Args:
        reference: as ``decoding.model_reference`` takes it.
        tokenizer: the model's.
        options: of ``vllm.LLM``.

    Raises:
        ConfigurationError: vLLM is not installed, or cannot run the model.
    """
    from decoding.vllm_engine import VllmEngine, load_vllm  # late: few runs need it

    return VllmEngine(load_vllm(reference, **options), tokenizer)


@torch.no_grad()
def named_weights(policy: PreTrainedModel | PeftModel) -> Iterator[tuple[str, Tensor]]:
    """The weights of a policy by the names of its checkpoints, one after the other; those of adapters (LoRA) are added
    to what they adapt, in copies: merging them in place and out again would round the policy's own at every batch.

    Args:
        policy: with whole weights: where processes divide them, gathered.
    """
    if not isinstance(policy, PeftModel):
        yield from ((name, parameter.detach()) for name, parameter in policy.named_parameters())
        return
    inner = policy.get_base_model()
    adapted = {name: module for name, module in inner.named_modules() if isinstance(module, LoraLayer)}
    for name, parameter in inner.named_parameters():
        module_name, _, kind = name.rpartition(".base_layer.")
        layer = adapted.get(module_name)
        if layer is None:
            if not any(name.startswith(f"{adapter}.") for adapter in adapted):
                yield name, parameter.detach()
        elif kind == "weight":
            changes = [layer.get_delta_weight(adapter) for adapter in layer.active_adapters]
            yield f"{module_name}.weight", (parameter + sum(changes)).to(parameter.dtype)
        else:
            yield f"{module_name}.{kind}", parameter.detach()
