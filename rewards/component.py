"""The contract of a reward component."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from envs.environment import Environment
from envs.errors import ConfigurationError
from envs.verdict import Verdict


@dataclass(frozen=True, kw_only=True)
class Component:
    """A named, pure function of a verdict to a float in [0, 1].

    Used alike as a part of a training reward and as an evaluation metric, so that the two cannot disagree.
    """

    verdict: type[Verdict]
    """The verdicts it understands; ``Verdict`` itself: those of every environment."""
    measure: Callable[[Any], float | None]
    """The value for a judged verdict; None when this verdict cannot answer (no gold to compare with, for example)."""
    is_rate: bool = True
    """True when the value is always 0 or 1, so that its mean is a proportion."""
    lacks: Callable[[Any], str | None] = lambda environment: None
    """Asked with the environment: what it has to be told before its verdicts can answer; None when nothing."""


class ComponentOptions(Protocol):
    """The options of a component that has some: a frozen dataclass, checked when it is made."""

    def component(self) -> Component:
        """The component with these options."""
        ...


def require_available(name: str, component: Component, environment: Environment[Any]) -> None:
    """
    Raises:
        ConfigurationError: the environment's verdicts cannot answer the component as it is configured.
    """
    if (missing := component.lacks(environment)) is not None:
        raise ConfigurationError(f"reward or metric '{name}' needs {missing}")
