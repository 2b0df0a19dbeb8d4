"""What must hold of a trainer before its first step: all of model, batch and processes that can be known then."""

from accelerate.utils import gather_object
from trl import GRPOTrainer

from decoding.transformers_engine import TransformersEngine
from envs.errors import ConfigurationError
from train.masked_forward import require_hook
from train.rollout_config import RolloutConfig


def require_trainable(trainer: GRPOTrainer, rollout: RolloutConfig, *, tasks: int) -> None:
    """Checks a trainer that is made, and has made nothing yet.

    Args:
        trainer: TRL's, or ours.
        rollout: how its rollouts will be made.
        tasks: how many there are to train on.

    Raises:
        ConfigurationError: something of it would fail later.
    """
    args = trainer.args
    if rollout.engine == "transformers":
        TransformersEngine(trainer.model, trainer.processing_class)  # refuses a model without a cache
    if trainer.is_fsdp_enabled:
        raise ConfigurationError(
            "rollouts of a model that FSDP divides are not covered; use configs/accelerate/zero3.yaml instead"
        )
    groups = args.generation_batch_size // trainer.num_generations
    if tasks < groups:
        raise ConfigurationError(
            f"a batch of rollouts has {groups} groups (generation_batch_size {args.generation_batch_size} /"
            f" num_generations {trainer.num_generations}) and there are {tasks} tasks to train on; lower"
            " the batch or the accumulation steps, or take more tasks"
        )
    if rollout.device is not None and args.cast_lm_head_to_fp32:
        raise ConfigurationError(
            "trainer.cast_lm_head_to_fp32 binds the head to the model that trains; it goes without rollout.device"
        )
    causes = {
        "rollout.engine 'vllm'": rollout.engine == "vllm",
        "rollout.grammar 'masked'": rollout.grammar == "masked",
    }
    for cause, is_given in causes.items():
        if is_given:
            require_hook(trainer.model, cause=cause, will_compile=args.torch_compile)


def forwards_are_shared(trainer: GRPOTrainer) -> bool:
    """Whether generating needs all processes at every forward: where each holds a part of every layer."""
    parallelism = getattr(trainer.accelerator, "parallelism_config", None)
    is_tensor_parallel = parallelism is not None and parallelism.tp_enabled
    is_zero_3 = trainer.is_deepspeed_enabled and trainer.accelerator.state.deepspeed_plugin.zero_stage == 3
    return is_tensor_parallel or (is_zero_3 and not trainer.args.ds3_gather_for_generation)


def means_over_processes(values: dict[str, list[float]]) -> dict[str, float]:
    """The mean of each list over all processes, which may have different ones; of all lists that have a value anywhere.

    Args:
        values: of this process, by name.
    """
    sums = gather_object([{name: (sum(ones), len(ones)) for name, ones in values.items()}])
    names = dict.fromkeys(name for own in sums for name in own)
    found = {name: [own.get(name, (0.0, 0)) for own in sums] for name in names}
    counts = {name: sum(count for _, count in pairs) for name, pairs in found.items()}
    return {name: sum(one for one, _ in pairs) / counts[name] for name, pairs in found.items() if counts[name]}
