"""Turns of engines that sample out of our sight, held against our contract.

They have their own ideas of when a stop string is complete and which tokens end a text, and some write a few tokens
more than they were asked for. What is returned ends where our own loop would have ended it: tokens are drawn one after
the other, so a text that is cut is a sample too.
"""

from collections.abc import Collection
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from decoding.closing import Closed, close_text
from decoding.engine import FinishReason, Generation, Request, Timing
from decoding.grammars.compiler import CompiledGrammar, shared_compiler
from decoding.grammars.matcher import GrammarError
from decoding.row import Row
from decoding.turn_ends import TurnEnds
from decoding.vllm_grammar import AppliedGrammar
from envs.grammar import Grammar


@dataclass(frozen=True, kw_only=True)
class Written:
    """What an engine has written for one request."""

    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    """log q of each token under the distribution that it was drawn from; not a number where the engine does not say."""
    finish: FinishReason
    """Why the engine stopped, as it says."""
    error: str | None = None
    """What kept it from going on."""
    seconds: tuple[float, float] | None = None
    """After how many it had its first and its last token, as the engine counts; None: it does not say."""


class TurnReader:
    """Makes generations of what an engine has written. Not for two threads at once."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, end_ids: Collection[int]) -> None:
        """
        Args:
            tokenizer: the model's.
            end_ids: the tokens that end a text.
        """
        self._tokenizer = tokenizer
        self._end_ids = frozenset(end_ids)
        self._ends = TurnEnds(tokenizer, end_ids)
        # Some servers end a text with a special token that ours goes on after.
        self._marks = self._end_ids | frozenset(tokenizer.all_special_ids)

    def read(
        self, request: Request, written: Written, applied: AppliedGrammar, *, grammar_seconds: float = 0.0
    ) -> Generation:
        """One generation.

        Args:
            request: what was asked for.
            written: what came; at least one token.
            applied: what the engine masked by.
            grammar_seconds: what it took to make that, before the engine was asked.
        """
        finish, length = self._end(request, written)
        ids, logprobs = written.token_ids[:length], written.logprobs[:length]
        error = applied.error or written.error
        closed: Closed | None = None
        if applied.masks is not None:
            compiled = self._compiled(applied.masks)
            fault = self._fault(compiled, ids)
            if applied.is_ours:
                error = error or fault
            if finish == "length" and error is None and fault is None and not request.pauses:
                closed = close_text(compiled, ids, most=request.max_new_tokens)
        if closed is not None:
            ids = (*ids[: closed.kept], *closed.completion)
            logprobs = (*logprobs[: closed.kept], *[0.0] * len(closed.completion))
            error = closed.error
        is_whole = finish != "length" or (closed is not None and closed.error is None)
        return Generation(
            token_ids=ids,
            logprobs=logprobs,
            log_z=None,
            finish=finish,
            grammar=applied.masks,
            grammar_error=error,
            grammar_lenient=applied.lenient,
            is_sentence=self._is_sentence(applied, ids) if is_whole else None,
            closed=0 if closed is None else len(closed.completion),
            timing=_timing(written, grammar_seconds),
        )

    def _end(self, request: Request, written: Written) -> tuple[FinishReason, int]:
        """Why and after how many tokens the turn is over."""
        row = Row(request, number=0, stream=None)
        for token, logprob in zip(written.token_ids, written.logprobs, strict=True):
            row.append(token, logprob=logprob, log_z=0.0)
            finish = self._ends.finish(row)
            if finish is not None:
                return finish, len(row.turn_ids)
        return written.finish, len(written.token_ids)

    def _compiled(self, grammar: Grammar) -> CompiledGrammar:
        return shared_compiler(self._tokenizer, end_ids=self._end_ids).compile(grammar)

    def _fault(self, compiled: CompiledGrammar, ids: tuple[int, ...]) -> str | None:
        """Why our own matcher cannot follow a text."""
        matcher = compiled.matcher()
        matcher.consume(ids)
        return matcher.error

    def _is_sentence(self, applied: AppliedGrammar, ids: tuple[int, ...]) -> bool | None:
        """Whether the whole text is a sentence; None where masks alone say so, and where nothing here can tell."""
        if applied.judge is None:
            return None
        try:
            compiled = self._compiled(applied.judge)
        except GrammarError:
            return None
        if applied.lenient is None and compiled.validator is None:
            return None
        return compiled.is_sentence(ids[:-1] if ids[-1] in self._marks else ids)


def _timing(written: Written, grammar: float) -> Timing | None:
    """The engine began once the grammar was there."""
    if written.seconds is None:
        return None
    first, last = written.seconds
    return Timing(grammar=grammar, first_token=grammar + first, last_token=grammar + last)
