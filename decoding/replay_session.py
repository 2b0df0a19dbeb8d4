"""A session over an engine that has none of its own: each turn is a new request, with all that was said as its prompt.

For models whose layers cannot keep a row between two turns, and for engines that know finished requests only and find
what they have read before in a prefix cache of their own.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from types import TracebackType

from decoding.engine import Generation, Request
from decoding.seeds import derived_seed, fork_stream, sample_stream
from envs.grammar import Grammar


@dataclass(kw_only=True)
class _Text:
    """A row: what was said, and its pending request."""

    request: Request
    ids: tuple[int, ...]
    stream: str | None
    turns: int = 0
    grammar: Grammar | None = None
    """Of the current turn, or of the last one."""
    start: int = 0
    """The index in ``ids`` of the first token of its sentence; without a grammar, of the turn that goes on."""
    pending: Request | None = None

    def begin_turn(self, max_new_tokens: int, *, pauses: bool) -> None:
        seed = None if self.stream is None else derived_seed(self.stream, str(self.turns))
        self.pending = replace(
            self.request,
            prompt_ids=self.ids,
            max_new_tokens=max_new_tokens,
            n=1,
            seed=seed,
            grammar=self.grammar,
            written=len(self.ids) - self.start,
            pauses=pauses,
        )
        self.turns += 1

    def end_turn(self, generation: Generation) -> None:
        self.ids += tuple(generation.token_ids)
        self.pending = None
        # What a stop has ended is none of the text in which the next one is looked for; a grammar's sentence goes on.
        if self.grammar is None and generation.finish != "length":
            self.start = len(self.ids)


class ReplaySession:
    """Rows whose pending turns all run to their end in one ``step``. A context manager.

    Samples of a seeded request are those of its rows, not those that the engine gives for the request as a whole.
    """

    def __init__(
        self,
        generate: Callable[[Sequence[Request]], list[Generation]],
        scope: AbstractContextManager[object] | None = None,
    ) -> None:
        """
        Args:
            generate: an engine's call; one generation for each request.
            scope: entered and left with the session.
        """
        self._generate = generate
        self._scope = nullcontext() if scope is None else scope
        self._rows: dict[int, _Text] = {}
        self._opened = 0

    def open(self, request: Request) -> tuple[int, ...]:
        """Begins the first turn of ``request.n`` new rows; returns their numbers."""
        numbers = []
        for sample in range(request.n):
            row = _Text(
                request=request,
                ids=tuple(request.prompt_ids),
                stream=sample_stream(request.seed, sample),
                grammar=request.grammar,
                start=len(request.prompt_ids) - request.written,
            )
            row.begin_turn(request.max_new_tokens, pauses=request.pauses)
            numbers.append(self._add(row))
        return tuple(numbers)

    def step(self) -> list[tuple[int, Generation]]:
        """Runs all pending turns to their end; returns them."""
        pending = [(number, row, row.pending) for number, row in self._rows.items() if row.pending is not None]
        if not pending:
            return []
        generations = self._generate([request for _, _, request in pending])
        ended = []
        for (number, row, _), generation in zip(pending, generations, strict=True):
            row.end_turn(generation)
            ended.append((number, generation))
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
        """Appends tokens that the model did not write, and begins the row's next turn, which is held to ``grammar``
        from its own start. Without tokens the turn before just goes on, under the grammar that it has. With ``pauses``
        a structure is left open at the turn's budget, for who goes on with it.

        Raises:
            ValueError: the row is in a turn, or may write no token.
        """
        text = self._resting(row, "extended")
        if max_new_tokens < 1:
            raise ValueError(f"a turn needs max_new_tokens >= 1, got {max_new_tokens}")
        if token_ids:
            text.ids += tuple(token_ids)
            text.grammar, text.start = grammar, len(text.ids)
        text.begin_turn(max_new_tokens, pauses=pauses)

    def fork(self, row: int, *, seed: int | None) -> int:
        """A new row with the same text, between two turns.

        Raises:
            ValueError: the row is in a turn.
        """
        text = self._resting(row, "forked")
        return self._add(replace(text, stream=fork_stream(seed)))

    def close(self, row: int) -> None:
        """Forgets a row between two turns, or after its last.

        Raises:
            ValueError: the row is in a turn.
        """
        self._resting(row, "closed")
        del self._rows[row]

    @property
    def is_idle(self) -> bool:
        """No row is in a turn: ``step`` has nothing to do."""
        return all(row.pending is None for row in self._rows.values())

    def __enter__(self) -> "ReplaySession":
        self._scope.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._rows.clear()
        self._scope.__exit__(kind, error, traceback)

    def _add(self, row: _Text) -> int:
        self._rows[self._opened] = row
        self._opened += 1
        return self._opened - 1

    def _resting(self, number: int, action: str) -> _Text:
        row = self._rows[number]
        if row.pending is not None:
            raise ValueError(f"row {number} is in a turn; it can be {action} once `step` has returned the turn")
        return row
