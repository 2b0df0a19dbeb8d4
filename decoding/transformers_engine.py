"""An engine over a transformers model: batched sampling with our own loop.

A prompt is read once for its samples, finished rows leave the batch and waiting ones join it, keys and values stay
across turns, and log-probabilities and the grammar's allowed mass are recorded as tokens are drawn. Models with layers
that cannot take part in that (recurrent, chunked) are sampled with transformers' own cache, and read each turn anew.
Not covered: models without a cache of transformers (XLNet, RWKV, Mamba's own), and devices without float64 (MPS).
"""

import inspect
from collections import deque
from collections.abc import Sequence

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from decoding.attention_masks import unsupported_attention
from decoding.cached_session import CachedSession
from decoding.dynamic_cache import DynamicCacheSampler
from decoding.engine import Engine, Generation, Request
from decoding.forward import SampledModel
from decoding.lockstep import Lockstep
from decoding.replay_session import ReplaySession
from envs.errors import ConfigurationError

# What a forward must take, so that rows of different length can lie side by side.
NEEDED = ("past_key_values", "attention_mask", "position_ids")


class TransformersEngine:
    """Samples from a causal language model held in this process. Cheap to make: nothing is copied or compiled."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        max_batch_rows: int = 64,
        lockstep: Lockstep | None = None,
        skips_forced: bool = True,
    ) -> None:
        """
        Args:
            model: a causal language model of transformers, or one wrapped by peft.
            tokenizer: its tokenizer.
            max_batch_rows: rows that hold a key-value cache at once; bounds its memory.
            lockstep: where a forward needs other processes: keeps their number equal. Every process must then leave
                as many sessions and calls of ``generate``, which may be without rows, and none inside another.
            skips_forced: tokens that a grammar forces take no step of their own, where the model's layers allow it.

        Raises:
            ConfigurationError: the model has no key-value cache, or takes no position ids.
        """
        if max_batch_rows < 1:
            raise ValueError(f"max_batch_rows must be at least 1, got {max_batch_rows}")
        inner = model.get_base_model() if hasattr(model, "get_base_model") else model
        _require_cache(inner)
        self.model = model
        self._inner = inner
        self._tokenizer = tokenizer
        self._max_batch_rows = max_batch_rows
        self._lockstep = lockstep
        self._skips_forced = skips_forced
        self._end_ids = end_ids(model, tokenizer)

    def generate(self, requests: Sequence[Request]) -> list[Generation]:
        """All generations, request after request: ``sum(request.n)`` of them.

        Raises:
            FloatingPointError: the model's logits are not numbers.
            ConfigurationError: a request has a grammar and the tokenizer is none that grammars can be compiled for.
        """
        if unsupported_attention(self._inner) is not None:
            with SampledModel(self.model, self._lockstep) as model:
                return self._sampler(model).generate(requests)
        done: dict[int, Generation] = {}
        waiting = deque(requests)
        with self._cached_session() as session:
            while waiting or not session.is_idle:
                # Rows that cannot find room yet are not opened: each may come with a compiled grammar.
                while waiting and session.row_count < self._max_batch_rows:
                    session.open(waiting.popleft())
                for number, generation in session.step():
                    done[number] = generation
                    session.close(number)
        return [done[number] for number in sorted(done)]

    def session(self) -> CachedSession | ReplaySession:
        """A new session, without rows. One whose turns are read anew where the model's layers keep no row's text."""
        if unsupported_attention(self._inner) is None:
            return self._cached_session()
        model = SampledModel(self.model, self._lockstep)
        return ReplaySession(self._sampler(model).generate, model)

    def _cached_session(self) -> CachedSession:
        model = SampledModel(self.model, self._lockstep)
        return CachedSession(
            model,
            self._tokenizer,
            self._end_ids,
            max_batch_rows=self._max_batch_rows,
            skips_forced=self._skips_forced,
        )

    def _sampler(self, model: SampledModel) -> DynamicCacheSampler:
        return DynamicCacheSampler(model, self._tokenizer, self._end_ids, max_batch_rows=self._max_batch_rows)


def end_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """All ids that end a text: the tokenizer's, and those that the model's generation settings add."""
    configured = model.generation_config.eos_token_id if model.generation_config else None
    extra = configured if isinstance(configured, list) else [configured]
    return frozenset(token for token in (tokenizer.eos_token_id, *extra) if token is not None)


def engine_end_ids(engine: Engine, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """``end_ids`` of the model behind an engine, as far as it is known here: else the tokenizer's alone."""
    if isinstance(engine, TransformersEngine):
        return end_ids(engine.model, tokenizer)
    return frozenset({tokenizer.eos_token_id})


def _require_cache(model: PreTrainedModel) -> None:
    parameters = inspect.signature(model.forward).parameters
    # A wrapper that hides the model's own parameters says nothing about them.
    if "input_ids" not in parameters:
        return
    missing = [name for name in NEEDED if name not in parameters]
    if missing:
        raise ConfigurationError(
            f"{type(model).__name__} keeps no key-value cache of transformers, or not one of rows that begin at places "
            f"of their own (its forward lacks {' and '.join(missing)}); take a model that does"
        )
