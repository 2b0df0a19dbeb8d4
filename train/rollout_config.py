"""How rollouts are made: the ``rollout`` section of a run's configuration."""

from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedTokenizerBase

from decoding.budgets import Budgets
from decoding.decoder import Decoder, SampleDecoder
from decoding.engine import Engine
from decoding.tree_decoder import TreeDecoder, require_tree
from envs.environment import Environment
from envs.errors import ConfigurationError


@dataclass(frozen=True, kw_only=True)
class RolloutConfig:
    """How rollouts are made; temperature and length are trainer.temperature and trainer.max_completion_length."""

    max_batch_rows: int = 64
    """Answers that are decoded at once; bounds the memory of the key-value cache."""
    max_turn_tokens: int | None = None
    """Most tokens that the model writes before the environment speaks again; null: as many as the completion has
    left."""
    branching: int = 1
    """1: independent rollouts. From 2: the rollouts of a task are the leaves of a tree that forks into up to so many
    branches at the prompt and wherever the environment answered."""
    first_branching: int | None = None
    """Samples of the first turn of such a tree; null: as many as ``branching``. An episode that ends early counts for
    its whole share of the leaves, so that more of them make more different ones."""
    rejoin_after: int | None = 8
    """Decode steps after which a rollout that asked the environment goes on; the others decode meanwhile. With a number
    a run can be repeated bit by bit, and the model waits only for answers that take longer. Null: as soon as the answer
    is there, so that the model never waits while it could decode."""
    refill: int = 0
    """How often groups whose rewards are all equal are replaced by groups of other tasks (dynamic sampling)."""
    device: str | None = None
    """A device of its own for generating (cuda:1), which gets a copy of the policy; null: the policy generates."""

    def __post_init__(self) -> None:
        least = {"max_batch_rows": 1, "branching": 1, "first_branching": 1, "rejoin_after": 0, "refill": 0}
        for name, smallest in least.items():
            if getattr(self, name) is not None and getattr(self, name) < smallest:
                raise ConfigurationError(
                    f"rollout.{name} is {getattr(self, name)}; expected an integer from {smallest}"
                )
        if self.first_branching is not None and self.branching == 1:
            raise ConfigurationError(
                f"rollout.first_branching is {self.first_branching}, and rollout.branching 1 makes no trees; set that"
                " to 2 or more, or leave first_branching out"
            )

    def require(
        self,
        environment: Environment[Any],
        *,
        budgets: Budgets,
        temperature: float,
        group: int,
        local_rows: int,
        processes: int,
    ) -> None:
        """Checks that a batch can be made.

        Args:
            environment: what the rollouts happen in.
            budgets: of an episode and a turn.
            temperature: of sampling.
            group: G, the rollouts of a task.
            local_rows: the rollouts that one process makes at once.
            processes: of the run.

        Raises:
            ConfigurationError: it cannot.
        """
        budgets.require_room(environment)
        if self.branching > 1:
            require_tree(environment, budgets, branching=self.branching, temperature=temperature)
        if (self.branching > 1 or self.refill) and local_rows % group:
            wish = "a tree" if self.branching > 1 else "refilling"
            raise ConfigurationError(
                f"{wish} needs whole groups: a process makes per_device_train_batch_size * steps_per_generation ="
                f" {local_rows} rollouts at once, which is no multiple of num_generations {group}; change one of them,"
                " or set rollout.branching to 1 and rollout.refill to 0"
            )
        if self.device is not None and processes > 1:
            raise ConfigurationError(
                f"rollout.device {self.device!r} is where one process generates, and there are {processes}; leave it"
                " out, or train on one device"
            )

    def decoder(
        self,
        engine: Engine,
        tokenizer: PreTrainedTokenizerBase,
        environment: Environment[Any],
        budgets: Budgets,
        temperature: float,
    ) -> Decoder:
        """The decoder of training rollouts."""
        if self.branching == 1:
            return SampleDecoder(
                engine=engine,
                tokenizer=tokenizer,
                environment=environment,
                budgets=budgets,
                temperature=temperature,
                rejoin_after=self.rejoin_after,
            )
        return TreeDecoder(
            engine=engine,
            tokenizer=tokenizer,
            environment=environment,
            budgets=budgets,
            branching=self.branching,
            first_branching=self.first_branching,
            temperature=temperature,
            rejoin_after=self.rejoin_after,
        )
