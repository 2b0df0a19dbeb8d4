"""An engine over a function from a prefix to logits: for languages so small that every prefix is met again and again.

Its sessions move token by token, and remember every distribution. What samplers ask of the model is counted by them,
not here. Not covered: stop strings, batches (rows are drawn one by one).
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from random import Random
from types import TracebackType

import numpy as np
import torch
from torch import Tensor

from decoding.aligned.masking import log_sum
from decoding.engine import FinishReason, Generation, Request
from decoding.grammars.mask_words import allowed_bits
from decoding.grammars.matcher import Matcher
from decoding.seeds import fork_stream, sample_stream
from envs.grammar import Grammar

Logits = Callable[[tuple[int, ...]], Tensor]
"""(V,) logits after a prompt and what followed it."""


@dataclass(frozen=True, kw_only=True)
class _Masked:
    """The distribution that a mask leaves after some text."""

    log_q: np.ndarray
    cumulative: np.ndarray
    log_z: float


class _Row:
    """A text and its current turn."""

    def __init__(
        self, request: Request, *, stream: str | None, matcher: Matcher | None, known: dict[tuple[int, ...], _Masked]
    ) -> None:
        self.request = request
        self.matcher = matcher
        self.known = known
        self.random = Random(stream)
        self.before = tuple(request.prompt_ids)
        self.begin_turn(request.max_new_tokens)

    def begin_turn(self, limit: int) -> None:
        self.limit = limit
        self.written: list[int] = []
        self.logprobs: list[float] = []
        self.log_z: list[float] = []
        self.finish: FinishReason | None = None

    def fork(self, stream: str | None) -> "_Row":
        matcher = None if self.matcher is None else self.matcher.fork()
        row = _Row(self.request, stream=stream, matcher=matcher, known=self.known)
        row.before, row.limit, row.finish = self.before, self.limit, self.finish
        row.written, row.logprobs, row.log_z = list(self.written), list(self.logprobs), list(self.log_z)
        return row


class PrefixSession:
    """Rows that are drawn one by one, a token a step."""

    def __init__(
        self, logits: Logits, compile_grammar: Callable[[Grammar], Matcher], end_ids: Collection[int], *, jumps: bool
    ) -> None:
        """
        Args:
            jumps: write forced tokens at once, and score them in the next step, as engines do that skip their forward.
        """
        self._logits = logits
        self._compile = compile_grammar
        self._end_ids = frozenset(end_ids)
        self._jumps = jumps
        self._rows: dict[int, _Row] = {}
        self._opened = 0
        self._known: dict[tuple[Grammar | None, float], dict[tuple[int, ...], _Masked]] = {}

    def open(self, request: Request) -> tuple[int, ...]:
        """Begins the first turn of ``request.n`` new rows."""
        numbers = []
        for sample in range(request.n):
            matcher = None if request.grammar is None else self._compile(request.grammar)
            known = self._known.setdefault((request.grammar, request.temperature), {})
            stream = sample_stream(request.seed, sample)
            numbers.append(self._add(_Row(request, stream=stream, matcher=matcher, known=known)))
        return tuple(numbers)

    def step(self) -> list[tuple[int, Generation]]:
        """Draws one token for every row in a turn, after those that were forced."""
        ended: list[tuple[int, Generation]] = []
        for number, row in list(self._rows.items()):
            if row.finish is not None:
                continue
            self._score(row)
            self._draw(number, row)
            if self._jumps and row.finish is None and row.matcher is not None and row.request.sampler is None:
                self._jump(row)
            if row.finish is not None:
                ended.append((number, self._generation(row)))
        return ended

    def extend(
        self,
        row: int,
        token_ids: Sequence[int],
        *,
        max_new_tokens: int,
        grammar: Grammar | None = None,
        pauses: bool = False,
    ) -> None:
        """Appends tokens and begins the row's next turn. What its budget cuts off stays open either way."""
        text = self._rows[row]
        text.before += (*text.written, *token_ids)
        text.matcher = None if grammar is None else self._compile(grammar)
        text.known = self._known.setdefault((grammar, text.request.temperature), {})
        text.begin_turn(max_new_tokens)

    def fork(self, row: int, *, seed: int | None) -> int:
        """A new row with the same text, in the same turn."""
        return self._add(self._rows[row].fork(fork_stream(seed)))

    def close(self, row: int) -> None:
        """Forgets a row."""
        del self._rows[row]

    def log_weight(self, row: int) -> float:
        """The sum of log Z so far; forced tokens come in with the next step."""
        return sum(self._rows[row].log_z)

    @property
    def is_idle(self) -> bool:
        """No row is in a turn."""
        return all(row.finish is not None for row in self._rows.values())

    def __enter__(self) -> "PrefixSession":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._rows.clear()

    def _add(self, row: _Row) -> int:
        self._rows[self._opened] = row
        self._opened += 1
        return self._opened - 1

    def _draw(self, number: int, row: _Row) -> None:
        uniform = row.random.random()
        if row.request.sampler is not None:
            log_p = self._log_p((*row.before, *row.written), row.request.temperature)
            drawn = row.request.sampler.draw(number, tuple(row.written), row.matcher, torch.from_numpy(log_p), uniform)
            token, logprob, log_z = drawn.token, drawn.logprob, drawn.log_weight
            self._append(row, token)
            row.finish = "rejected" if drawn.ends_row else row.finish
        else:
            masked = self._masked(row)
            token = int(masked.cumulative.searchsorted(uniform * masked.cumulative[-1], side="right"))
            if row.request.temperature == 0:
                token = int(np.argmax(masked.log_q))
            logprob, log_z = float(masked.log_q[token]), masked.log_z
            self._append(row, token)
        row.logprobs.append(logprob)
        row.log_z.append(log_z)

    def _log_p(self, ids: tuple[int, ...], temperature: float) -> np.ndarray:
        scaled = self._logits(ids).numpy().astype(np.float64) / (temperature or 1.0)
        return scaled - log_sum(scaled)

    def _masked(self, row: _Row) -> _Masked:
        """What the row draws from now."""
        ids = (*row.before, *row.written)
        if ids not in row.known:
            log_p = self._log_p(ids, row.request.temperature)
            masked = _mask(log_p, row.matcher)
            log_z = log_sum(masked)
            log_q = masked - log_z
            row.known[ids] = _Masked(log_q=log_q, cumulative=np.exp(log_q).cumsum(), log_z=log_z)
        return row.known[ids]

    def _append(self, row: _Row, token: int) -> None:
        row.written.append(token)
        if row.matcher is not None and not row.matcher.is_over:
            row.matcher.consume([token])
        if token in self._end_ids:
            row.finish = "eos"
        elif len(row.written) >= row.limit:
            row.finish = "length"

    def _jump(self, row: _Row) -> None:
        assert row.matcher is not None
        for token in row.matcher.forced():
            if row.finish is None:
                self._append(row, token)
        if row.finish is not None:
            self._score(row)

    def _score(self, row: _Row) -> None:
        """Of the tokens that were forced: all of the allowed mass is theirs."""
        for length in range(len(row.log_z), len(row.written)):
            log_p = self._log_p((*row.before, *row.written[:length]), row.request.temperature)
            row.log_z.append(float(log_p[row.written[length]]))
            row.logprobs.append(0.0)

    def _generation(self, row: _Row) -> Generation:
        assert row.finish is not None
        return Generation(
            token_ids=tuple(row.written),
            logprobs=tuple(row.logprobs),
            log_z=None if row.matcher is None else tuple(row.log_z),
            finish=row.finish,
            grammar=None if row.matcher is None else row.request.grammar,
        )


class PrefixEngine:
    """Generates from a function of the prefix."""

    def __init__(
        self,
        logits: Logits,
        compile_grammar: Callable[[Grammar], Matcher],
        end_ids: Collection[int],
        *,
        jumps: bool = False,
    ) -> None:
        """
        Args:
            logits: the model.
            compile_grammar: a matcher at the start of a grammar.
            end_ids: the tokens that end a text.
            jumps: as in ``PrefixSession``.
        """
        self.logits = logits
        self._parts = (logits, compile_grammar, end_ids)
        self._jumps = jumps

    def session(self) -> PrefixSession:
        """A new session."""
        return PrefixSession(*self._parts, jumps=self._jumps)

    def generate(self, requests: Sequence[Request]) -> list[Generation]:
        """All generations, request after request."""
        done: dict[int, Generation] = {}
        with self.session() as session:
            for request in requests:
                session.open(request)
            while not session.is_idle:
                done.update(session.step())
        return [done[number] for number in sorted(done)]


def _mask(log_p: np.ndarray, matcher: Matcher | None) -> np.ndarray:
    words = None if matcher is None else matcher.mask()
    if words is None:
        return log_p
    masked = np.full(len(log_p), -np.inf)
    allowed = np.flatnonzero(allowed_bits(words)[: len(log_p)])
    masked[allowed] = log_p[allowed]
    return masked
