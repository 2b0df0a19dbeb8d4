"""GRPO on TRL: the one module that touches the trainer's internals.

What is ours: rollouts come from a Decoder over the tasks of the batch, and rewards from a Composite over their
Verdicts. TRL keeps sampling of tasks, advantages, loss, optimisation, checkpoints and distribution. A rollout that
could not be judged has the reward None: TRL leaves it out of its group's mean and deviation and gives it advantage 0.
The composite is one reward function of TRL, or one a paying part where each part is to be normalised by itself (GDPO).
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from accelerate.utils import gather_object
from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from trl import GRPOConfig, GRPOTrainer
from trl.models import unwrap_model_for_generation

from decoding.decoder import SampleDecoder
from decoding.rollout import Ledger, Rollout
from decoding.transformers_engine import TransformersEngine
from envs.environment import Environment
from envs.task import Task
from rewards.composite import Composite, Score
from rewards.configuration import Normalization
from rewards.schedule import Moment
from train.reward_state import BatchCounts, RewardState


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
        normalization: Normalization,
        reward_state: RewardState,
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
            normalization: what is normalised within a group, the sum of the parts or each part.
            reward_state: what the reward remembers between steps; becomes one of the callbacks.
            tasks: what is trained on.
            args: TRL's configuration.
            max_batch_rows: answers that the engine decodes at once.
            peft_config: adapters of peft; None trains all weights.
            callbacks: callbacks of transformers.
        """
        self._environment = environment
        self._composite = composite
        self._normalization = normalization
        self._reward_state = reward_state
        self._tasks = list(tasks)
        self._max_batch_rows = max_batch_rows
        self._batch: list[int] = []  # places of the batch's tasks
        self.latest: list[ScoredRollout] = []
        self.ledger = Ledger()
        rows = [{"prompt": environment.prompt(task), "task": index} for index, task in enumerate(self._tasks)]
        super().__init__(
            model=model,
            reward_funcs=_reward_functions(composite, normalization),
            args=args,
            train_dataset=Dataset.from_list(rows),
            processing_class=tokenizer,
            peft_config=peft_config,
            callbacks=[reward_state, *(callbacks or [])],
            rollout_func=_rollout_function,
        )

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        # rollout_func is handed prompts only; the tasks they came from are looked up here, where the rows are whole.
        self._batch = [row["task"] for row in inputs]
        if self._normalization == "parts":
            # In the sum the composite weighs by itself; here TRL adds up the normalised parts.
            self.reward_weights = torch.tensor(list(self._composite.weights(self._moment()).values()))
        output = super()._generate_and_score_completions(inputs)
        rates = self._reward_state.update(gather_object([self._counts()]), self.state.global_step)
        for reason, rate in rates.items():
            # Not by log_metric, which averages over the processes that have seen the reason.
            self._metrics["train"][f"unjudged/{reason}"].append(rate)
        return output

    def _moment(self) -> Moment:
        return Moment(step=self.state.global_step, means=self._reward_state.means)

    def _counts(self) -> BatchCounts:
        """What this process's answers tell the reward's memory."""
        sums = {}
        for name in self._composite.pacing:
            values = [value for one in self.latest if (value := one.score.parts[name]) is not None]
            sums[name] = (sum(values), len(values))
        reasons = tuple(_reason(one) for one in self.latest)
        return BatchCounts(reasons=reasons, sums=sums)

    def roll_out(self) -> list[ScoredRollout]:
        """One scored rollout for each row of the current batch, in its order."""
        repeated = [list(places) for _, places in itertools.groupby(self._batch)]
        with unwrap_model_for_generation(self.model_wrapped, self.accelerator) as policy, self.accelerator.autocast():
            decoder = SampleDecoder(
                engine=TransformersEngine(policy, self.processing_class, max_batch_rows=self._max_batch_rows),
                tokenizer=self.processing_class,
                environment=self._environment,
                max_new_tokens=self.args.max_completion_length,
                temperature=self.args.temperature,
            )
            decoding = decoder.decode(
                [self._tasks[places[0]] for places in repeated], n=[len(places) for places in repeated]
            )
        self.ledger += decoding.ledger
        moment = self._moment()
        for name, weight in self._composite.weights(moment).items() if self._composite.is_moving else ():
            self._log_metric(f"weights/{name}", weight)
        self.latest = [
            ScoredRollout(task=group.task, rollout=rollout, score=self._composite.score(rollout.verdict, moment))
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


def _reward_functions(composite: Composite, normalization: Normalization) -> list[Callable[..., list[float | None]]]:
    """TRL's reward functions: the composite's value, or what each paying part pays where these are normalised apart."""
    if normalization == "sum":
        return [_logged(composite, "reward", lambda score: score.value)]
    first, *others = composite.paying
    return [
        _logged(composite, first, lambda score: score.paid.get(first)),
        *(
            _named(name, lambda scored, name=name, **columns: [one.score.paid.get(name) for one in scored])
            for name in others
        ),
    ]


def _named(name: str, function: Callable[..., list[float | None]]) -> Callable[..., list[float | None]]:
    """TRL calls its curves by the functions' names."""
    function.__name__ = name
    return function


def _logged(
    composite: Composite, name: str, pays: Callable[[Score], float | None]
) -> Callable[..., list[float | None]]:
    """A reward function that also logs every part as a curve of its own."""

    def reward(
        scored: list[ScoredRollout], log_metric: Callable[[str, float], None], **columns: Any
    ) -> list[float | None]:
        # One call a rollout: TRL averages over calls, so the mean is right when processes judge different numbers.
        for one in scored:
            for part in composite.names:
                value = one.score.parts[part]
                if value is not None:
                    log_metric(f"rewards/{part}", value)
            log_metric("unjudged", float(one.score.value is None))
            log_metric("truncated", float(one.rollout.verdict.is_truncated))
        return [pays(one.score) for one in scored]

    return _named(name, reward)


def _reason(scored: ScoredRollout) -> str | None:
    """Why a rollout has no reward, by its first words: what follows names a file, or quotes a message."""
    if scored.score.value is not None:
        return None
    unjudged = scored.rollout.verdict.unjudged
    return f"part {scored.score.unmeasured}" if unjudged is None else unjudged.partition(":")[0]
