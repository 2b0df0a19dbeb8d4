"""The contract of a matcher: a place in a formal language, moved by tokens.

Every back end has one; engines, samplers and the replay of masks in training know no more than this.
"""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np


class Matcher(Protocol):
    """What may follow the tokens that it has read. Not for two threads at once; forks are independent."""

    def consume(self, token_ids: Sequence[int]) -> None:
        """Reads tokens. One that the language does not allow here, and limits of the back end, put it in error."""
        ...

    def rollback(self, count: int) -> None:
        """Forgets the last ``count`` tokens that it has read."""
        ...

    def fork(self) -> "Matcher":
        """Another matcher at the same place."""
        ...

    def mask(self) -> np.ndarray | None:
        """Which tokens may come next: (W,) words of 32 bits (int32), bit ``i`` of word ``w`` for token ``32 w + i``.

        End-of-text tokens are allowed exactly where the text so far is a whole sentence. None: the matcher is in error,
        or has run into a limit of its back end while it computed; nothing is known then, and ``error`` says why.
        """
        ...

    def forced(self) -> tuple[int, ...]:
        """The next tokens as far as each is the only one that its mask would allow; an end-of-text token that is forced
        comes last. Empty where there is a choice. The matcher does not move."""
        ...

    @property
    def is_accepting(self) -> bool:
        """The text so far is a whole sentence."""
        ...

    @property
    def is_over(self) -> bool:
        """Nothing but an end-of-text token may follow, or one has been read, or the matcher is in error."""
        ...

    @property
    def error(self) -> str | None:
        """Why it can go no further, on one line; None: it can."""
        ...


@runtime_checkable
class KnowsEnding(Protocol):
    """A matcher that can say how a text may end, which others have to search."""

    def ending(self) -> bytes | None:
        """A short text that makes the text whole, or ends its block; None: it knows none."""
        ...


class GrammarError(ValueError):
    """A grammar cannot be compiled; carries the reason."""
