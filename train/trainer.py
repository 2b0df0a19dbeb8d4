"""GRPO on TRL: the one module that touches the trainer's internals.

What is ours: rollouts come from a Decoder over the tasks of the batch, rewards from a Composite over their Verdicts,
advantages belong to tokens where the configuration says so, and the log-probabilities of a micro-batch come from one
forward over its prefix trees. TRL keeps sampling of tasks, normalisation, loss, optimisation, checkpoints and
distribution. A rollout that could not be judged has the reward None: TRL leaves it out of its group's mean and
deviation and gives it advantage 0. The composite is one reward function of TRL, or one a paying part where each part is
to be normalised by itself (GDPO).
"""

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from accelerate.utils import gather_object
from datasets import Dataset
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from trl import GRPOConfig, GRPOTrainer
from trl.models import unwrap_model_for_generation

from decoding.budgets import Budgets
from decoding.decoder import Decoder
from decoding.generation_copy import GenerationCopy
from decoding.lockstep import ProcessLockstep
from decoding.rollout import Ledger
from decoding.transformers_engine import TransformersEngine
from envs.environment import Environment, tags_of_environment
from envs.errors import ConfigurationError
from envs.task import Task
from rewards.composite import Composite
from rewards.configuration import Normalization
from rewards.schedule import Moment
from train.advantages import CreditConfig, token_advantages
from train.reward_functions import reward_functions
from train.reward_state import BatchCounts, RewardState
from train.rollout_config import RolloutConfig
from train.rollout_curves import log_rollouts, log_scores, truncation_curves, unjudged_reason
from train.rollouts import Batch, ScoredRollout, make_batch
from train.tree_scorer import PrefixTreeScorer
from train.window import load_window, require_same_window, save_window, split_by_groups, window_shape


class StructuredGRPOTrainer(GRPOTrainer):
    """GRPO whose rollouts and rewards come from a structrl environment."""

    def __init__(
        self,
        *,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        environment: Environment[Any],
        composite: Composite,
        normalization: Normalization,
        reward_state: RewardState,
        tasks: Sequence[Task],
        args: GRPOConfig,
        rollout: RolloutConfig,
        credit: CreditConfig,
        prefix_tree: bool,
        peft_config: Any = None,
        callbacks: list[Any] | None = None,
    ) -> None:
        """
        Args:
            model: the policy.
            tokenizer: its tokenizer.
            environment: makes prompts and verdicts.
            composite: pays verdicts.
            normalization: what is normalised within a group, the sum of the parts or each part.
            reward_state: what the reward remembers between steps; becomes one of the callbacks.
            tasks: what is trained on.
            args: TRL's configuration.
            rollout: how rollouts are made.
            credit: which tokens an advantage belongs to.
            prefix_tree: a micro-batch is one forward over its prefix trees, where the model allows it.
            peft_config: adapters of peft; None trains all weights.
            callbacks: callbacks of transformers.

        Raises:
            ConfigurationError: rollouts or credit cannot be had as they are configured.
        """
        self._environment = environment
        self._composite = composite
        self._normalization = normalization
        self._reward_state = reward_state
        self._tasks = list(tasks)
        self._rollout = rollout
        self._credit = credit
        self._places: list[int] = []  # of the tasks of the batch, row by row
        self._copy = GenerationCopy(rollout.device) if rollout.device is not None else None
        self._buffered_inputs: list[dict[str, Any]] | None = None
        self._masks_truncated = args.mask_truncated_completions
        self.batch: Batch | None = None
        self.ledger = Ledger()
        if rollout.device is not None:
            args._n_gpu = min(args.n_gpu, 1)  # the other one generates: it is none that data is to be spread over
        rows = [{"prompt": environment.prompt(task), "task": index} for index, task in enumerate(self._tasks)]
        super().__init__(
            model=model,
            reward_funcs=reward_functions(composite, normalization),
            args=args,
            train_dataset=Dataset.from_list(rows),
            processing_class=tokenizer,
            peft_config=peft_config,
            callbacks=[reward_state, *(callbacks or [])],
            rollout_func=_rollout_function,
        )
        # Which completions are truncated is ours to say (_tell_truncated).
        self.mask_truncated_completions = False
        self._scorer = PrefixTreeScorer(self.accelerator.autocast) if prefix_tree else None
        self._lockstep = ProcessLockstep(device=self.accelerator.device) if _forwards_are_shared(self) else None
        self._require_what_is_configured()

    def _require_what_is_configured(self) -> None:
        """All that can be known now to fail later."""
        args = self.args
        TransformersEngine(self.model, self.processing_class)  # refuses a model without a cache
        if self.is_fsdp_enabled:
            raise ConfigurationError(
                "rollouts of a model that FSDP divides are not covered; use configs/accelerate/zero3.yaml instead"
            )
        groups = args.generation_batch_size // self.num_generations
        if len(self._tasks) < groups:
            raise ConfigurationError(
                f"a batch of rollouts has {groups} groups (generation_batch_size {args.generation_batch_size} /"
                f" num_generations {self.num_generations}) and there are {len(self._tasks)} tasks to train on; lower"
                " the batch or the accumulation steps, or take more tasks"
            )
        if self._rollout.device is not None and args.cast_lm_head_to_fp32:
            raise ConfigurationError(
                "trainer.cast_lm_head_to_fp32 binds the head to the model that trains; it goes without rollout.device"
            )
        self._rollout.require(
            self._environment,
            budgets=self._budgets,
            temperature=args.temperature,
            group=self.num_generations,
            local_rows=self._local_rows,
            processes=self.accelerator.num_processes,
        )
        self._credit.require(
            self._environment,
            branching=self._rollout.branching,
            scale_rewards=self.scale_rewards,
            normalization=self._normalization,
        )

    @property
    def _local_rows(self) -> int:
        """Rollouts that this process makes at once."""
        return int(self.args.per_device_train_batch_size * self.args.steps_per_generation)

    @property
    def latest(self) -> list[ScoredRollout]:
        """The rollouts of the latest batch, in its order."""
        return [] if self.batch is None else self.batch.rollouts

    @property
    def _budgets(self) -> Budgets:
        return Budgets(max_new_tokens=self.args.max_completion_length, max_turn_tokens=self._rollout.max_turn_tokens)

    @property
    def _is_between_windows(self) -> bool:
        """The next micro-batch is the first of new rollouts."""
        return bool(self._step % (self.args.steps_per_generation * self.num_iterations) == 0)

    def _prepare_inputs(self, generation_batch: list[dict[str, Any]]) -> dict[str, Any]:
        """As TRL's, except that for prefix trees the rows of a group stay together when a window is split."""
        if not self.model.training or self._scorer is None:
            return super()._prepare_inputs(generation_batch)
        if self._is_between_windows or self._buffered_inputs is None:
            window = self._generate_and_score_completions(generation_batch)
            self._buffered_inputs = split_by_groups(window, self._places, self.args.steps_per_generation)
        return self._buffered_inputs[self._step % self.args.steps_per_generation]

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        # rollout_func is handed prompts only; the tasks they came from are looked up here, where the rows are whole.
        self._places = [row["task"] for row in inputs]
        if self._normalization == "parts":
            # In the sum the composite weighs by itself; here TRL adds up the normalised parts.
            self.reward_weights = torch.tensor(list(self._composite.weights(self._moment()).values()))
        output = super()._generate_and_score_completions(inputs)
        assert self.batch is not None
        output["advantages"] = token_advantages(
            output["advantages"],
            self.batch.groups,
            output["completion_ids"].shape[1],
            self._credit,
            scales=self.scale_rewards != "none",
            tags=tags_of_environment(self._environment),
            tokenizer=self.processing_class,
        )
        self._tell_truncated(output)
        self._tell_unjudged()
        return output

    def _tell_truncated(self, output: dict[str, Any]) -> None:
        """Which completions a budget cut off: logged, and left out of the loss where the configuration says so.

        TRL takes every completion for truncated that ends with another token than end-of-text.
        """
        device = self.accelerator.device
        is_truncated = torch.tensor([one.rollout.transcript.is_truncated for one in self.latest], device=device)
        lengths = torch.tensor([sum(one.rollout.env_mask) for one in self.latest], device=device)
        everywhere = self.accelerator.gather(lengths).tolist(), self.accelerator.gather(is_truncated).tolist()
        for name, value in truncation_curves(*everywhere).items():
            self._metrics["train"][f"completions/{name}"][-1] = value
        if self._masks_truncated:
            output["completion_mask"] = output["completion_mask"] * (~is_truncated)[:, None]
            trained = (output["completion_mask"] * output["tool_mask"]).sum()
            output["num_items_in_batch"] = self.accelerator.gather(trained).sum()

    def _tell_unjudged(self) -> None:
        rates = self._reward_state.update(gather_object([self._counts()]), self.state.global_step)
        for reason, rate in rates.items():
            # Not by log_metric, which averages over the processes that have seen the reason.
            self._metrics["train"][f"unjudged/{reason}"].append(rate)

    def _get_per_token_logps_and_entropies(self, *arguments: Any, **options: Any) -> Any:
        rows = super()._get_per_token_logps_and_entropies
        if self._scorer is None:
            return rows(*arguments, **options)
        return self._scorer.score(rows, *arguments, **options)

    def _save_rng_state(self, output_dir: str) -> None:
        """Also keeps the window, unless the next step begins a new one; the checkpoint is whole on all processes when
        the trainer goes on to write its state, which is what marks it as whole."""
        super()._save_rng_state(output_dir)
        state = {
            "step": self._step,
            "shape": self._window_shape,
            "inputs": None if self._is_between_windows else self._buffered_inputs,
            "entropy": [self.entropy_coef, self._last_world_entropy],
        }
        save_window(output_dir, self.accelerator.process_index, state)
        self.accelerator.wait_for_everyone()

    @property
    def _window_shape(self) -> dict[str, float]:
        return window_shape(self.args, self.accelerator.num_processes)

    def require_resumable(self, checkpoint: str) -> None:
        """Checks that training can go on from a checkpoint as it would have.

        Raises:
            ConfigurationError: it holds rollouts that are not used up, and they do not fit this configuration.
        """
        require_same_window(checkpoint, self.accelerator.process_index, self._window_shape)

    def _load_rng_state(self, checkpoint: str | None) -> None:
        super()._load_rng_state(checkpoint)
        kept = None if checkpoint is None else load_window(checkpoint, self.accelerator.process_index)
        if kept is None or kept["shape"] != self._window_shape:
            return
        self._step = kept["step"]
        self.entropy_coef, self._last_world_entropy = kept["entropy"]
        if kept["inputs"] is not None:
            self._buffered_inputs = [_on_device(part, self.accelerator.device) for part in kept["inputs"]]

    def _moment(self) -> Moment:
        return Moment(step=self.state.global_step, means=self._reward_state.means)

    def _counts(self) -> BatchCounts:
        """What this process's answers, as first sampled, tell the reward's memory."""
        assert self.batch is not None
        first = self.batch.first_rollouts
        sums = {}
        for name in self._composite.pacing:
            values = [value for one in first if (value := one.score.parts[name]) is not None]
            sums[name] = (sum(values), len(values))
        reasons = tuple(unjudged_reason(one) for one in first)
        return BatchCounts(reasons=reasons, sums=sums)

    def roll_out(self) -> list[ScoredRollout]:
        """One scored rollout for each row of the current batch, in its order."""
        repeated = [(place, len(list(rows))) for place, rows in itertools.groupby(self._places)]
        moment = self._moment()
        own = [place for place, _ in repeated]
        taken = {place for places in gather_object([own]) for place in places} if self._rollout.refill else set(own)
        with self._decoder() as decoder:
            self.batch = make_batch(
                decoder,
                self._composite,
                moment,
                self._normalization,
                self._tasks,
                repeated,
                rounds=self._rollout.refill,
                seed=f"{self.args.seed}:{self.state.global_step}:{self._step}",
                share=(self.accelerator.process_index, self.accelerator.num_processes),
                taken=taken,
                total_over_processes=lambda number: sum(gather_object([number])),
            )
        self.ledger += self.batch.ledger
        for name, weight in self._composite.weights(moment).items() if self._composite.is_moving else ():
            self._log_metric(f"weights/{name}", weight)
        log_scores(self.batch, self._composite, self._log_metric)
        holds_whole_groups = self._local_rows % self.num_generations == 0
        log_rollouts(self.batch, self._rollout, self._environment, self._log_metric, whole_groups=holds_whole_groups)
        return self.batch.rollouts

    @contextmanager
    def _decoder(self) -> Iterator[Decoder]:
        """What makes rollouts from the policy as it is now."""
        gathers = self.args.ds3_gather_for_generation
        with (
            unwrap_model_for_generation(
                self.model_wrapped, self.accelerator, gather_deepspeed3_params=gathers
            ) as policy,
            self.accelerator.autocast(),
        ):
            engine = TransformersEngine(
                policy if self._copy is None else self._copy.of(policy),
                self.processing_class,
                max_batch_rows=self._rollout.max_batch_rows,
                lockstep=self._lockstep,
            )
            yield self._rollout.decoder(
                engine, self.processing_class, self._environment, self._budgets, self.args.temperature
            )


def _rollout_function(prompts: list[Any], trainer: StructuredGRPOTrainer) -> dict[str, list[Any]]:
    """TRL's rollout_func: columns of one entry a row; those that TRL does not know go to the reward function."""
    scored = trainer.roll_out()
    return {
        "prompt_ids": [list(one.rollout.prompt_ids) for one in scored],
        "completion_ids": [list(one.rollout.completion_ids) for one in scored],
        "logprobs": [list(one.rollout.logprobs) for one in scored],
        "env_mask": [list(one.rollout.env_mask) for one in scored],
        "scored": scored,
    }


def _is_zero_3(trainer: GRPOTrainer) -> bool:
    return trainer.is_deepspeed_enabled and trainer.accelerator.state.deepspeed_plugin.zero_stage == 3


def _forwards_are_shared(trainer: GRPOTrainer) -> bool:
    """Whether generating needs all processes at every forward: where each holds a part of every layer."""
    parallelism = getattr(trainer.accelerator, "parallelism_config", None)
    is_tensor_parallel = parallelism is not None and parallelism.tp_enabled
    return is_tensor_parallel or (_is_zero_3(trainer) and not trainer.args.ds3_gather_for_generation)


def _on_device(inputs: dict[str, Any], device: torch.device) -> dict[str, Any]:
    return {name: value.to(device) if isinstance(value, Tensor) else value for name, value in inputs.items()}
