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

    What a row in flight may still write is reserved. A row begins once all that it could need is there, or else when no
    other is in flight, with what is left: so answers come to their end one after the other where not all of them fit,
    and what each may write does not depend on what is decoded beside it.
    """

    def __init__(self, budget: SearchBudget) -> None:
        self._budget = budget
        self._reserved = 0
        self.spent = Ledger()

    @property
    def tokens_left(self) -> int | None:
        """What nothing is reserved for; None: there is no limit."""
        if self._budget.max_tokens is None:
            return None
        return self._budget.max_tokens - self.spent.generated_tokens - self._reserved

    def reserve(self, tokens: int) -> None:
        """Keeps tokens back for a row that may write them."""
        self._reserved += tokens

    def write(self, tokens: int) -> None:
        """Counts what was written."""
        self.spent += Ledger(generated_tokens=tokens)

    def release(self, tokens: int) -> None:
        """Gives back what was reserved."""
        self._reserved -= tokens

    def expansions_left(self, wanted: int) -> int:
        """How many of ``wanted`` children may be begun."""
        return self._left(self._budget.max_expansions, self.spent.expansions, wanted)

    def expand(self, children: int) -> None:
        """Counts children that were begun, or answers that were asked for."""
        self.spent += Ledger(expansions=children)

    def grant_verifications(self, count: int) -> int:
        """How many of ``count`` states may be examined or rated; they are counted."""
        granted = self._left(self._budget.max_verifier_calls, self.spent.verifier_calls, count)
        self.spent += Ledger(verifier_calls=granted)
        return granted

    def add(self, cost: Ledger) -> None:
        """Counts what has no limit."""
        self.spent += cost

    @staticmethod
    def _left(limit: int | None, spent: int, wanted: int) -> int:
        return wanted if limit is None else max(0, min(wanted, limit - spent))
