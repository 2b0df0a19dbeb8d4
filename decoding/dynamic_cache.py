"""Sampling with the cache that transformers itself makes for a model: for layers that no cache of slots can hold.

A prompt is read once and its cache repeated for its samples; finished rows leave the batch. Prompts are padded on the
left, with position ids that leave the padding out. Full, sliding-window, chunked and recurrent layers all work:
transformers' own cache keeps each in its form. It copies the cache at every token.
"""

from collections.abc import Collection, Iterator, Sequence

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedTokenizerBase

from decoding.engine import Generation, Request
from decoding.forward import SampledModel
from decoding.row import Row
from decoding.row_opening import open_rows
from decoding.turn_writing import TurnWriter

# Rows that finished are cut out of the cache once this share of the batch is done: each cut copies the cache.
COMPACT_AT = 0.25


class DynamicCacheSampler:
    """Makes whole generations, batch by batch."""

    def __init__(
        self, model: SampledModel, tokenizer: PreTrainedTokenizerBase, end_ids: Collection[int], *, max_batch_rows: int
    ) -> None:
        """
        Args:
            model: a causal language model.
            tokenizer: its tokenizer.
            end_ids: the tokens that end a text.
            max_batch_rows: samples that are decoded at once.
        """
        self._model = model
        # A forced token is drawn like any other: rows cannot read different numbers of tokens here.
        self._writer = TurnWriter(tokenizer, end_ids, skips_forced=False)
        self._max_batch_rows = max_batch_rows

    def generate(self, requests: Sequence[Request]) -> list[Generation]:
        """All generations, request after request: ``sum(request.n)`` of them. The model must have been entered.

        Raises:
            FloatingPointError: the model's logits are not numbers.
            ConfigurationError: a request has a grammar and the tokenizer is none that grammars can be compiled for.
        """
        return [generation for batch in self._batches(requests) for generation in self._generate_batch(batch)]

    def _batches(self, requests: Sequence[Request]) -> Iterator[list[Row]]:
        """Rows of consecutive requests, at most ``max_batch_rows`` a batch; a request may span two batches."""
        rows: list[Row] = []
        for request in requests:
            for row in open_rows(request, self._writer.grammars, first=0):
                rows.append(row)
                if len(rows) == self._max_batch_rows:
                    yield rows
                    rows = []
        if rows:
            yield rows

    @torch.no_grad()
    def _generate_batch(self, rows: list[Row]) -> list[Generation]:
        for number, row in enumerate(rows):
            row.number = number
        done: dict[int, Generation] = {}
        cache, attention_mask, logits = self._prefill(rows)  # attention_mask (B, P), logits (B, V)
        self._writer.advance(rows)
        active = rows
        while True:
            running = [index for index, row in enumerate(active) if row.is_in_turn]
            drawing = [active[index] for index in running]
            self._writer.draw(drawing, logits[running])
            for row in drawing:
                if row.finish is not None:
                    done[row.number] = self._writer.generation(row)
            running = [index for index in running if active[index].is_in_turn]
            if not running:
                return [done[row.number] for row in rows]
            if len(running) <= (1 - COMPACT_AT) * len(active):
                keep = torch.tensor(running, device=attention_mask.device)
                cache.reorder_cache(keep)
                attention_mask = attention_mask[keep]
                active = [active[index] for index in running]
            attention_mask = torch.cat([attention_mask, attention_mask.new_ones(len(active), 1)], dim=1)
            logits = self._model.last_logits(
                # Until it is cut out, a finished row goes on with its last token, and nobody reads what follows.
                input_ids=torch.tensor([[row.ids[-1]] for row in active], device=attention_mask.device),
                attention_mask=attention_mask,
                position_ids=attention_mask.sum(dim=1, keepdim=True) - 1,
                past_key_values=cache,
            )

    def _prefill(self, rows: Sequence[Row]) -> tuple[DynamicCache, Tensor, Tensor]:
        """One forward over the distinct prompts, left-padded, then repeated for the rows.

        Returns:
            The cache of B rows, the attention mask (B, P) and the logits of the first token (B, V).
        """
        texts = [tuple(row.request.prompt_ids) for row in rows]
        order = {prompt: index for index, prompt in enumerate(dict.fromkeys(texts))}
        width = max(map(len, order))
        device = self._model.model.device
        # Which token pads is of no consequence: it is masked.
        input_ids = torch.zeros(len(order), width, dtype=torch.long, device=device)
        attention_mask = torch.zeros_like(input_ids)
        for prompt, index in order.items():
            input_ids[index, width - len(prompt) :] = torch.tensor(prompt, device=device)
            attention_mask[index, width - len(prompt) :] = 1
        cache = DynamicCache(config=self._model.model.config)
        logits = self._model.last_logits(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=(attention_mask.cumsum(dim=1) - 1).clamp(min=0),
            past_key_values=cache,
        )
        repeat = torch.tensor([order[text] for text in texts], device=device)
        # Unlike batch_select_indices, which does the same, it knows recurrent layers as well.
        cache.reorder_cache(repeat)
        return cache, attention_mask[repeat], logits[repeat]
