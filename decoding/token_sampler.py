"""The contract of what draws a row's tokens in place of the masked distribution."""

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from decoding.grammars.matcher import Matcher


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """A token, and what is recorded of it."""

    token: int
    logprob: float
    """log of its probability under the masked distribution, whatever it was drawn from: so what is recorded of a text
    does not depend on how it was found. -inf where the mask does not allow it."""
    log_weight: float
    """log of the mass that the mask allows at this place; recorded as ``log_z``."""
    ends_row: bool = False
    """The text is given up with this token: the sampler rejects it. Its turn ends with finish ``rejected``."""


class TokenSampler(Protocol):
    """Draws tokens for the rows of one request. One object serves all of them, and may learn from each.

    It is asked for every token of a row, those that the grammar forces included.
    """

    def draw(self, row: int, written: tuple[int, ...], matcher: Matcher | None, log_p: Tensor, uniform: float) -> Drawn:
        """The next token of a row.

        Args:
            row: the row's number in its session.
            written: what the row has written in its turn so far.
            matcher: after ``written``; None where the request has no grammar. Not to be moved: fork it.
            log_p: (V,) log-probabilities of the next token, temperature applied, unmasked.
            uniform: a number in [0, 1) of the row's own random stream; further ones are derived from it.
        """
        ...
