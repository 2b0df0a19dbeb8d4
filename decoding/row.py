"""One text of a session while it grows: the prompt, the model's turns, and the tokens of others between them."""

import random
from collections.abc import Sequence

import llguidance
import torch

from decoding.engine import FinishReason, Generation, Request
from decoding.grammars import matcher_error
from decoding.seeds import fork_stream


class Row:
    """A text, the turn that it is in, and where its keys and values lie.

    It knows nothing of the model: who draws its tokens says so with ``append`` and ``end_turn``.
    """

    def __init__(
        self,
        request: Request,
        *,
        number: int,
        stream: str | None,
        matcher: llguidance.LLMatcher | None = None,
        compile_error: str | None = None,
    ) -> None:
        """
        Args:
            request: the prompt, and how every turn of this row is drawn.
            number: its place in the order in which the rows of a session were opened.
            stream: names the row's own random stream; None draws from torch's state on the CPU.
            matcher: at the start of the request's grammar.
            compile_error: why there is none.
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
        self.matcher = matcher
        self._compile_error = compile_error
        self._matched = len(self.ids)
        # Seeded with a string, which is hashed: torch's generator on the CPU would keep 32 bits of a number.
        self._random = None if stream is None else random.Random(stream)
        self._begin_turn(request.max_new_tokens)

    def _begin_turn(self, max_new_tokens: int) -> None:
        self.is_in_turn = True
        self.rested = 0
        self.turn_start = len(self.ids)
        """The index in ``ids`` of the first token of the current turn, or of the last one."""
        self.turn_limit = self.turn_start + max_new_tokens
        """The most tokens that ``ids`` may hold at the end of the turn."""
        self._logprobs: list[float] = []
        self._log_z: list[float] | None = None if self.matcher is None else []

    def extend(self, token_ids: Sequence[int], *, max_new_tokens: int) -> None:
        """Appends tokens that the model did not write and begins the next turn.

        Raises:
            ValueError: the row is in a turn, has a grammar, or may write no token.
        """
        self.require_between_turns("extended")
        self._require_no_grammar("extended")
        if max_new_tokens < 1:
            raise ValueError(f"a turn needs max_new_tokens >= 1, got {max_new_tokens}")
        self.ids.extend(token_ids)
        self._begin_turn(max_new_tokens)

    def fork(self, *, number: int, seed: int | None) -> "Row":
        """A row with the same text, between two turns, without a cache; its random stream is its own.

        Raises:
            ValueError: the row is in a turn, or has a grammar.
        """
        self.require_between_turns("forked")
        self._require_no_grammar("forked")
        row = Row(self.request, number=number, stream=fork_stream(seed))
        row.ids = list(self.ids)
        row.is_in_turn = False
        return row

    def require_between_turns(self, action: str) -> None:
        """Raises ValueError where the row is in a turn."""
        if self.is_in_turn:
            raise ValueError(f"row {self.number} is in a turn; it can be {action} once `step` has returned the turn")

    def _require_no_grammar(self, action: str) -> None:
        if self.request.grammar is not None:
            raise ValueError(f"row {self.number} has a grammar, which knows one turn only: it cannot be {action}")

    @property
    def unread(self) -> int:
        """How many tokens no cache holds."""
        return len(self.ids) - self.cached

    @property
    def turn_ids(self) -> list[int]:
        """What was written in the current turn so far."""
        return self.ids[self.turn_start :]

    @property
    def is_at_limit(self) -> bool:
        """The turn's budget is spent."""
        return len(self.ids) >= self.turn_limit

    def uniform(self) -> float:
        """The next number in [0, 1) for drawing a token; torch's state moves for rows without a stream alone."""
        return torch.rand((), dtype=torch.float64).item() if self._random is None else self._random.random()

    def advanced_matcher(self) -> llguidance.LLMatcher | None:
        """The matcher, after all that was written; None where nothing holds the row to a grammar.

        It is moved here and not in ``append``, so that a limit which it meets after the last token is no error.
        """
        if self.matcher is not None and not self.matcher.is_stopped():
            self.matcher.consume_tokens(self.ids[self._matched :])
        self._matched = len(self.ids)
        return self.matcher

    def append(self, token: int, *, logprob: float, log_z: float) -> None:
        """Records a token that was drawn."""
        self.ids.append(token)
        self._logprobs.append(logprob)
        if self._log_z is not None:
            self._log_z.append(log_z)

    def end_turn(self, finish: FinishReason) -> Generation:
        """What was written in the turn, which is over."""
        self.is_in_turn = False
        # A matcher that ran into its own limits lets everything pass from there on: that is an error to report too.
        return Generation(
            token_ids=tuple(self.turn_ids),
            logprobs=tuple(self._logprobs),
            log_z=None if self._log_z is None else tuple(self._log_z),
            finish=finish,
            grammar_error=self._compile_error if self.matcher is None else matcher_error(self.matcher),
        )
