"""The contract of a session: rows that are decoded together and outlive their turns.

A row is one text: a prompt, then turns of the model and, between them, tokens that others wrote. Between two turns a
row can be extended, forked or closed; what it has read is not read again, where the engine can help it.
"""

from collections.abc import Sequence
from types import TracebackType
from typing import Protocol

from decoding.engine import Generation, Request
from envs.grammar import Grammar


class Session(Protocol):
    """Makes turns of many rows at once. A context manager: on leaving it, its memory is given back.

    Rows are numbered in the order in which they were opened. The session decides how many of them decode at once.
    """

    def open(self, request: Request) -> tuple[int, ...]:
        """Begins the first turn of ``request.n`` new rows; returns their numbers. Their prompt is read once."""
        ...

    def step(self) -> list[tuple[int, Generation]]:
        """Draws one token for every row that is in a turn; returns the rows whose turn has ended with it, each with
        what it wrote in that turn. Empty at once where no row is in a turn."""
        ...

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
            ValueError: the row is in a turn.
        """
        ...

    def fork(self, row: int, *, seed: int | None) -> int:
        """A new row with the same text as ``row``, which must be between two turns; draws of its own. Its number."""
        ...

    def close(self, row: int) -> None:
        """Forgets a row between two turns, or after its last."""
        ...

    @property
    def is_idle(self) -> bool:
        """No row is in a turn: ``step`` has nothing to do."""
        ...

    def __enter__(self) -> "Session": ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


class TokenSession(Session, Protocol):
    """A session whose ``step`` is one token of each row, and which can change its rows between any two of them."""

    def fork(self, row: int, *, seed: int | None) -> int:
        """As ``Session.fork``, also in the midst of a turn: what ``row`` has written of it counts as written by the new
        row too, with all that is recorded of it."""
        ...

    def close(self, row: int) -> None:
        """Forgets a row, also in the midst of a turn, which then never ends."""
        ...

    def log_weight(self, row: int) -> float:
        """The sum of ``log_z`` over what the row has written in its turn, as far as it is known: forced tokens are
        scored when the model reads them, before the next draw."""
        ...
