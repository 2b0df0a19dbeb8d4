"""An engine over vLLM in this process: every request of a call is in one batch, prompts are read once.

vLLM masks the logits before it samples, so the log-probabilities that it returns are those of the masked distribution,
log q, as our contract wants them; how much mass the masks allowed it does not tell. Not covered: samplers of our own
(aligned sampling), and vLLM on several machines.
"""

import os
import random
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from decoding.engine import FinishReason, Generation, Request
from decoding.model_reference import adapter_base, resolve_reference
from decoding.replay_session import ReplaySession
from decoding.seeds import derived_seed, sample_stream
from decoding.server_turn import TurnReader, Written
from decoding.vllm_grammar import AppliedGrammar, continued_grammar, guidance_grammar
from envs.errors import ConfigurationError

if TYPE_CHECKING:
    from vllm import LLM, SamplingParams

LOWEST, HIGHEST = 0.01, 2.0
"""The temperatures that vLLM takes besides 0; it would put others in their place, or refuse them."""


class VllmEngine:
    """Samples with vLLM."""

    def __init__(self, llm: "LLM", tokenizer: PreTrainedTokenizerBase) -> None:
        """
        Args:
            llm: made with the options of ``vllm_options``, or by ``load_vllm``.
            tokenizer: the model's.

        Raises:
            ConfigurationError: ``llm`` returns other log-probabilities than those of what it samples from, or masks
                with another back end than llguidance.
        """
        _require_options(llm)
        self.llm = llm
        self._tokenizer = tokenizer
        self._end_ids = _end_ids(llm, tokenizer)
        self._reader = TurnReader(tokenizer, self._end_ids)

    def generate(self, requests: Sequence[Request]) -> list[Generation]:
        """All generations, request after request: ``sum(request.n)`` of them.

        Raises:
            ConfigurationError: a request has a sampler, a temperature that vLLM does not take, or a prompt that is
                longer than the model's window.
        """
        from vllm.exceptions import VLLMValidationError

        samples: list[tuple[Request, AppliedGrammar, float]] = []
        prompts, parameters = [], []
        for request in requests:
            require_samplable(request)
            began = time.perf_counter()
            applied = continued_grammar(request) or guidance_grammar(
                request.grammar,
                self._tokenizer,
                self._end_ids,
                most=None if request.pauses else request.max_new_tokens,
            )
            seconds = 0.0 if request.grammar is None else time.perf_counter() - began
            # One by one: vLLM refuses several greedy samples, and its n-th seed is the first of the next seed.
            for sample in range(request.n):
                samples.append((request, applied, seconds))
                prompts.append({"prompt_token_ids": list(request.prompt_ids)})
                parameters.append(self._parameters(request, applied, sample_seed(request, sample)))
        if not samples:
            return []
        try:
            outputs = self.llm.generate(prompts, parameters, use_tqdm=False)
        except VLLMValidationError as error:
            raise ConfigurationError(f"vLLM refuses a request: {error}") from error
        return [
            self._reader.read(request, _written(output), applied, grammar_seconds=seconds)
            for (request, applied, seconds), output in zip(samples, outputs, strict=True)
        ]

    def session(self) -> ReplaySession:
        """A new session, without rows. What its rows have read before, vLLM finds in its prefix cache."""
        return ReplaySession(self.generate)

    def load_weights(self, weights: Iterable[tuple[str, Tensor]]) -> None:
        """Puts new weights in the place of the old ones, and forgets what was read with those.

        Args:
            weights: all of the model's, by the names that its checkpoint on disk has; a tied head may be left out.

        Raises:
            RuntimeError: vLLM still works on requests, so that it cannot forget.
        """
        is_tied = bool(getattr(self.llm.llm_engine.model_config.hf_text_config, "tie_word_embeddings", False))
        complete = _with_head(weights) if is_tied else iter(weights)
        self.llm.collective_rpc("reload_weights", kwargs={"weights_iterator": complete})
        if not self.llm.reset_prefix_cache():
            raise RuntimeError(
                "vLLM's prefix cache is in use: weights can be loaded between two calls of generate only"
            )

    def _parameters(self, request: Request, applied: AppliedGrammar, seed: int) -> "SamplingParams":
        from vllm import SamplingParams
        from vllm.sampling_params import StructuredOutputsParams

        return SamplingParams(
            temperature=request.temperature,
            seed=seed,
            max_tokens=request.max_new_tokens,
            stop=list(request.stops),
            stop_token_ids=sorted(self._end_ids),
            logprobs=0,
            structured_outputs=None if applied.masks is None else StructuredOutputsParams(grammar=applied.text),
        )


def vllm_options() -> dict[str, Any]:
    """The options that ``vllm.LLM`` must be made with, for ``VllmEngine``."""
    return {
        "logprobs_mode": "processed_logprobs",
        "structured_outputs_config": {"backend": "guidance"},
        "enable_prefix_caching": True,
        # Else the model's own file would add top-k and top-p.
        "generation_config": "vllm",
    }


def load_vllm(reference: str, **options: Any) -> "LLM":
    """vLLM over a model, in this process.

    Args:
        reference: a hub id, a local directory (model or run), or package://NAME/FILE.gguf.
        options: further ones of ``vllm.LLM``: ``dtype``, ``max_model_len``, ``gpu_memory_utilization`` ...

    Raises:
        ConfigurationError: vLLM is not installed, the reference names no full model, or vLLM cannot run it so.
    """
    # Before vLLM is imported. In a process of its own its weights would be out of reach.
    os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    try:
        from vllm import LLM
    except ImportError as error:
        raise ConfigurationError(
            f"vLLM cannot be imported: {error} (see docs/engines.md for how to install it)"
        ) from error
    directory = resolve_reference(reference)
    if adapter_base(directory) is not None:
        raise ConfigurationError(f"model {reference!r} is an adapter; vLLM reads full models: merge it first")
    with _kept_random_states():
        try:
            return LLM(model=directory, **{**vllm_options(), **options})
        except (ValueError, TypeError, OSError, RuntimeError) as error:
            raise ConfigurationError(f"vLLM cannot run model {reference!r} with {options}: {error}") from error


def require_samplable(request: Request, lowest: float = LOWEST, highest: float = HIGHEST) -> None:
    """Checks what engines outside this process's own loop cannot do.

    Raises:
        ConfigurationError: the request has a sampler, or a temperature that is neither 0 nor within the two given.
    """
    if request.sampler is not None:
        raise ConfigurationError(
            f"the sampler {type(request.sampler).__name__} needs the logits of every token: use the transformers engine"
        )
    if request.temperature != 0 and not lowest <= request.temperature <= highest:
        raise ConfigurationError(
            f"this engine takes the temperatures 0 and {lowest:g} to {highest:g}, got {request.temperature:g}"
        )


def sample_seed(request: Request, sample: int) -> int:
    """The seed of a request's ``sample``-th generation. Without one it is drawn from torch's state on the CPU."""
    stream = sample_stream(request.seed, sample)
    return int(torch.randint(2**56, ()).item()) if stream is None else derived_seed(stream, "engine")


def _with_head(weights: Iterable[tuple[str, Tensor]]) -> Iterator[tuple[str, Tensor]]:
    """The weights of a model whose head is its embedding, under both names: on CPUs vLLM keeps a copy for the head,
    which the embedding alone would leave as it was (measured with 0.32)."""
    embedding, has_head = None, False
    for name, weight in weights:
        embedding = weight if name.endswith("embed_tokens.weight") else embedding
        has_head = has_head or name == "lm_head.weight"
        yield name, weight
    if embedding is not None and not has_head:
        yield "lm_head.weight", embedding


def _written(output: Any) -> Written:
    """What vLLM's ``RequestOutput`` says of its only completion."""
    completion = output.outputs[0]
    ids = tuple(completion.token_ids)
    logprobs = tuple(places[token].logprob for token, places in zip(ids, completion.logprobs, strict=True))
    finish: FinishReason = "length"
    if completion.finish_reason == "stop":
        # The end of a text is a token, or nothing where it is the tokenizer's own; a stop string is a string.
        finish = "stop" if isinstance(completion.stop_reason, str) else "eos"
    error = None
    if completion.finish_reason not in ("stop", "length"):
        error = f"vLLM gave up after {len(ids)} tokens: finish_reason is '{completion.finish_reason}'"
    if not ids:
        raise RuntimeError(f"vLLM returned no token for a prompt of {len(output.prompt_token_ids)}; {error}")
    return Written(token_ids=ids, logprobs=logprobs, finish=finish, error=error, seconds=_seconds(output.metrics))


def _seconds(metrics: Any) -> tuple[float, float] | None:
    """When vLLM had the first and the last token, since it took the request in; None without its statistics
    (``disable_log_stats=False`` turns them on)."""
    if not getattr(metrics, "first_token_latency", None):
        return None
    first = float(metrics.first_token_latency)
    return first, first + float(metrics.last_token_ts - metrics.first_token_ts)


def _end_ids(llm: "LLM", tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """All ids that end a text: the tokenizer's, and those that the model's generation settings add."""
    from transformers import GenerationConfig

    model = llm.llm_engine.model_config
    try:
        configured = GenerationConfig.from_pretrained(model.model).eos_token_id
    except OSError:
        configured = model.hf_text_config.eos_token_id
    extra = configured if isinstance(configured, list) else [configured]
    return frozenset(token for token in (tokenizer.eos_token_id, *extra) if token is not None)


def _require_options(llm: "LLM") -> None:
    mode = llm.llm_engine.model_config.logprobs_mode
    if mode != "processed_logprobs":
        raise ConfigurationError(f"vLLM must be made with logprobs_mode='processed_logprobs', got '{mode}'")
    backend = llm.llm_engine.vllm_config.structured_outputs_config.backend
    if backend not in ("guidance", "auto"):
        raise ConfigurationError(
            f"vLLM must be made with structured_outputs_config={{'backend': 'guidance'}}, whose masks are those that "
            f"training replays, got '{backend}'"
        )


@contextmanager
def _kept_random_states() -> Iterator[None]:
    """vLLM seeds all generators of the process when it starts."""
    python, numpy, torch_state = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        torch.set_rng_state(torch_state)
