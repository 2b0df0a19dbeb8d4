"""Builds a named component from a configuration's options, with errors that name the known choices."""

import copy
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from envs.configuration_keys import explain, require_known
from envs.errors import ConfigurationError, nearest, own_cause
from envs.layout import Tags

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
        ConfigurationError: the name or an option is unknown, a field without a default is missing, or a value has not
            the field's type.
    """
    component = choose(kind, name, known)
    fields = {field.name: field for field in dataclasses.fields(component) if field.init}  # type: ignore[arg-type]
    for option in options:
        if option not in fields:
            names = ", ".join(sorted(fields)) or "none"
            raise ConfigurationError(
                f"unknown option '{option}' of {kind} '{name}'{nearest(str(option), fields)}; known: {names}"
            )
    for field in fields.values():
        has_default = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
        if options.get(field.name) is None and not has_default:
            raise ConfigurationError(f"{kind} '{name}' needs the option '{field.name}'")
    return component(**_typed(f"{kind} '{name}'", component, options))


def tags_of(environment: str, given: Tags | Mapping[str, Any], default: Tags) -> Tags:
    """An environment's tags, which a configuration gives as a mapping; what that does not name is as in ``default``.

    Raises:
        ConfigurationError: a field is unknown, or the tags have no meaning.
    """
    if isinstance(given, Tags):
        return given
    return construct("tags", environment, {environment: Tags}, {**vars(default), **given})


def _typed(subject: str, component: Callable[..., ComponentT], options: Mapping[str, Any]) -> dict[str, Any]:
    """The options, each held against its field's type; mappings become the dataclasses that they are for."""
    import jsonargparse  # as late as can be: who writes no configuration need not wait for it

    made = {option: value for option, value in options.items() if dataclasses.is_dataclass(value)}
    # A copy: jsonargparse writes what it has read into nested mappings.
    plain = copy.deepcopy({option: value for option, value in options.items() if option not in made})
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(component, None, skip=set(made))
    try:
        require_known(component, plain, ())
        values = parser.instantiate(parser.parse_object(plain))
    except (jsonargparse.ArgumentError, ConfigurationError, TypeError, ValueError) as error:
        if (own := own_cause(error)) is not None:
            raise ConfigurationError(f"{subject}: {own}") from error
        raise ConfigurationError(f"{subject}: {explain(str(error), component)}") from error
    return {**made, **{option: values[option] for option in plain}}
