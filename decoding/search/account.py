"""What a search may spend, and has spent."""

from dataclasses import dataclass

from decoding.rollout import Ledger
from envs.errors import ConfigurationError


@dataclass(frozen=True, kw_only=True)
class SearchBudget:
    """Limits of the search for one answer. None: no limit but those of the strategy and of each episode.

    Raises:
        ConfigurationError: a limit leaves no room for anything.
    """

    max_tokens: int | None = None
    """Tokens that the model writes, in all branches together."""
    max_verifier_calls: int | None = None
    """States that are examined or rated."""
    max_expansions: int | None = None
    """Children that are asked for, and answers to questions outside of episodes."""

    def __post_init__(self) -> None:
        for name, least in (("max_tokens", 1), ("max_verifier_calls", 0), ("max_expansions", 1)):
            limit = getattr(self, name)
            if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or limit < least):
                raise ConfigurationError(f"budget.{name} is {limit!r}; expected an integer from {least}, or null")


class Account:
    """Keeps a search within its budget: nothing is granted that could lead out of it.

    What rows in flight may still write is reserved, so that the tokens of a search never exceed ``max_tokens``,
    whichever of its rows ends first.
    """

    def __init__(self, budget: SearchBudget) -> None:
        self._budget = budget
        self._reserved = 0
        self.spent = Ledger()

    def grant_children(self, count: int) -> int:
        """How many of ``count`` children may be begun; they are counted. Each may write one token at least."""
        granted = min(count, self._left(self._budget.max_expansions, self.spent.expansions, count))
        granted = max(0, min(granted, self._left(self._budget.max_tokens, self._tokens_held, granted)))
        self.spent += Ledger(expansions=granted)
        return granted

    def reserve(self, rows: int) -> int | None:
        """What one of ``rows`` rows that go on at once may write, at most its share of what is left; reserved. None: as
        much as it likes; 0: nothing."""
        if self._budget.max_tokens is None:
            return None
        share = (self._budget.max_tokens - self._tokens_held) // max(1, rows)
        # The last few tokens go to the rows that ask first.
        share = max(share, min(1, self._budget.max_tokens - self._tokens_held))
        self._reserved += share
        return share

    def write(self, tokens: int, *, reserved: int | None) -> None:
        """Counts what a row has written, and gives back what was reserved for it."""
        self._reserved -= reserved or 0
        self.spent += Ledger(generated_tokens=tokens)

    def grant_verifications(self, count: int) -> int:
        """How many of ``count`` states may be examined or rated; they are counted."""
        granted = max(0, self._left(self._budget.max_verifier_calls, self.spent.verifier_calls, count))
        self.spent += Ledger(verifier_calls=granted)
        return granted

    def add(self, cost: Ledger) -> None:
        """Counts what has no limit."""
        self.spent += cost

    @property
    def _tokens_held(self) -> int:
        return self.spent.generated_tokens + self._reserved

    @staticmethod
    def _left(limit: int | None, spent: int, wanted: int) -> int:
        return wanted if limit is None else min(wanted, limit - spent)
