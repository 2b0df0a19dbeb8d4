"""GRPO on TRL: the one module that touches the trainer's internals.

What is ours: rollouts come from a Decoder over the tasks of the batch, and rewards from a Composite over their
Verdicts. TRL keeps sampling of tasks, advantages, loss, optimisation, checkpoints and distribution. A rollout that
could not be judged has the reward None: TRL leaves it out of its group's mean and deviation and gives it advantage 0.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from trl import GRPOConfig, GRPOTrainer
from trl.models import unwrap_model_for_generation

from decoding.decoder import SampleDecoder
from decoding.rollout import Ledger, Rollout
from decoding.transformers_engine import TransformersEngine
from envs.environment import Environment
from envs.task import Task
from envs.verdict import Verdict
from rewards.composite import Composite, Score


@dataclass(frozen=True, kw_only=True)
class ScoredRollout:
    """A rollout of the latest batch with what it was paid."""

    task: Task
    rollout: Rollout
    score: Score


class StructuredGRPOTrainer(GRPOTrainer):
    """GRPO whose rollouts and rewards come from a structrl environment."""

    def __init__(
        self,
        *,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        environment: Environment[Any],
        composite: Composite,
        tasks: Sequence[Task],
        args: GRPOConfig,
        max_batch_rows: int,
        peft_config: Any = None,
        callbacks: list[Any] | None = None,
    ) -> None:
        """
        Args:
            model: the policy.
            tokenizer: its tokenizer.
            environment: makes prompts and verdicts.
            composite: pays verdicts.
            tasks: what is trained on.
            args: TRL's configuration.
            max_batch_rows: answers that the engine decodes at once.
            peft_config: adapters of peft; None trains all weights.
            callbacks: callbacks of transformers.
        """
        self._environment = environment
        self._composite = composite
        self._tasks = list(tasks)
        self._max_batch_rows = max_batch_rows
        self._batch_tasks: list[Task] = []
        self.latest: list[ScoredRollout] = []
        self.ledger = Ledger()
        rows = [{"prompt": environment.prompt(task), "task": index} for index, task in enumerate(self._tasks)]
        super().__init__(
            model=model,
            reward_funcs=_reward_function(composite),
            args=args,
            train_dataset=Dataset.from_list(rows),
            processing_class=tokenizer,
            peft_config=peft_config,
            callbacks=callbacks,
            rollout_func=_rollout_function,
        )

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        # rollout_func is handed prompts only; the tasks they came from are looked up here, where the rows are whole.
        self._batch_tasks = [self._tasks[row["task"]] for row in inputs]
        return super()._generate_and_score_completions(inputs)

    def roll_out(self) -> list[ScoredRollout]:
        """One scored rollout for each row of the current batch, in its order."""
        repeated = [list(rows) for _, rows in itertools.groupby(self._batch_tasks, key=lambda task: task.id)]
        with unwrap_model_for_generation(self.model_wrapped, self.accelerator) as policy, self.accelerator.autocast():
            decoder = SampleDecoder(
                engine=TransformersEngine(policy, self.processing_class, max_batch_rows=self._max_batch_rows),
                tokenizer=self.processing_class,
                environment=self._environment,
                max_new_tokens=self.args.max_completion_length,
                temperature=self.args.temperature,
            )
            decoding = decoder.decode([same[0] for same in repeated], n=[len(same) for same in repeated])
        self.ledger += decoding.ledger
        self.latest = [
            ScoredRollout(task=group.task, rollout=rollout, score=self._composite.score(rollout.verdict))
            for group in decoding.groups
            for rollout in group.rollouts
        ]
        return self.latest


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


def _reward_function(composite: Composite) -> Callable[..., list[float | None]]:
    """TRL's reward function: the composite's value of every rollout, its parts logged as curves of their own."""

    reasons: dict[str, None] = {}  # those that have come up; each then has a curve of its own

    def reward(
        scored: list[ScoredRollout], log_metric: Callable[[str, float], None], **columns: Any
    ) -> list[float | None]:
        reasons.update(dict.fromkeys(reason for one in scored if (reason := _reason(one.rollout.verdict))))
        # One call a rollout: TRL averages over calls, so the mean is right when processes judge different numbers.
        for one in scored:
            verdict = one.rollout.verdict
            for name in composite.names:
                value = one.score.parts[name]
                if value is not None:
                    log_metric(f"rewards/{name}", value)
            log_metric("unjudged", float(one.score.value is None))
            for reason in reasons:
                log_metric(f"unjudged/{reason}", float(_reason(verdict) == reason))
            log_metric("truncated", float(verdict.is_truncated))
        return [one.score.value for one in scored]

    return reward


def _reason(verdict: Verdict) -> str | None:
    """Why a verdict is missing, by its first words: what follows names a file, or quotes a message."""
    return None if verdict.unjudged is None else verdict.unjudged.partition(":")[0]
