"""Holds the keys of a configuration against the dataclass that they are to fill, before jsonargparse says less of them.

Types of values are jsonargparse's subject; of its messages the one line that matters is made here.
"""

import collections.abc
import dataclasses
import re
import types
import typing
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from envs.errors import ConfigurationError, nearest

LONGEST_LIST = 12
LONGEST_VALUE = 80
SCALARS = {int: "an integer", float: "a number", str: "text", bool: "true or false", types.NoneType: "null"}


@dataclasses.dataclass(frozen=True)
class _Unread:
    """The value of a flag, which jsonargparse reads by the field's type; only its key is looked at here."""

    text: str

    def __str__(self) -> str:
        return self.text


def require_known_keys(config_type: type, arguments: Sequence[str], others: Collection[str]) -> None:
    """Checks the keys of every configuration file and flag on a command line.

    Args:
        config_type: the dataclass to be filled.
        arguments: the command line.
        others: the flags that are no keys (``config``, switches).

    Raises:
        ConfigurationError: a file that cannot be read, a key that is unknown (names the nearest one) or no text, or a
            plain value where keys belong.
    """
    for file in _config_files(arguments):
        require_known(config_type, _content(file), ())
    for path, value in _flags(arguments):
        if path[-1] != "help" and (len(path) > 1 or path[0] not in others):
            nested: Any = value
            for key in reversed(path[1:]):
                nested = {key: nested}
            require_known(config_type, {path[0]: nested}, (), others)


def require_known(hint: Any, value: Any, path: tuple[str, ...], others: Collection[str] = ()) -> None:
    """Follows ``value`` down through dataclasses and mappings; what lies below any other type is left alone.

    Args:
        hint: the type that ``value`` is for.
        value: plain values, as YAML gives them.
        path: where ``value`` stands in the configuration.
        others: further names that the outermost section knows.

    Raises:
        ConfigurationError: as ``require_known_keys``.
    """
    section, is_nullable = _dataclass_in(hint)
    if is_nullable and (value is None or str(value) == "null"):
        return
    if section is not None:
        if isinstance(value, _Unread | str) and Path(str(value)).is_file():
            value = _content(str(value))  # --model FILE, or in a file model: FILE: the section from a file of its own
        if not isinstance(value, dict):
            raise ConfigurationError(
                f"'{'.'.join(path)}' is {_shown(value)}; expected a section of keys, or a file that holds one"
            )
        hints = typing.get_type_hints(section)
        known = [field.name for field in dataclasses.fields(section) if field.init]
        for key, member in value.items():
            if key not in known:
                raise ConfigurationError(_unknown(str(key), path, known, others))
            require_known(hints[key], member, (*path, key))
    elif (member_hint := _mapping_member(hint)) is not None and isinstance(value, dict):
        for key, member in value.items():
            if not isinstance(key, str) or not key or "." in key:
                raise ConfigurationError(
                    f"key {key!r} in '{'.'.join(path)}' must be text without a dot; quote or rename it"
                )
            require_known(member_hint, member, (*path, key))
    elif hint is Any:
        _refuse_classes(value, path)


def _refuse_classes(value: Any, path: tuple[str, ...]) -> None:
    """Refuses ``class_path``: jsonargparse would import and call what it names, wherever any value is allowed."""
    if isinstance(value, dict):
        if "class_path" in value:
            raise ConfigurationError(f"'{'.'.join(path)}' holds a class_path; a configuration gives values, no classes")
        for key, member in value.items():
            _refuse_classes(member, (*path, str(key)))
    elif isinstance(value, list):
        for member in value:
            _refuse_classes(member, path)


def explain(message: str, config_type: Any) -> str:
    """A message of jsonargparse as one line: which key, what it was given, what it expects."""
    keys = re.findall(r'Parser key "([^"]+)"', message)
    missing = re.search(r"the following arguments are required: (.*)", message)
    if missing and keys:
        return f"'{'.'.join(dict.fromkeys(keys))}' lacks '{missing.group(1)}'"
    if missing:
        names = missing.group(1).split(", ")
        flags = " ".join(f"--{name} ..." for name in names)
        return f"the configuration lacks '{', '.join(names)}'; set it in the file or with {flags}"
    given = re.search(r"(?:Got|Given) value: (.*)", message)
    expected = _hint_at(config_type, [part for key in dict.fromkeys(keys) for part in key.split(".")])
    if not keys or not given or expected is None:
        return one_line(message)
    where = ": ".join(f"'{key}'" for key in dict.fromkeys(keys))
    return f"{where} is {_shown(given.group(1))}; expected {_described(expected)}"


def one_line(text: str) -> str:
    """``text`` without line breaks."""
    return re.sub(r"\s+", " ", text).strip()


def _unknown(key: str, path: tuple[str, ...], known: Sequence[str], others: Collection[str]) -> str:
    where = f" in '{'.'.join(path)}'" if path else ""
    listed = f"known: {', '.join(known)}" if len(known) <= LONGEST_LIST else "--help lists all keys"
    return f"unknown configuration key '{key}'{where}{nearest(key, [*known, *others])}; {listed}"


def _dataclass_in(hint: Any) -> tuple[type | None, bool]:
    """The dataclass that ``hint`` stands for, alone or in a union, and whether null is another member of the union."""
    members = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
    sections = [member for member in members if isinstance(member, type) and dataclasses.is_dataclass(member)]
    return (sections[0] if len(sections) == 1 else None), types.NoneType in members


def _mapping_member(hint: Any) -> Any | None:
    """The type of a mapping's values; None when ``hint`` is no mapping."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    is_mapping = isinstance(origin, type) and issubclass(origin, Mapping) and len(arguments) == 2
    return arguments[1] if is_mapping else None


def _sequence_member(hint: Any) -> Any | None:
    """The type of a sequence's entries; None when ``hint`` is no sequence."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    return arguments[0] if origin in (list, tuple, collections.abc.Sequence) and arguments else None


def _hint_at(hint: Any, path: Sequence[str]) -> Any | None:
    """The type of the value at a path of field names and mapping keys (the latter may be left out)."""
    for part in path:
        if (item := _sequence_member(hint)) is not None:
            hint = item
        section, _ = _dataclass_in(hint)
        member = _mapping_member(hint)
        inner, _ = _dataclass_in(member)
        if section is not None:
            hint = typing.get_type_hints(section).get(part)
        elif inner is not None:
            hint = typing.get_type_hints(inner).get(part, member)
        else:
            hint = member
    return hint


def _described(hint: Any) -> str:
    """A type in words."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_described(member) for member in arguments)
    if origin is typing.Literal:
        return " or ".join(repr(member) for member in arguments)
    if dataclasses.is_dataclass(hint) or _mapping_member(hint) is not None or hint is dict:
        return "a section of keys"
    if origin in (list, tuple, collections.abc.Sequence):
        return "a list"
    return SCALARS.get(hint, getattr(hint, "__name__", str(hint)))


def _shown(value: Any) -> str:
    text = one_line(str(value))
    return repr(text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}...")


def _config_files(arguments: Sequence[str]) -> Iterator[str]:
    for index, argument in enumerate(arguments):
        if argument == "--config" and index + 1 < len(arguments):
            yield arguments[index + 1]
        elif argument.startswith("--config="):
            yield argument.removeprefix("--config=")


def _content(file: str) -> dict[Any, Any]:
    try:
        content = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"config file '{file}' cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"config file '{file}' is not YAML: {one_line(str(error))}") from error
    if not isinstance(content, dict):
        raise ConfigurationError(f"config file '{file}' holds no mapping of keys to values")
    return content


def _flags(arguments: Sequence[str]) -> Iterator[tuple[list[str], Any]]:
    """Key and value of every ``--a.b value``, ``--a.b=value`` and ``--a.b+ value`` (which adds to a list)."""
    for index, argument in enumerate(arguments):
        match = re.match(r"--([^=\s+]+)\+?(?:=(.*))?$", argument, re.DOTALL)
        if match:
            following = arguments[index + 1] if index + 1 < len(arguments) else ""
            yield match.group(1).split("."), _flag_value(following if match.group(2) is None else match.group(2))


def _flag_value(text: str) -> Any:
    """The mapping that ``text`` writes out (``{a: 1}``), whose keys can then be checked."""
    if not text.lstrip().startswith("{"):
        return _Unread(text)
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return _Unread(text)
