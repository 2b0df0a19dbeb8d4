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
from trl.models.utils import disable_gradient_checkpointing

from decoding.budgets import Budgets
from decoding.decoder import Decoder
from decoding.engine import Engine
from decoding.generation_copy import GenerationCopy
from decoding.lockstep import ProcessLockstep
from decoding.rollout import Ledger
from decoding.transformers_engine import TransformersEngine, end_ids
from envs.environment import Environment, tags_of_environment
from envs.task import Task
from rewards.composite import Composite
from rewards.configuration import Normalization
from rewards.schedule import Moment
from train.advantages import CreditConfig, token_advantages
from train.grammar_curves import log_grammars
from train.grammar_requirements import require_applicable
from train.grammar_training import GrammarTraining
from train.mask_replay import MaskReplay
from train.masked_scorer import MaskedScorer
from train.requirements import forwards_are_shared, means_over_processes, require_trainable
from train.reward_functions import reward_functions
from train.reward_state import BatchCounts, RewardState
from train.rollout_config import RolloutConfig
from train.rollout_curves import log_rollouts, log_scores, truncation_curves, unjudged_reason
from train.rollout_engine import SyncedEngine, named_weights
from train.rollouts import Batch, ScoredRollout, make_batch
from train.tree_scorer import PrefixTreeScorer
from train.window import Shape, load_window, require_same_window, save_window, split_by_groups, window_shape


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
        engine: SyncedEngine | None = None,
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
            engine: what rollouts come from in place of the policy itself.
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
        self._engine = engine
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
        self._lockstep = ProcessLockstep(device=self.accelerator.device) if forwards_are_shared(self) else None
        self._require_what_is_configured()
        self._grammar = self._grammar_training()

    def _require_what_is_configured(self) -> None:
        """All that can be known now to fail later."""
        if (self._engine is None) != (self._rollout.engine == "transformers"):
            raise ValueError(f"rollout.engine is {self._rollout.engine!r}, and the engine given is {self._engine!r}")
        require_trainable(self, self._rollout, tasks=len(self._tasks))
        self._rollout.require(
            self._environment,
            self._tasks,
            self.args,
            budgets=self._budgets,
            group=self.num_generations,
            local_rows=self._local_rows,
            processes=self.accelerator.num_processes,
        )
        if self._rollout.grammar != "free":
            ends, most = end_ids(self.model, self.processing_class), self._budgets.turn(0)
            require_applicable(self._environment, self._tasks, self.processing_class, ends, most=most)
        self._credit.require(
            self._environment,
            branching=self._rollout.branching,
            scale_rewards=self.scale_rewards,
            normalization=self._normalization,
        )

    def _grammar_training(self) -> GrammarTraining | None:
        """What is done about masks, and about engines with another arithmetic; None: there is nothing to do."""
        rollout = self._rollout
        if rollout.grammar == "free" and self._engine is None:
            return None
        replay = MaskReplay(self.processing_class, end_ids(self.model, self.processing_class))
        scorer = MaskedScorer(replay, self._scorer, self.accelerator.autocast)
        cap = None if self._engine is None else rollout.importance_cap
        return GrammarTraining(rollout.grammar, replay, scorer, importance_cap=cap)

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
        return self._begins_window(self._step)

    def _begins_window(self, step: int) -> bool:
        return bool(step % (self.args.steps_per_generation * self.num_iterations) == 0)

    def _prepare_inputs(self, generation_batch: list[dict[str, Any]]) -> dict[str, Any]:
        """As TRL's, except that for prefix trees the rows of a group stay together when a window is split."""
        if not self.model.training or self._scorer is None:
            inputs = super()._prepare_inputs(generation_batch)
        else:
            if self._is_between_windows or self._buffered_inputs is None:
                window = self._generate_and_score_completions(generation_batch)
                self._buffered_inputs = split_by_groups(window, self._places, self.args.steps_per_generation)
            inputs = self._buffered_inputs[self._step % self.args.steps_per_generation]
        following = self._step + 1
        if self._grammar is not None and self._buffered_inputs is not None and not self._begins_window(following):
            self._grammar.look_ahead(self._buffered_inputs[following % self.args.steps_per_generation])
        return inputs

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
        if self._grammar is not None:
            self._weigh(output, self._grammar)
        self._tell_truncated(output)
        self._tell_unjudged()
        return output

    def _weigh(self, output: dict[str, Any], grammar: GrammarTraining) -> None:
        """Multiplies the advantages of tokens by what their distribution asks for."""
        rollouts = [one.rollout for one in self.latest]
        scores = None
        if any(gather_object([grammar.needs_scores(rollouts)])):
            rows = super()._get_per_token_logps_and_entropies
            ids, seen = (
                torch.cat([output["prompt_" + name], output["completion_" + name]], dim=1) for name in ("ids", "mask")
            )
            width, size = output["completion_ids"].shape[1], self.args.per_device_train_batch_size
            with torch.no_grad(), disable_gradient_checkpointing(self.model, self.args.gradient_checkpointing_kwargs):
                scores = grammar.score(rows, self.model, ids, seen, width, size)
        weights, curves = grammar.weights(rollouts, scores, output["completion_ids"])
        for name, value in means_over_processes(curves).items():
            self._metrics["train"][name].append(value)
        if weights is not None:
            advantages = output["advantages"]
            output["advantages"] = weights * (advantages if advantages.dim() == 2 else advantages[:, None])
        grammar.extend_inputs(output)

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

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Any:
        if self._grammar is not None:
            self._grammar.take_inputs(inputs)
        return super()._compute_loss(model, inputs)

    def _get_per_token_logps_and_entropies(self, *arguments: Any, **options: Any) -> Any:
        rows = super()._get_per_token_logps_and_entropies
        if self._grammar is not None and self._grammar.has_masked_loss:
            return self._grammar.score_for_loss(rows, *arguments, **options)
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
    def _window_shape(self) -> Shape:
        return window_shape(self.args, self.accelerator.num_processes, self._rollout.grammar)

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
        if self._grammar is not None:
            kept = [one.rollout for one in self.batch.rollouts]
            self._grammar.take_rollouts(kept)
            if self._rollout.grammar != "free":
                log_grammars([one.rollout for one in self.batch.first_rollouts], kept, self._log_metric)
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
            engine: Engine
            if self._engine is not None:
                self._engine.load_weights(named_weights(policy))
                engine = self._engine
            else:
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


def _on_device(inputs: dict[str, Any], device: torch.device) -> dict[str, Any]:
    return {name: value.to(device) if isinstance(value, Tensor) else value for name, value in inputs.items()}
