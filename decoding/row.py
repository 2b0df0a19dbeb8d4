"""One text of a session while it grows: the prompt, the model's turns, and the tokens of others between them."""

import random
import time
from collections.abc import Sequence
from concurrent.futures import Future

import numpy as np
import torch

from decoding.closing import Closed
from decoding.engine import FinishReason, Generation, Request, Timing
from decoding.grammars.matcher import Matcher
from decoding.seeds import fork_stream
from decoding.turn_grammar import TurnGrammar


class Row:
    """A text, the turn that it is in, and where its keys and values lie.

    It knows nothing of the model: who draws its tokens says so with ``append`` and ``end_turn``. Tokens that the turn's
    grammar forces are appended before the model has read what is before them, and are scored once it has.
    """

    def __init__(
        self, request: Request, *, number: int, stream: str | None, grammar: TurnGrammar | None = None
    ) -> None:
        """
        Args:
            request: the prompt, and how every turn of this row is drawn.
            number: its place in the order in which the rows of a session were opened.
            stream: names the row's own random stream; None draws from torch's state on the CPU.
            grammar: of the first turn.
        """
        self.request = request
        self.number = number
        self.ids = list(request.prompt_ids)
        """All tokens so far, whoever wrote them."""
        self.cached = 0
        """How many of them a cache holds: those before ``ids[cached]``."""
        self.slot: int | None = None
        """Where the cache holds them; None while the row has no room there."""
        self.rested = 0
        """For how many steps the row has held its room since its last turn ended."""
        self.grammar = grammar
        """Of the current turn, or of the last one."""
        # Seeded with a string, which is hashed: torch's generator on the CPU would keep 32 bits of a number.
        self._random = None if stream is None else random.Random(stream)
        self.stops_start = len(self.ids) - request.written
        """The index in ``ids`` where stop strings may begin: the start of the turn, also in its later parts."""
        self._begin_turn(request.max_new_tokens, pauses=request.pauses)

    def _begin_turn(self, max_new_tokens: int, *, pauses: bool) -> None:
        self.is_in_turn = True
        self.pauses = pauses
        """At its budget the turn only pauses: what is cut off there stays as it is."""
        self.finish: FinishReason | None = None
        """Why the turn will end, once all that was forced is scored and ``closing`` is done."""
        self.closing: Future[Closed | None] | None = None
        """What becomes of a structure that the budget has cut off."""
        self.rested = 0
        self.turn_start = len(self.ids)
        """The index in ``ids`` of the first token of the current turn, or of the last one; of its current part, where
        it goes on after a pause."""
        self.turn_limit = self.turn_start + max_new_tokens
        """The most tokens that ``ids`` may hold at the end of the turn."""
        self.advanced = -1
        """The length of ``ids`` at which it was last asked what the grammar forces."""
        self.unscored = 0
        """How many of the last tokens were forced and have no ``log_z`` yet."""
        self._logprobs: list[float] = []
        self._log_z: list[float] = []
        self._dropped_log_z = 0.0
        self._begun = time.perf_counter()
        self._times: tuple[float, float] | None = None
        """When the first and the last token of the turn were known, forced ones as soon as the model has read what is
        before them: as if they had been drawn."""

    def extend(
        self,
        token_ids: Sequence[int],
        *,
        max_new_tokens: int,
        grammar: TurnGrammar | None = None,
        pauses: bool = False,
    ) -> None:
        """Appends tokens that the model did not write and begins the next turn, which is held to ``grammar``. Without
        tokens the turn before goes on, under its own. With ``pauses`` nothing is closed at its budget.

        Raises:
            ValueError: the row is in a turn, or may write no token.
        """
        self.require_between_turns("extended")
        if max_new_tokens < 1:
            raise ValueError(f"a turn needs max_new_tokens >= 1, got {max_new_tokens}")
        self.ids.extend(token_ids)
        if token_ids:
            self.grammar = grammar
            self.stops_start = len(self.ids)
        self._begin_turn(max_new_tokens, pauses=pauses)

    def fork(self, *, number: int, seed: int | None) -> "Row":
        """A row with the same text, in the same turn, without a cache; its random stream is its own."""
        grammar = None if self.grammar is None else self.grammar.fork()
        row = Row(self.request, number=number, stream=fork_stream(seed), grammar=grammar)
        row.ids = list(self.ids)
        row.is_in_turn, row.finish, row.closing = self.is_in_turn, self.finish, self.closing
        row.turn_start, row.turn_limit, row.pauses = self.turn_start, self.turn_limit, self.pauses
        row.stops_start = self.stops_start
        row.advanced, row.unscored = self.advanced, self.unscored
        row._logprobs, row._log_z = list(self._logprobs), list(self._log_z)
        row._begun, row._times = self._begun, self._times
        return row

    def require_between_turns(self, action: str) -> None:
        """Raises ValueError where the row is in a turn."""
        if self.is_in_turn:
            raise ValueError(f"row {self.number} is in a turn; it can be {action} once `step` has returned the turn")

    @property
    def settled(self) -> int:
        """How many of the first tokens the model can read without being asked what it thinks of the next one: all but
        the last, and those that tell the probability of forced ones."""
        return len(self.ids) - 1 - self.unscored

    @property
    def to_read(self) -> int:
        """How many tokens the model has to read, one by one, before the next is drawn or the turn can end."""
        return len(self.ids) - self.cached - (self.finish is not None)

    @property
    def turn_ids(self) -> list[int]:
        """What was written in the current turn so far."""
        return self.ids[self.turn_start :]

    @property
    def is_at_limit(self) -> bool:
        """The turn's budget is spent."""
        return len(self.ids) >= self.turn_limit

    @property
    def log_weight(self) -> float:
        """The sum of ``log_z`` in the turn so far, as far as it is known."""
        return sum(self._log_z)

    def uniform(self) -> float:
        """The next number in [0, 1) for drawing a token; torch's state moves for rows without a stream alone."""
        return torch.rand((), dtype=torch.float64).item() if self._random is None else self._random.random()

    def matcher(self) -> Matcher | None:
        """The matcher after all that was written; None where nothing holds the row to a grammar."""
        return None if self.grammar is None else self.grammar.matcher(self.ids)

    def mask(self) -> np.ndarray | None:
        """Which tokens may come next, as ``Matcher.mask``; None where all may."""
        return None if self.grammar is None else self.grammar.mask(self.ids)

    def append(self, token: int, *, logprob: float, log_z: float) -> None:
        """Records a token that was drawn."""
        self.ids.append(token)
        self._logprobs.append(logprob)
        self._log_z.append(log_z)
        self._note_time()

    def append_forced(self, token: int) -> None:
        """Records a token that the grammar leaves no choice but."""
        self.ids.append(token)
        self._logprobs.append(0.0)
        self.unscored += 1

    def score(self, log_z: float) -> None:
        """Records the probability that the model gave to the first of the forced tokens that has none yet."""
        self._log_z.append(log_z)
        self.unscored -= 1
        self._note_time()

    def close_text(self, kept: int, completion: Sequence[int]) -> None:
        """Puts ``completion`` in place of what follows the first ``kept`` ids, all of which are scored."""
        self.ids[kept:] = completion
        self.cached = min(self.cached, kept, len(self.ids) - 1)
        written = kept - self.turn_start
        self._dropped_log_z = sum(self._log_z[written:])
        self._logprobs[written:] = [0.0] * len(completion)
        self._log_z[written:] = [0.0] * len(completion)
        self._note_time()
        # Whatever follows, a stop in these words is none of the model's.
        self.stops_start = len(self.ids)

    def end_turn(self, *, closed: int = 0, error: str | None = None, is_sentence: bool | None = None) -> Generation:
        """What was written in the turn, which is over.

        Args:
            closed: how many of the last tokens ``close_text`` has put there.
            error: why it could not.
            is_sentence: what was found out about the text.
        """
        assert self.finish is not None
        self.is_in_turn = False
        if self.finish != "length":
            # A turn that goes on nevertheless looks for its next stop after the one that it has met.
            self.stops_start = len(self.ids)
        grammar = self.grammar
        compiled = None if grammar is None else grammar.compiled()
        is_weighted = compiled is not None or self.request.sampler is not None
        if grammar is not None:
            # A matcher that ran into its own limits lets everything pass from there on: that is an error to report too.
            error = grammar.error or grammar.limit() or error
        return Generation(
            token_ids=tuple(self.turn_ids),
            logprobs=tuple(self._logprobs),
            log_z=tuple(self._log_z) if is_weighted else None,
            finish=self.finish,
            grammar=None if compiled is None else compiled.grammar,
            grammar_error=error,
            grammar_lenient=None if compiled is None else compiled.leniency,
            is_sentence=is_sentence,
            closed=closed,
            dropped_log_z=self._dropped_log_z,
            timing=self._timing(),
        )

    def _note_time(self) -> None:
        now = time.perf_counter()
        self._times = (now if self._times is None else self._times[0], now)

    def _timing(self) -> Timing | None:
        if self._times is None:
            return None
        compiled_at = None if self.grammar is None else self.grammar.compiled_at
        return Timing(
            # A grammar that goes on from the turn before was compiled then.
            grammar=0.0 if compiled_at is None else max(0.0, compiled_at - self._begun),
            first_token=self._times[0] - self._begun,
            last_token=self._times[1] - self._begun,
        )
