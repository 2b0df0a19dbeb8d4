"""Builds a named component from a configuration's options, with errors that name the known choices."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from envs.errors import ConfigurationError, nearest

ComponentT = TypeVar("ComponentT")


def choose(kind: str, name: str, known: Mapping[str, ComponentT]) -> ComponentT:
    """The entry of ``known`` under ``name``.

    Raises:
        ConfigurationError: ``name`` is unknown; the message lists the known names and the nearest one.
    """
    if name not in known:
        raise ConfigurationError(f"unknown {kind} '{name}'{nearest(name, known)}; known: {', '.join(sorted(known))}")
    return known[name]


def construct(
    kind: str, name: str, known: Mapping[str, Callable[..., ComponentT]], options: Mapping[str, Any]
) -> ComponentT:
    """Calls the dataclass that ``known`` holds under ``name`` with ``options`` as its fields.

    Raises:
        ConfigurationError: the name or an option is unknown, or a field without a default is missing.
    """
    component = choose(kind, name, known)
    fields = {field.name: field for field in dataclasses.fields(component) if field.init}  # type: ignore[arg-type]
    for option in options:
        if option not in fields:
            names = ", ".join(sorted(fields)) or "none"
            raise ConfigurationError(
                f"unknown option '{option}' of {kind} '{name}'{nearest(option, fields)}; known: {names}"
            )
    for field in fields.values():
        has_default = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
        if field.name not in options and not has_default:
            raise ConfigurationError(f"{kind} '{name}' needs the option '{field.name}'")
    return component(**options)
