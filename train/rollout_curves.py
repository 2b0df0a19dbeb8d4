"""Curves of a batch: what its rollouts were paid, how they came about, which were cut off.

But for TRL's own ``reward``, they are of the rollouts as first sampled, before groups were replaced: what the policy
does on the tasks as they come.
"""

from collections.abc import Callable, Sequence
from typing import Any

from envs.environment import Environment
from rewards.composite import Composite
from train.rollout_config import RolloutConfig
from train.rollouts import Batch, ScoredRollout

LogMetric = Callable[[str, float], None]


def log_scores(batch: Batch, composite: Composite, log_metric: LogMetric) -> None:
    """A curve for each part of the reward, and the shares of answers that were not judged, and that were cut off.

    One call a rollout: TRL averages over calls, so the mean is right when processes judge different numbers.
    """
    for one in batch.first_rollouts:
        for part in composite.names:
            value = one.score.parts[part]
            if value is not None:
                log_metric(f"rewards/{part}", value)
        log_metric("unjudged", float(one.score.value is None))
        log_metric("truncated", float(one.rollout.transcript.is_truncated))


def log_rollouts(
    batch: Batch, config: RolloutConfig, environment: Environment[Any], log_metric: LogMetric, *, whole_groups: bool
) -> None:
    """Curves of refilling and of turns.

    Args:
        whole_groups: no group is divided between processes; elsewhere none of them can tell whether one is flat.
    """
    if whole_groups:
        log_metric("groups/flat", batch.refill.flat / len(batch.groups))
    if config.refill:
        log_metric("groups/flat_after_refill", batch.refill.flat_after / len(batch.groups))
        log_metric("groups/refills", batch.refill.sampled / len(batch.groups))
    if environment.stops:
        rollouts = batch.first_rollouts
        segments = [segment for one in rollouts for segment in one.rollout.transcript.segments]
        observations = sum(segment.author == "environment" for segment in segments)
        log_metric("rollouts/observations", observations / len(rollouts))
        log_metric("rollouts/wait_share", batch.ledger.wait_seconds / batch.ledger.generate_seconds)


def truncation_curves(lengths: Sequence[int], is_truncated: Sequence[bool]) -> dict[str, float]:
    """What stands in the place of TRL's curves ``completions/...``, by name.

    Args:
        lengths: tokens that the model wrote, of each rollout of all processes.
        is_truncated: whether a budget cut it off.
    """
    whole = [length for length, cut in zip(lengths, is_truncated, strict=True) if not cut] or [0]
    return {
        "clipped_ratio": sum(is_truncated) / len(is_truncated),
        "mean_terminated_length": sum(whole) / len(whole),
        "min_terminated_length": float(min(whole)),
        "max_terminated_length": float(max(whole)),
    }


def unjudged_reason(scored: ScoredRollout) -> str | None:
    """Why a rollout has no reward, by its first words: what follows names a file, or quotes a message."""
    if scored.score.value is not None:
        return None
    unjudged = scored.rollout.verdict.unjudged
    return f"part {scored.score.unmeasured}" if unjudged is None else unjudged.partition(":")[0]
