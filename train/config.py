"""The configuration of a training run."""

from dataclasses import dataclass, field, fields
from typing import Any, Literal

from trl import GRPOConfig

from data.registry import DataConfig
from decoding.models import ModelConfig
from envs.errors import ConfigurationError
from envs.registry import EnvironmentConfig
from eval.config import HeldoutConfig, require_directory_name
from rewards.configuration import RewardConfig
from train.advantages import CreditConfig
from train.rollout_config import RolloutConfig

# Fields of GRPOConfig that structrl decides itself, and where the same thing is said instead.
REFUSED_TRAINER_FIELDS = {
    "output_dir": "set name (and output): checkpoints go to OUTPUT/NAME/checkpoints",
    "resume_from_checkpoint": "pass --resume",
    "report_to": "set tracking.wandb",
    "run_name": "set name",
    "log_completions": "transcripts are always written; set tracking.transcripts",
    "reward_weights": "set reward.parts.NAME.weight",
    "multi_objective_aggregation": "set reward.normalization",
    "restore_callback_states_from_checkpoint": "what the reward remembers is always restored",
    "eval_strategy": "the heldout section measures before and after training",
    "use_vllm": "set rollout.engine to 'vllm'",
    "top_p": "it samples from another distribution than the one whose gradient is taken",
    "top_k": "it samples from another distribution than the one whose gradient is taken",
    "min_p": "it samples from another distribution than the one whose gradient is taken",
    "repetition_penalty": "it samples from another distribution than the one whose gradient is taken",
    "generation_kwargs": "rollouts are made by structrl's own engine",
    "enable_jit_checkpoint": "a saved ZeRO checkpoint needs all processes to agree on the step; lower save_steps",
    "save_only_model": "--resume needs whole checkpoints; the trained weights alone are in OUTPUT/NAME/model",
    "remove_unused_columns": "rows of the dataset are places of tasks",
    "eval_on_start": "the heldout section measures before and after training",
    "fsdp": "rollouts of a model that FSDP divides are not covered; use DeepSpeed ZeRO-3 (docs/launch.md)",
    "chat_template_kwargs": "set model.chat_template_options, which evaluation sees too",
    "model_init_kwargs": "set model.dtype and model.attention",
}


@dataclass(frozen=True, kw_only=True)
class LoraOptions:
    """Low-rank adapters in place of full fine-tuning."""

    rank: int = 16
    """Rank of the adapters."""
    alpha: int = 32
    """Their scale is alpha / rank."""
    dropout: float = 0.0
    """Dropout on the adapters' input."""
    target_modules: list[str] | str = "all-linear"
    """Names of the layers that get an adapter."""


@dataclass(frozen=True, kw_only=True)
class TrackingConfig:
    """What is kept of a run besides its checkpoints."""

    wandb: Literal["disabled", "offline", "online"] = "disabled"
    """Where curves go; curves.png and metrics.jsonl are always written."""
    project: str = "structrl"
    """The wandb project."""
    transcripts: int = 4
    """Sampled transcripts kept of every logged step, in transcripts.jsonl and the wandb table."""


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """One training run."""

    name: str
    """The run's directory is OUTPUT/NAME."""
    model: ModelConfig
    """What is trained."""
    environment: EnvironmentConfig
    """Which kind of task."""
    data: DataConfig
    """Which dataset; its train split is trained on, its held-out split measured."""
    reward: RewardConfig
    """What an answer is paid for."""
    heldout: HeldoutConfig
    """How the model is measured before and after."""
    trainer: GRPOConfig
    """TRL's GRPOConfig, by its own field names."""
    lora: LoraOptions | None = None
    """Adapters; null trains all weights."""
    rollout: RolloutConfig = field(default_factory=RolloutConfig)
    """How rollouts are made."""
    credit: CreditConfig = field(default_factory=CreditConfig)
    """Which tokens of a rollout its advantage belongs to."""
    prefix_tree: bool = True
    """The update reads what completions of a micro-batch have in common once (docs/rollouts.md). It pays where
    trainer.per_device_train_batch_size holds whole groups."""
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    """Curves and transcripts."""
    output: str = "runs"
    """Directory of all runs."""

    def __post_init__(self) -> None:
        require_directory_name(self.name)
        _refuse_fields(self.trainer)
        if self.reward.normalization == "parts" and self.trainer.scale_rewards != "group":
            raise ConfigurationError(
                f"trainer.scale_rewards={self.trainer.scale_rewards!r} has no meaning with reward.normalization"
                " 'parts', which scales each part in its group; leave it out"
            )


def _refuse_fields(trainer: GRPOConfig) -> None:
    """Refuses trainer fields that would be ignored or would break a promise, at construction and not at step 400."""
    defaults: dict[str, Any] = {item.name: item.default for item in fields(GRPOConfig)}
    derived = {"output_dir": "trainer_output", "reward_weights": None, "run_name": None}
    for name, remedy in REFUSED_TRAINER_FIELDS.items():
        value = getattr(trainer, name)
        text = getattr(value, "value", value)  # eval_strategy is an enumeration by now
        if text not in (defaults[name], derived.get(name, defaults[name]), [], None):
            raise ConfigurationError(f"trainer.{name}={text!r} is not used here: {remedy}")
