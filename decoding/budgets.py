"""How many tokens an episode may have, and a turn of it."""

from dataclasses import dataclass
from typing import Any

from envs.environment import Environment, HasObservationBudget
from envs.errors import ConfigurationError


@dataclass(frozen=True, kw_only=True)
class Budgets:
    """Budgets of an episode, in tokens.

    Raises:
        ConfigurationError: a budget has no room for one token.
    """

    max_new_tokens: int
    """All that follows the prompt: what the model writes, and observations."""
    max_turn_tokens: int | None = None
    """What the model writes in one turn; None: as much as is left of the episode."""

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1 or (self.max_turn_tokens is not None and self.max_turn_tokens < 1):
            raise ConfigurationError(
                f"an episode of {self.max_new_tokens} tokens with turns of {self.max_turn_tokens}: both budgets must be"
                " at least 1"
            )

    def require_room(self, environment: Environment[Any]) -> None:
        """Checks that an episode holds a turn, an observation, and the beginning of the next turn.

        Raises:
            ConfigurationError: it does not; a first step could then never be answered.
        """
        if not environment.stops:
            return
        turn = self.max_turn_tokens or 1
        observation = environment.longest_observation if isinstance(environment, HasObservationBudget) else 0
        if turn + observation + 1 > self.max_new_tokens:
            raise ConfigurationError(
                f"an episode of {self.max_new_tokens} tokens cannot hold one turn of {turn}, an observation of up to"
                f" {observation} and an answer; raise the episode's budget (max_completion_length in training), or"
                " lower max_turn_tokens or the environment's observation_tokens"
            )

    def turn(self, length: int, turn_length: int = 0) -> int:
        """What is left for the model to write in a turn.

        Args:
            length: tokens of the completion so far.
            turn_length: those of them that this turn has had already.
        """
        left = self.max_new_tokens - length
        return left if self.max_turn_tokens is None else min(left, self.max_turn_tokens - turn_length)
