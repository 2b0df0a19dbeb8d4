"""What TRL calls to have rewards: functions of the columns that a rollout function returned."""

from collections.abc import Callable
from typing import Any

from rewards.composite import Composite, Score
from rewards.configuration import Normalization
from train.rollouts import ScoredRollout


def reward_functions(composite: Composite, normalization: Normalization) -> list[Callable[..., list[float | None]]]:
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
            log_metric("truncated", float(one.rollout.transcript.is_truncated))
        return [pays(one.score) for one in scored]

    return _named(name, reward)


def unjudged_reason(scored: ScoredRollout) -> str | None:
    """Why a rollout has no reward, by its first words: what follows names a file, or quotes a message."""
    if scored.score.value is not None:
        return None
    unjudged = scored.rollout.verdict.unjudged
    return f"part {scored.score.unmeasured}" if unjudged is None else unjudged.partition(":")[0]
