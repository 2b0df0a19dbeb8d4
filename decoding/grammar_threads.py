"""Threads that compile grammars, move matchers and compute masks while the model works.

The back ends let other threads run while they compute, and so does torch, so a mask costs the model nothing but the
processor that it is computed on.
"""

import os
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import cache

from transformers import PreTrainedTokenizerBase

from decoding.closing import Closed, close_text, require_room
from decoding.grammars.compiled import CompiledGrammar
from decoding.grammars.compiler import shared_compiler
from decoding.turn_grammar import TurnGrammar
from envs.grammar import Grammar

# Fewer rows than this are not worth a thread of their own.
ROWS_A_THREAD = 8
MOST_THREADS = 8


@cache
def _threads() -> ThreadPoolExecutor:
    """Those of the whole process. Masks are waited for and compilations are not, so each kind has its own."""
    return ThreadPoolExecutor(min(MOST_THREADS, os.cpu_count() or 1), thread_name_prefix="grammar mask")


@cache
def _compiling_threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(2, thread_name_prefix="grammar compiler")


class GrammarThreads:
    """The work on the grammars of one tokenizer's rows."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, end_ids: Collection[int]) -> None:
        """
        Args:
            tokenizer: the model's.
            end_ids: the tokens that end a text.
        """
        self._tokenizer = tokenizer
        self._end_ids = frozenset(end_ids)

    def begin(self, grammar: Grammar, *, start: int, written: int, most: int | None) -> TurnGrammar:
        """A turn's grammar, which is compiled from now on.

        Args:
            grammar: what the turn is held to.
            start: the index in the row's ids of the sentence's first token.
            written: how many tokens of the sentence there are already.
            most: how many more the turn may write. Where no sentence is as short, the grammar is not applied. None: the
                turn pauses, and may go on as long as it takes.

        Raises:
            ConfigurationError: the tokenizer is none that grammars can be compiled for.
        """
        compiler = shared_compiler(self._tokenizer, end_ids=self._end_ids)

        def compile_it() -> CompiledGrammar:
            compiled = compiler.compile(grammar)
            if not written and most is not None:
                require_room(compiled, most)
            return compiled

        return TurnGrammar(grammar, start=start, compiling=_compiling_threads().submit(compile_it))

    def wait(self, turns: Sequence[TurnGrammar], *, timeout: float | None) -> None:
        """Waits until all of the grammars are compiled or so many seconds are over; None: until one of them is."""
        until = FIRST_COMPLETED if timeout is None else ALL_COMPLETED
        wait([turn.compiling for turn in turns], timeout=timeout, return_when=until)

    def forced(self, turns: Sequence[tuple[TurnGrammar, Sequence[int]]]) -> list[tuple[int, ...]]:
        """The tokens that must follow the ids of each row. Returns when all are known."""
        found: list[tuple[int, ...]] = [()] * len(turns)

        def find(places: Sequence[int]) -> None:
            for place in places:
                turn, ids = turns[place]
                found[place] = turn.forced(ids)

        applied = [place for place, (turn, _) in enumerate(turns) if turn.settled() is not None]
        for work in self._share(applied, find):
            work.result()
        return found

    def compute_masks(self, turns: Sequence[tuple[TurnGrammar, Sequence[int]]]) -> None:
        """Begins to compute the masks after the ids of each row. Returns at once; the ids must stay as they are until
        ``TurnGrammar.mask`` has returned."""

        def compute(places: Sequence[int]) -> None:
            for place in places:
                turn, ids = turns[place]
                turn.compute_mask(ids)

        applied = [place for place, (turn, _) in enumerate(turns) if turn.settled() is not None]
        shares = self._share(applied, compute)
        for index, place in enumerate(applied):
            turns[place][0].lend(shares[index % len(shares)])

    def close(self, turn: TurnGrammar, ids: Sequence[int], *, kept: int, most: int) -> "Future[Closed | None]":
        """Begins to close a text that its budget has cut off, ``decoding.closing.close_text`` of the sentence so far.

        Args:
            turn: its grammar.
            ids: of the whole row.
            kept: the index in ``ids`` before which nothing may change.
            most: the most ids that the row may come to.
        """
        compiled = turn.compiled()
        assert compiled is not None
        sentence, kept, most = tuple(ids[turn.start :]), kept - turn.start, most - turn.start
        return _threads().submit(close_text, compiled, sentence, kept=kept, most=most)

    def _share(self, places: Sequence[int], work: Callable[[Sequence[int]], None]) -> "list[Future[None]]":
        """Work on every n-th place in n threads."""
        count = max(1, min(MOST_THREADS, os.cpu_count() or 1, len(places) // ROWS_A_THREAD))
        return [_threads().submit(work, places[share::count]) for share in range(count)]
