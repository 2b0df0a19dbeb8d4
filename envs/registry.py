"""The environments that a configuration can name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from envs.environment import Environment
from envs.json.environment import JsonEnvironment
from envs.math.environment import MathEnvironment
from envs.options import construct
from envs.sql.environment import SqlEnvironment

ENVIRONMENTS: dict[str, Callable[..., Environment[Any]]] = {
    "json": JsonEnvironment,
    "math": MathEnvironment,
    "sql": SqlEnvironment,
}


@dataclass(frozen=True, kw_only=True)
class EnvironmentConfig:
    """Which kind of task."""

    name: str
    """json, math or sql."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """The environment's own options: the fields of its dataclass."""


def make_environment(config: EnvironmentConfig) -> Environment[Any]:
    """The configured environment.

    Raises:
        ConfigurationError: the name or an option is unknown.
    """
    return construct("environment", config.name, ENVIRONMENTS, config.options)
