"""An engine over a transformers model: batched sampling with our own loop.

A prompt is prefilled once and its cache repeated for its samples; finished rows leave the batch; log-probabilities and
the grammar's allowed mass are recorded as tokens are drawn. Prompts are padded on the left, with position ids that
leave the padding out. Full, sliding-window, chunked and recurrent layers all work: transformers' own cache keeps each
in its form. Not covered: models without that cache (XLNet, RWKV, Mamba's own), and devices without float64 (MPS).
"""

import inspect
import math
import random
from collections.abc import Iterator, Sequence

import llguidance
import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel, PreTrainedTokenizerBase

from decoding.engine import FinishReason, Generation, Request
from decoding.grammar_processor import GrammarLogitsProcessor
from decoding.grammars import GrammarError, matcher_error, shared_compiler
from envs.errors import ConfigurationError

# Rows that finished are cut out of the cache once this share of the batch is done: each cut copies the cache.
COMPACT_AT = 0.25


class TransformersEngine:
    """Samples from a causal language model held in this process. Cheap to make: nothing is copied or compiled."""

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, *, max_batch_rows: int = 64) -> None:
        """
        Args:
            model: a causal language model of transformers, or one wrapped by peft.
            tokenizer: its tokenizer.
            max_batch_rows: samples that are decoded at once; bounds the memory of the key-value cache.

        Raises:
            ConfigurationError: the model has no key-value cache.
        """
        if max_batch_rows < 1:
            raise ValueError(f"max_batch_rows must be at least 1, got {max_batch_rows}")
        _require_cache(model)
        self.model = model
        self._tokenizer = tokenizer
        self._max_batch_rows = max_batch_rows
        self._end_ids = end_ids(model, tokenizer)

    @torch.no_grad()
    def generate(self, requests: Sequence[Request]) -> list[Generation]:
        """All generations, request after request: ``sum(request.n)`` of them.

        Raises:
            FloatingPointError: the model's logits are not numbers.
            ConfigurationError: a request has a grammar and the tokenizer is none that llguidance can read.
        """
        training = [module for module in self.model.modules() if module.training]
        self.model.eval()
        try:
            return [generation for batch in self._batches(requests) for generation in self._generate_batch(batch)]
        finally:
            # One by one: a frozen part that its owner had set to eval stays there.
            for module in training:
                module.training = True

    def _batches(self, requests: Sequence[Request]) -> Iterator[list["_Row"]]:
        """Rows of consecutive requests, at most ``max_batch_rows`` a batch; a request may span two batches."""
        rows: list[_Row] = []
        for request in requests:
            for sample in range(request.n):
                rows.append(_Row(request, sample))
                if len(rows) == self._max_batch_rows:
                    yield rows
                    rows = []
        if rows:
            yield rows

    def _generate_batch(self, rows: list["_Row"]) -> list[Generation]:
        for row in rows:
            self._start_grammar(row)
        processor = GrammarLogitsProcessor([row.matcher for row in rows])
        cache, attention_mask, logits = self._prefill(rows)  # attention_mask (B, P), logits (B, V)
        sampled = torch.empty(len(rows), 0, dtype=torch.long, device=self.model.device)  # (B, generated so far)
        active = rows
        while True:
            tokens = self._sample(active, processor, sampled, logits)
            running = [index for index, row in enumerate(active) if row.finish is None]
            if not running:
                return [row.generation() for row in rows]
            # Until it is cut out, a finished row goes on with arbitrary tokens that nobody reads.
            processor.release(index for index, row in enumerate(active) if row.finish is not None)
            sampled = torch.cat([sampled, tokens[:, None]], dim=1)
            if len(running) <= (1 - COMPACT_AT) * len(active):
                keep = torch.tensor(running, device=self.model.device)
                cache.reorder_cache(keep)
                processor.keep(running)
                attention_mask, sampled, tokens = attention_mask[keep], sampled[keep], tokens[keep]
                active = [active[index] for index in running]
            attention_mask = torch.cat([attention_mask, attention_mask.new_ones(len(active), 1)], dim=1)
            positions = attention_mask.sum(dim=1, keepdim=True) - 1
            logits = self.model(
                input_ids=tokens[:, None],
                attention_mask=attention_mask,
                position_ids=positions,
                past_key_values=cache,
                use_cache=True,
            ).logits[:, -1]

    def _start_grammar(self, row: "_Row") -> None:
        if row.request.grammar is None:
            return
        try:
            row.matcher = shared_compiler(self._tokenizer, end_ids=self._end_ids).matcher(row.request.grammar)
            row.log_z = []
        except GrammarError as error:
            row.compile_error = str(error)

    def _prefill(self, rows: Sequence["_Row"]) -> tuple[DynamicCache, Tensor, Tensor]:
        """One forward over the distinct prompts, left-padded, then repeated for the rows.

        Returns:
            The cache of B rows, the attention mask (B, P) and the logits of the first token (B, V).
        """
        prompts: dict[int, Sequence[int]] = {id(row.request): row.request.prompt_ids for row in rows}
        order = {request: index for index, request in enumerate(prompts)}
        width = max(map(len, prompts.values()))
        device = self.model.device
        # Which token pads is of no consequence: it is masked.
        input_ids = torch.zeros(len(prompts), width, dtype=torch.long, device=device)
        attention_mask = torch.zeros_like(input_ids)
        for index, prompt in enumerate(prompts.values()):
            input_ids[index, width - len(prompt) :] = torch.tensor(prompt, device=device)
            attention_mask[index, width - len(prompt) :] = 1
        cache = DynamicCache(config=self.model.config)
        logits = self.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=(attention_mask.cumsum(dim=1) - 1).clamp(min=0),
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        ).logits[:, -1]
        repeat = torch.tensor([order[id(row.request)] for row in rows], device=device)
        # Unlike batch_select_indices, which does the same, it knows recurrent layers as well.
        cache.reorder_cache(repeat)
        return cache, attention_mask[repeat], logits[repeat]

    def _sample(
        self, rows: Sequence["_Row"], processor: GrammarLogitsProcessor, sampled: Tensor, logits: Tensor
    ) -> Tensor:
        """Draws one token a row, records it in the rows that still run, and returns the tokens (B,)."""
        temperature = torch.tensor([row.request.temperature or 1.0 for row in rows], device=logits.device)
        scaled = logits.float() / temperature[:, None]
        masked = processor(sampled, scaled)
        mass = masked.logsumexp(dim=1)
        log_q = masked - mass[:, None]
        tokens = _draw(log_q, rows)
        log_z = (mass - scaled.logsumexp(dim=1)).clamp(max=0).tolist() if masked is not scaled else [0.0] * len(rows)
        chosen = log_q.gather(1, tokens[:, None]).squeeze(1).tolist()
        for row, token, logprob, allowed in zip(rows, tokens.tolist(), chosen, log_z, strict=True):
            if row.finish is None:
                if math.isnan(logprob):
                    raise FloatingPointError(
                        f"the model's logits are not numbers after {len(row.token_ids)} tokens: its weights have "
                        "diverged (a smaller learning rate), or its type is too narrow (bfloat16 instead of float16)"
                    )
                row.append(token, logprob, allowed)
                row.finish = self._finish(row)
        return tokens

    def _finish(self, row: "_Row") -> FinishReason | None:
        if row.token_ids[-1] in self._end_ids:
            return "eos"
        if row.request.stops:
            # A tag is at most as many tokens as it has bytes, so the tail of the text is enough to look at.
            longest = max(len(stop.encode()) for stop in row.request.stops)
            tail = self._tokenizer.decode(row.token_ids[-longest - 1 :], clean_up_tokenization_spaces=False)
            if any(stop in tail for stop in row.request.stops):
                return "stop"
        return "length" if len(row.token_ids) == row.request.max_new_tokens else None


class _Row:
    """One sample while it grows."""

    def __init__(self, request: Request, sample: int) -> None:
        self.request = request
        self.token_ids: list[int] = []
        self.logprobs: list[float] = []
        self.log_z: list[float] | None = None
        self.matcher: llguidance.LLMatcher | None = None
        self.compile_error: str | None = None
        self.finish: FinishReason | None = None
        # Seeded with a string, which is hashed: torch's generator on the CPU would keep 32 bits of a number.
        self._random = None if request.seed is None else random.Random(f"{request.seed}:{sample}")

    def uniform(self) -> float:
        """The next number in [0, 1) for drawing a token; torch's state moves for requests without a seed alone."""
        return torch.rand((), dtype=torch.float64).item() if self._random is None else self._random.random()

    def append(self, token: int, logprob: float, log_z: float) -> None:
        self.token_ids.append(token)
        self.logprobs.append(logprob)
        if self.log_z is not None:
            self.log_z.append(log_z)

    def generation(self) -> Generation:
        assert self.finish is not None
        # A matcher that ran into its own limits lets everything pass from there on: that is an error to report too.
        return Generation(
            token_ids=tuple(self.token_ids),
            logprobs=tuple(self.logprobs),
            log_z=None if self.log_z is None else tuple(self.log_z),
            finish=self.finish,
            grammar_error=self.compile_error if self.matcher is None else matcher_error(self.matcher),
        )


def end_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """All ids that end a text: the tokenizer's, and those that the model's generation settings add."""
    configured = model.generation_config.eos_token_id if model.generation_config else None
    extra = configured if isinstance(configured, list) else [configured]
    return frozenset(token for token in (tokenizer.eos_token_id, *extra) if token is not None)


def _draw(log_q: Tensor, rows: Sequence[_Row]) -> Tensor:
    """One token a row (B,) by inversion of the cumulative distribution, so that a row needs one uniform number."""
    most_probable = log_q.argmax(dim=1)
    is_greedy = [row.request.temperature == 0 for row in rows]
    if all(is_greedy):
        return most_probable
    uniform = [0.0 if greedy else row.uniform() for row, greedy in zip(rows, is_greedy, strict=True)]
    # float64: the sum over 100,000 tokens must not swallow the rare ones.
    cumulative = log_q.exp().cumsum(dim=1, dtype=torch.float64)
    threshold = torch.tensor(uniform, dtype=torch.float64, device=log_q.device)[:, None] * cumulative[:, -1:]
    drawn = torch.searchsorted(cumulative, threshold, right=True).squeeze(1).clamp(max=log_q.shape[1] - 1)
    return torch.where(torch.tensor(is_greedy, device=log_q.device), most_probable, drawn)


def _require_cache(model: PreTrainedModel) -> None:
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    parameters = inspect.signature(inner.forward).parameters
    # A wrapper that hides the model's own parameters says nothing about them.
    if "input_ids" in parameters and not {"past_key_values", "attention_mask"} <= parameters.keys():
        raise ConfigurationError(
            f"{type(inner).__name__} keeps no key-value cache of transformers (its forward lacks past_key_values or "
            "attention_mask); take a model that does"
        )
