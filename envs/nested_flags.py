"""Flags that reach into the options of options: ``--environment.options.executor.workers 2``.

jsonargparse sets one key of a mapping and would put a mapping of its own in the place of what lies below it. Such flags
are taken out of the command line before it reads that, and change the value that it has read.
"""

import re
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import yaml

NUMBER = re.compile(r"[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+")
"""Numbers that PyYAML takes for text, and jsonargparse for numbers."""


@dataclass(frozen=True, kw_only=True)
class NestedFlag:
    """A flag below a key of a mapping of any values."""

    mapping: str
    """The dotted path of the mapping's field."""
    keys: tuple[str, ...]
    """From there on down; two or more."""
    value: Any


def take_nested_flags(config_type: type, arguments: Sequence[str]) -> tuple[list[str], list[NestedFlag]]:
    """A command line without its nested flags, and these."""
    mappings = set(_mappings(config_type, ()))
    rest: list[str] = []
    nested: list[NestedFlag] = []
    waiting = list(arguments)
    while waiting:
        argument = waiting.pop(0)
        name, equals, value = argument.partition("=")
        path = name.removeprefix("--").split(".")
        field = next((path[:end] for end in range(1, len(path) - 1) if tuple(path[:end]) in mappings), None)
        if not name.startswith("--") or field is None or not (equals or waiting):
            rest.append(argument)
            continue
        text = value if equals else waiting.pop(0)
        keys = tuple(path[len(field) :])
        nested.append(NestedFlag(mapping=".".join(field), keys=keys, value=_plain(text)))
    return rest, nested


def with_nested_flag(options: Mapping[str, Any] | None, keys: Sequence[str], value: Any) -> dict[str, Any]:
    """Options in which one value, however deep, is another; what lies beside it stays."""
    changed = dict(options or {})
    if len(keys) == 1:
        changed[keys[0]] = value
    else:
        inner = changed.get(keys[0])
        changed[keys[0]] = with_nested_flag(inner if isinstance(inner, Mapping) else None, keys[1:], value)
    return changed


def _mappings(config_type: Any, path: tuple[str, ...]) -> list[tuple[str, ...]]:
    """The paths of all fields that are mappings of text to any values."""
    found = []
    hints = typing.get_type_hints(config_type)
    for field in fields(config_type):
        hint, place = hints[field.name], (*path, field.name)
        sections = [one for one in (hint, *typing.get_args(hint)) if isinstance(one, type) and is_dataclass(one)]
        is_mapping = isinstance(typing.get_origin(hint), type) and issubclass(typing.get_origin(hint), Mapping)
        if is_mapping and typing.get_args(hint)[-1] is Any:
            found.append(place)
        elif len(sections) == 1 and not is_mapping and sections[0].__dataclass_params__.frozen:  # type: ignore[attr-defined]
            found += _mappings(sections[0], place)
    return found


def _plain(text: str) -> Any:
    if NUMBER.fullmatch(text):
        return float(text)
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text
