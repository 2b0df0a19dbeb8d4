"""Checks of the options that several strategies have."""

from typing import Any

from decoding.steps import Steps
from envs.environment import Environment
from envs.errors import ConfigurationError


def require_count(strategy: str, option: str, value: object, *, least: int = 1) -> None:
    """Checks that an option is an integer from ``least``.

    Raises:
        ConfigurationError: it is not.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ConfigurationError(
            f"option '{option}' of strategy '{strategy}' is {value!r}; expected an integer from {least}"
        )


def require_choice(strategy: str, option: str, value: object, choices: tuple[str, ...]) -> None:
    """Checks that an option is one of a few words.

    Raises:
        ConfigurationError: it is not.
    """
    if value not in choices:
        raise ConfigurationError(
            f"option '{option}' of strategy '{strategy}' is {value!r}; expected one of {', '.join(choices)}"
        )


def require_pauses(strategy: str, step: Steps, environment: Environment[Any]) -> Steps:
    """``step``, if answers to the environment can have more than one.

    Raises:
        ConfigurationError: nothing would ever end a step but the answer itself.
    """
    if not step.delimiters and step.max_tokens is None and not environment.stops:
        raise ConfigurationError(
            f"strategy '{strategy}' searches by steps, and environment '{environment.name}' answers no turns, so that a"
            " step would be a whole answer; give its option 'step' delimiters or max_tokens, or use best_of_n"
        )
    return step
