"""What TRL calls to have rewards: functions of the columns that a rollout function returned."""

from collections.abc import Callable

from rewards.composite import Composite
from rewards.configuration import Normalization


def reward_functions(composite: Composite, normalization: Normalization) -> list[Callable[..., list[float | None]]]:
    """TRL's reward functions: the composite's value, or what each paying part pays where these are normalised apart."""
    if normalization == "sum":
        return [_named("reward", lambda scored, **columns: [one.score.value for one in scored])]
    return [
        _named(name, lambda scored, name=name, **columns: [one.score.paid.get(name) for one in scored])
        for name in composite.paying
    ]


def _named(name: str, function: Callable[..., list[float | None]]) -> Callable[..., list[float | None]]:
    """TRL calls its curves by the functions' names."""
    function.__name__ = name
    return function
