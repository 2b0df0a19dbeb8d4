"""The grammar of one turn: compiled beside the model, and moved along with what is written.

Its matcher is moved by threads (``decoding.grammar_threads``) while the model works; whoever looks at it here waits for
them first.
"""

import time
from collections.abc import Sequence
from concurrent.futures import Future

import numpy as np

from decoding.grammars.compiled import CompiledGrammar
from decoding.grammars.matcher import GrammarError, Matcher
from envs.grammar import Grammar


class TurnGrammar:
    """A grammar, and the place in it that a row's turn has reached."""

    def __init__(self, grammar: Grammar, *, start: int, compiling: "Future[CompiledGrammar]") -> None:
        """
        Args:
            grammar: what the turn is held to.
            start: the index in the row's ids of the sentence's first token.
            compiling: its compiled form, or a ``GrammarError``.
        """
        self.grammar = grammar
        self.start = start
        self.begun = time.perf_counter()
        self.compiling = compiling
        self.compiled_at: float | None = None
        """When it was compiled or refused, by ``time.perf_counter``."""
        compiling.add_done_callback(self._note_time)
        self.error: str | None = None
        """Why it is not applied; known once it is compiled."""
        self._compiled: CompiledGrammar | None = None
        self._matcher: Matcher | None = None
        self._moved = start
        self._working: Future[None] | None = None
        self._words: np.ndarray | None = None
        self._masked = -1

    @property
    def is_compiled(self) -> bool:
        """The grammar is there, or it is known that it will not be."""
        return self.compiling.done()

    def compiled(self) -> CompiledGrammar | None:
        """The compiled grammar; None where it is not applied. Waits for it."""
        if self._compiled is None and self.error is None:
            try:
                self._compiled = self.compiling.result()
                self._matcher = self._compiled.matcher()
            except GrammarError as error:
                self.error = str(error)
            # Who waited may be here before the callback.
            self._note_time()
        return self._compiled

    def matcher(self, ids: Sequence[int]) -> Matcher | None:
        """The matcher after all of a row's ``ids``; None where nothing holds the row to the grammar any more."""
        matcher = self.settled()
        if matcher is None:
            return None
        self.move(ids)
        return None if matcher.error is not None else matcher

    def mask(self, ids: Sequence[int]) -> np.ndarray | None:
        """Which tokens may follow a row's ``ids``, as ``Matcher.mask``; None where the row is free."""
        matcher = self.settled()
        if matcher is None:
            return None
        if self._masked != len(ids):
            self.compute_mask(ids)
        return self._words

    def is_sentence(self, ids: Sequence[int]) -> bool | None:
        """Whether the turn that ends a row's ``ids`` is a sentence, where masks alone do not say so; None where they
        do, and where the sentence has not ended."""
        compiled = self.compiled()
        if compiled is None or compiled.validator is None:
            return None
        sentence = [token for token in ids[self.start :] if token not in compiled.vocabulary.end_ids]
        matcher = compiled.matcher()
        matcher.consume(sentence)
        if matcher.error is not None or not matcher.is_accepting:
            return None
        return compiled.validator.is_valid(sentence)

    def limit(self) -> str | None:
        """The limit of its back end that the matcher has run into, so that the text went on freely."""
        matcher = self.settled()
        return None if matcher is None else matcher.error

    def move(self, ids: Sequence[int]) -> None:
        """Moves the matcher to the end of ``ids``. For the one thread that has it."""
        assert self._matcher is not None
        # A text that goes on after a sentence's end, or after a limit, is none of the grammar's.
        if not self._matcher.is_over and self._moved < len(ids):
            self._matcher.consume(ids[self._moved :])
        self._moved = len(ids)

    def compute_mask(self, ids: Sequence[int]) -> None:
        """Computes the mask after ``ids``. For the one thread that has the matcher."""
        self.move(ids)
        assert self._matcher is not None
        # A copy: what a back end returns may lie in memory that its next mask takes.
        words = self._matcher.mask()
        self._words = None if words is None else words.copy()
        self._masked = len(ids)

    def forced(self, ids: Sequence[int]) -> tuple[int, ...]:
        """The tokens that must follow ``ids``. For the one thread that has the matcher."""
        self.move(ids)
        assert self._matcher is not None
        return () if self._matcher.error is not None else self._matcher.forced()

    def lend(self, working: "Future[None]") -> None:
        """Leaves the matcher to a thread until ``working`` is done."""
        self._working = working

    def restart(self, ids: Sequence[int]) -> None:
        """Moves a fresh matcher along ``ids``, which were changed."""
        self.settled()
        assert self._compiled is not None
        self._matcher = self._compiled.matcher()
        self._moved = self.start
        self._masked = -1
        self.move(ids)

    def fork(self) -> "TurnGrammar":
        """The same place of the same grammar, for another row with the same ids."""
        fork = TurnGrammar(self.grammar, start=self.start, compiling=self.compiling)
        fork.begun, fork.compiled_at = self.begun, self.compiled_at or fork.compiled_at
        if self.is_compiled and (matcher := self.settled()) is not None:
            fork._compiled, fork._matcher, fork._moved = self._compiled, matcher.fork(), self._moved
            fork._words, fork._masked = self._words, self._masked
        return fork

    def settled(self) -> Matcher | None:
        """The matcher where it stands, which no thread has any more; None where the grammar is not applied."""
        if self._working is not None:
            self._working.result()
            self._working = None
        self.compiled()
        return self._matcher

    def _note_time(self, _: object = None) -> None:
        if self.compiled_at is None:
            self.compiled_at = time.perf_counter()
