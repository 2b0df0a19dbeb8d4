"""The reward components that a configuration can name, by environment."""

from collections.abc import Callable, Mapping
from typing import Any

from envs.environment import Environment
from envs.errors import ConfigurationError
from envs.options import choose, construct
from rewards import general
from rewards import json as json_rewards
from rewards import math as math_rewards
from rewards import sql as sql_rewards
from rewards.component import Component, ComponentOptions, require_available

Entry = Component | Callable[..., ComponentOptions]

COMPONENTS: dict[str, Mapping[str, Entry]] = {
    "json": {**general.COMPONENTS, **json_rewards.COMPONENTS},
    "math": {**general.COMPONENTS, **math_rewards.COMPONENTS},
    "sql": {**general.COMPONENTS, **sql_rewards.COMPONENTS},
}


def component(environment: Environment[Any], name: str, options: Mapping[str, Any] | None = None) -> Component:
    """The component called ``name`` for an environment's verdicts.

    Args:
        environment: whose verdicts are measured.
        name: a key of ``COMPONENTS[environment.name]``.
        options: the component's own options; None or empty: its defaults.

    Raises:
        ConfigurationError: the environment has no such component, or is not configured for it; an option is unknown,
            missing or has no meaning.
    """
    kind = f"reward of environment '{environment.name}'"
    known = COMPONENTS[environment.name]
    entry = choose(kind, name, known)
    if isinstance(entry, Component):
        if options:
            raise ConfigurationError(f"reward '{name}' has no options, got {', '.join(map(repr, options))}")
        chosen = entry
    else:
        chosen = construct("reward", name, {name: entry}, options or {}).component()
    require_available(name, chosen, environment)
    return chosen
