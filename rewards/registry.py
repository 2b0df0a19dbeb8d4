"""The reward components that a configuration can name, by environment."""

from collections.abc import Mapping
from typing import Any

from envs.environment import Environment
from envs.options import choose
from rewards import general
from rewards import json as json_rewards
from rewards import math as math_rewards
from rewards import sql as sql_rewards
from rewards.component import Component, require_available

COMPONENTS: dict[str, Mapping[str, Component]] = {
    "json": {**general.COMPONENTS, **json_rewards.COMPONENTS},
    "math": {**general.COMPONENTS, **math_rewards.COMPONENTS},
    "sql": {**general.COMPONENTS, **sql_rewards.COMPONENTS},
}


def component(environment: Environment[Any], name: str) -> Component:
    """The component called ``name`` for an environment's verdicts.

    Raises:
        ConfigurationError: the environment has no such component, or is not configured for it.
    """
    chosen = choose(f"reward of environment '{environment.name}'", name, COMPONENTS[environment.name])
    require_available(name, chosen, environment)
    return chosen
