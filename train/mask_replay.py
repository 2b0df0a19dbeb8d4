"""The masks that tokens were drawn under, found again from their grammars.

A mask has one bit a token of the vocabulary: 19 KB at 151,936 tokens, too much to keep for every token of a window of
rollouts, and a matcher that reads the sampled ids makes it again in microseconds. So what is kept of a rollout are its
spans (``decoding.rollout.GrammarSpan``), and the masks of a micro-batch live as long as its forward and backward. Masks
that are equal are kept once, and rows that begin alike are asked about once.

The matcher is the one that the engine samples with: same compiler, same end-of-text tokens, read from the start of each
span, forced tokens included. Not covered: masks that depend on anything beyond the grammar and the tokens before.
"""

from collections.abc import Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from threading import Lock

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from decoding.grammars.compiler import shared_compiler
from decoding.grammars.mask_words import allowed_count, is_allowed
from decoding.grammars.matcher import GrammarError, Matcher
from decoding.rollout import GrammarSpan, Rollout
from envs.grammar import Grammar

FREE, FORCED = -1, -2
"""Numbers of tokens that no mask held, and of those that were the only ones that their mask allowed."""

Spans = tuple[GrammarSpan, ...]
"""Those of one rollout; empty: it was sampled freely."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TokenMasks:
    """Which tokens stood to choice at each completion token of a micro-batch."""

    numbers: np.ndarray
    """(B, C) int64: which of the masks each token was drawn under; FREE or FORCED where it was none of them."""
    words: Tensor
    """(K, W) int32: the different masks, bit ``i`` of word ``w`` for token ``32 w + i``; on the CPU."""


class MaskReplay:
    """Finds masks again, on this thread or ahead of it on another."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, end_ids: Collection[int]) -> None:
        """
        Args:
            tokenizer: the model's.
            end_ids: the tokens that end a text, as the engine that sampled has them.
        """
        self._tokenizer = tokenizer
        self._end_ids = frozenset(end_ids)
        self._thread: ThreadPoolExecutor | None = None
        self._ahead: dict[int, tuple[Sequence[Spans], Future[TokenMasks]]] = {}
        self._compiling = Lock()

    def prefetch(self, completion_ids: Tensor, spans: Sequence[Spans]) -> None:
        """Begins to replay a micro-batch on another thread; ``masks`` takes the result up.

        Args:
            completion_ids: (B, C).
            spans: of the B rows. The same object must be given to ``masks``.
        """
        if id(spans) in self._ahead or not any(spans):
            return
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="mask replay")
        ids = completion_ids.cpu().numpy()
        self._ahead[id(spans)] = (spans, self._thread.submit(self._replay, ids, spans))

    def masks(self, completion_ids: Tensor, spans: Sequence[Spans]) -> TokenMasks:
        """The masks of a micro-batch.

        Args:
            completion_ids: (B, C).
            spans: of the B rows.

        Raises:
            RuntimeError: a matcher does not accept what was sampled under its grammar.
        """
        kept = self._ahead.pop(id(spans), None)
        return self._replay(completion_ids.cpu().numpy(), spans) if kept is None else kept[1].result()

    def readable(self, rollout: Rollout) -> Spans:
        """The spans of a rollout, as far as their matchers read it.

        A matcher that met a limit of its back end while sampling (``Rollout.grammar_error``) left what followed free:
        there its span ends.
        """
        if rollout.grammar_error is None:
            return rollout.grammars
        spans = []
        for span in rollout.grammars:
            read = _Walk(self._matcher(span.grammar), _Masks())
            end = next((place for place in range(span.start, span.end) if read.failed(rollout.completion_ids[place])),
                       span.end)  # fmt: skip
            if end > span.start:
                spans.append(replace(span, end=end))
        return tuple(spans)

    def _matcher(self, grammar: Grammar) -> Matcher:
        with self._compiling:
            try:
                return shared_compiler(self._tokenizer, end_ids=self._end_ids).compile(grammar).matcher()
            except GrammarError as error:
                raise RuntimeError(f"a grammar that was sampled under cannot be compiled again: {error}") from error

    def _replay(self, ids: np.ndarray, spans: Sequence[Spans]) -> TokenMasks:
        numbers = np.full(ids.shape, FREE, dtype=np.int64)
        masks = _Masks()
        starts: dict[Grammar, _Node] = {}
        for row, own in enumerate(spans):
            for span in own:
                start = starts.setdefault(span.grammar, _Node())
                walk = _Walk(self._matcher(span.grammar), masks, start)
                for place in range(span.start, span.end):
                    token = int(ids[row, place])
                    if walk.failed(token):
                        raise RuntimeError(
                            f"sampling and training disagree about a grammar: token {token} at place {place} of a"
                            f" completion was sampled under it, and its replay says: {walk.reason}"
                        )
                    numbers[row, place] = walk.number
        return TokenMasks(numbers=numbers, words=masks.stacked())


@dataclass
class _Node:
    """A place in a grammar that some row has reached: the number of its mask, and where its tokens lead."""

    number: int | None = None
    children: "dict[int, _Node]" = field(default_factory=dict)


class _Masks:
    """Different masks, numbered."""

    def __init__(self) -> None:
        self._numbers: dict[bytes, int] = {}

    def number(self, words: np.ndarray) -> int:
        return self._numbers.setdefault(words.tobytes(), len(self._numbers))

    def stacked(self) -> Tensor:
        if not self._numbers:
            return torch.zeros(0, 0, dtype=torch.int32)
        return torch.from_numpy(np.stack([np.frombuffer(words, dtype=np.int32) for words in self._numbers]))


class _Walk:
    """One row's way through a span."""

    def __init__(self, matcher: Matcher, masks: _Masks, start: _Node | None = None) -> None:
        self._matcher = matcher
        self._masks = masks
        self._next = start or _Node()
        self.number = FREE
        """Of the mask that the latest token was drawn under."""
        self.reason = ""
        """Why the latest token was not read."""

    def failed(self, token: int) -> bool:
        """Reads a token; True where the matcher could not, for which there is a ``reason`` then."""
        node = self._next
        # A token that another row has read here is allowed here.
        if token not in node.children:
            words = self._matcher.mask()
            if words is None:
                self.reason = self._matcher.error or "its matcher ran into a limit"
                return True
            if not is_allowed(words, token):
                self.reason = "the mask does not allow it"
                return True
            if node.number is None:
                node.number = FORCED if allowed_count(words) == 1 else self._masks.number(words)
            node.children[token] = _Node()
        assert node.number is not None
        self.number = node.number
        self._next = node.children[token]
        # As in the engine: nothing is read after the end of a sentence.
        if not self._matcher.is_over:
            self._matcher.consume([token])
        return False
