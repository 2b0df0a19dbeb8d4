"""How rollouts are made: the ``rollout`` section of a run's configuration."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from transformers import PreTrainedTokenizerBase
from trl import GRPOConfig

from decoding.budgets import Budgets
from decoding.decoder import Decoder, SampleDecoder
from decoding.engine import Engine, Request
from decoding.tree_decoder import TreeDecoder, require_tree
from envs.environment import Environment
from envs.errors import ConfigurationError
from envs.task import Task
from train.grammar_objective import GrammarMode, require_objective


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
    grammar: GrammarMode = "free"
    """What holds training answers to their tasks' grammars (train/grammar_objective.py). ``free``: nothing; masks only
    where evaluation asks for them. ``masked``: all rollouts, and the masked policy is what is trained. ``mixed``: a
    share of each group, with weights that keep the gradient right."""
    mixed_fraction: float = 0.5
    """That share; at least one rollout of each kind."""
    engine: Literal["transformers", "vllm"] = "transformers"
    """What generates: the policy itself, or vLLM, which takes over the weights before each batch."""
    vllm: dict[str, Any] = field(default_factory=dict)
    """Options of ``vllm.LLM`` (gpu_memory_utilization, max_model_len, dtype). It shares the device with the trainer."""
    importance_cap: float | None = 2.0
    """The largest weight by which the difference between vLLM's arithmetic and the trainer's is made up for, token by
    token; null: it is not."""

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
        if not 0 < self.mixed_fraction < 1:
            raise ConfigurationError(
                f"rollout.mixed_fraction is {self.mixed_fraction:g}; expected a number between 0 and 1 (rollout.grammar"
                " 'free' and 'masked' are the ends)"
            )
        if self.grammar == "mixed" and self.first_branching == 1:
            raise ConfigurationError(
                "rollout.grammar 'mixed' needs a masked and a free sample of a first turn, and rollout.first_branching"
                " is 1; set it to 2 or more"
            )
        if self.importance_cap is not None and not self.importance_cap >= 1:
            raise ConfigurationError(
                f"rollout.importance_cap is {self.importance_cap:g}; expected a number from 1, or null"
            )
        if self.engine == "vllm" and self.device is not None:
            raise ConfigurationError(
                f"rollout.device {self.device!r} is for the policy's own copy; leave it out with rollout.engine 'vllm'"
            )

    @property
    def masked_share(self) -> float:
        """The share of rollouts that is sampled under a grammar."""
        return {"free": 0.0, "mixed": self.mixed_fraction, "masked": 1.0}[self.grammar]

    def require(
        self,
        environment: Environment[Any],
        tasks: Sequence[Task],
        args: GRPOConfig,
        *,
        budgets: Budgets,
        group: int,
        local_rows: int,
        processes: int,
    ) -> None:
        """Checks that a batch can be made.

        Args:
            environment: what the rollouts happen in.
            tasks: what is trained on.
            args: TRL's configuration.
            budgets: of an episode and a turn.
            group: G, the rollouts of a task.
            local_rows: the rollouts that one process makes at once.
            processes: of the run.

        Raises:
            ConfigurationError: it cannot.
        """
        budgets.require_room(environment)
        if self.branching > 1:
            require_tree(environment, budgets, branching=self.branching, temperature=args.temperature)
        if self.grammar != "free":
            require_objective(self.grammar, environment, tasks, args)
        self._require_whole_groups(group, local_rows)
        self.require_engine(processes=processes, temperature=args.temperature)

    def _require_whole_groups(self, group: int, local_rows: int) -> None:
        wishes = {
            "a tree": (self.branching > 1, "rollout.branching to 1"),
            "refilling": (self.refill > 0, "rollout.refill to 0"),
            "rollout.grammar 'mixed'": (self.grammar == "mixed", "rollout.grammar to 'masked' or 'free'"),
        }
        given = {wish: remedy for wish, (is_given, remedy) in wishes.items() if is_given}
        if given and local_rows % group:
            raise ConfigurationError(
                f"{next(iter(given))} needs whole groups: a process makes per_device_train_batch_size *"
                f" steps_per_generation = {local_rows} rollouts at once, which is no multiple of num_generations"
                f" {group}; change one of them, or set {' and '.join(given.values())}"
            )

    def require_engine(self, *, processes: int, temperature: float) -> None:
        """Checks what can be known of the engine before there is one.

        Args:
            processes: of the run.
            temperature: of training rollouts.

        Raises:
            ConfigurationError: it cannot make them.
        """
        if self.device is not None and processes > 1:
            raise ConfigurationError(
                f"rollout.device {self.device!r} is where one process generates, and there are {processes}; leave it"
                " out, or train on one device"
            )
        if self.engine != "vllm":
            return
        if processes > 1:
            raise ConfigurationError(
                f"rollout.engine 'vllm' is one engine beside one training process, and there are {processes}; train"
                " with one process, or set rollout.engine to 'transformers'"
            )
        from decoding.vllm_engine import require_samplable  # late: few runs need it

        try:
            require_samplable(Request(prompt_ids=(0,), max_new_tokens=1, temperature=temperature))
        except ConfigurationError as error:
            raise ConfigurationError(f"trainer.temperature with rollout.engine 'vllm': {error}") from error

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
                masked_share=self.masked_share,
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
            masked_share=self.masked_share,
            rejoin_after=self.rejoin_after,
        )
