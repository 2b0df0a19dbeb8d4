"""Dataclasses of this project as plain values and back, for files that may hold no code.

Only their fields are written: what an object has computed and keeps beside them is not, and a file names only classes
that are dataclasses of the packages below. Not covered: fields that the constructor does not take.
"""

from dataclasses import fields, is_dataclass
from importlib import import_module
from typing import Any

OWN_PACKAGES = ("envs", "decoding")
CLASS = "class of this project"
"""The key under which a mapping names the class that it stands for."""


def packed(value: Any, known: dict[int, Any] | None = None) -> Any:
    """A value with a mapping in the place of every dataclass in it, in lists, tuples and mappings too. What is one
    object stays one."""
    known = {} if known is None else known
    if isinstance(value, list | tuple):
        return type(value)(packed(one, known) for one in value)
    if isinstance(value, dict):
        return {name: packed(one, known) for name, one in value.items()}
    if not is_dataclass(value) or isinstance(value, type):
        return value
    if id(value) not in known:
        own = type(value)
        known[id(value)] = {
            CLASS: f"{own.__module__}:{own.__name__}",
            **{item.name: packed(getattr(value, item.name), known) for item in fields(value)},
        }
    return known[id(value)]


def unpacked(value: Any, known: dict[int, Any] | None = None) -> Any:
    """What ``packed`` was given.

    Raises:
        ValueError: it names a class that is no dataclass of this project.
    """
    known = {} if known is None else known
    if isinstance(value, list | tuple):
        return type(value)(unpacked(one, known) for one in value)
    if not isinstance(value, dict):
        return value
    if CLASS not in value:
        return {name: unpacked(one, known) for name, one in value.items()}
    if id(value) not in known:
        given = {name: unpacked(one, known) for name, one in value.items() if name != CLASS}
        known[id(value)] = _class(value[CLASS])(**given)
    return known[id(value)]


def _class(name: str) -> type:
    module, _, own = name.partition(":")
    found = getattr(import_module(module), own, None) if module.partition(".")[0] in OWN_PACKAGES else None
    if not isinstance(found, type) or not is_dataclass(found):
        raise ValueError(f"{name!r} is no dataclass of {' or '.join(OWN_PACKAGES)}")
    return found
