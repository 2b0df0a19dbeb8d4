"""Fills a frozen dataclass from a YAML file and dotted flags; the one way in which scripts are configured.

jsonargparse does the work: it reads the dataclass's own annotations and docstrings. Added here are the nearest known
key, for an unknown one, and errors of one line.
"""

import dataclasses
import re
import sys
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import jsonargparse
import yaml

from envs.errors import ConfigurationError, nearest

ConfigT = TypeVar("ConfigT")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Parsed(typing.Generic[ConfigT]):
    """A configuration, and the values that it was made of."""

    config: ConfigT
    resolved: str
    """Every field that differs from its default, as YAML that gives the same configuration again."""
    flags: Any
    """The script's own switches (those of ``switches``), as attributes."""


def parse(
    config_type: type[ConfigT], arguments: Sequence[str], *, description: str, switches: dict[str, str] | None = None
) -> Parsed[ConfigT]:
    """Reads ``--config FILE`` and dotted flags into ``config_type``.

    Args:
        config_type: a dataclass; nested dataclasses become sections.
        arguments: the command line without the program's name.
        description: first lines of ``--help``.
        switches: name -> help of flags without a value that are not part of the configuration (``--resume``).

    Raises:
        ConfigurationError: a file that is not there or not YAML, an unknown key, or a value of the wrong type.
    """
    parser = jsonargparse.ArgumentParser(exit_on_error=False, description=description)
    parser.add_argument("--config", action="config", help="YAML file that fills the fields below")
    parser.add_class_arguments(config_type, None)
    for name, text in (switches or {}).items():
        parser.add_argument(f"--{name}", action="store_true", help=text)
    _require_known_keys(config_type, arguments)
    try:
        values = parser.parse_args(list(arguments))
        config = parser.instantiate(values)
    except (jsonargparse.ArgumentError, TypeError, ValueError) as error:
        raise ConfigurationError(_one_line(str(error))) from error
    names = [field.name for field in dataclasses.fields(config_type)]  # type: ignore[arg-type]
    resolved = parser.dump(values, skip_default=True, skip_none=True)
    own = {key: value for key, value in (yaml.safe_load(resolved) or {}).items() if key in names}
    return Parsed(
        config=config_type(**{name: config[name] for name in names}),
        resolved=yaml.safe_dump(own, sort_keys=False),
        flags=jsonargparse.Namespace({name: values[name] for name in switches or {}}),
    )


def exit_with(error: ConfigurationError) -> NoReturn:
    """Prints the error as one line and leaves with exit code 2."""
    print(f"structrl: {_one_line(str(error))}", file=sys.stderr)
    raise SystemExit(2)


def _require_known_keys(config_type: type, arguments: Sequence[str]) -> None:
    """Names the nearest known key for an unknown one, before jsonargparse says less about it."""
    for key in [*_file_keys(arguments), *_flag_keys(arguments)]:
        _require_known(key.split("."), config_type, section="")


def _require_known(path: Sequence[str], hint: Any, section: str) -> None:
    """Follows a key down through nested dataclasses and mappings; what lies below any other type is left alone."""
    if not path:
        return
    for candidate in (hint, *typing.get_args(hint)):  # X | None: the members of the union
        if dataclasses.is_dataclass(candidate) and isinstance(candidate, type) and not _is_mapping(hint):
            known = [field.name for field in dataclasses.fields(candidate) if field.init]
            if path[0] not in known:
                where = f" in '{section}'" if section else ""
                raise ConfigurationError(
                    f"unknown configuration key '{path[0]}'{where}{nearest(path[0], known)}; --help lists all keys"
                )
            below = typing.get_type_hints(candidate)[path[0]]
            return _require_known(path[1:], below, f"{section}.{path[0]}" if section else path[0])
        if _is_mapping(candidate):
            value = typing.get_args(candidate)[1]
            return _require_known(path[1:], value, f"{section}.{path[0]}")


def _is_mapping(hint: Any) -> bool:
    origin = typing.get_origin(hint)
    return isinstance(origin, type) and issubclass(origin, Mapping) and len(typing.get_args(hint)) == 2


def _file_keys(arguments: Sequence[str]) -> Iterator[str]:
    for index, argument in enumerate(arguments):
        if argument == "--config" and index + 1 < len(arguments):
            yield from _yaml_keys(arguments[index + 1])
        elif argument.startswith("--config="):
            yield from _yaml_keys(argument.removeprefix("--config="))


def _yaml_keys(file: str) -> Iterator[str]:
    try:
        content = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"config file '{file}' cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"config file '{file}' is not YAML: {_one_line(str(error))}") from error
    if not isinstance(content, dict):
        raise ConfigurationError(f"config file '{file}' holds no mapping of keys to values")
    yield from _nested_keys(content)


def _nested_keys(content: dict[Any, Any], prefix: str = "") -> Iterator[str]:
    for key, value in content.items():
        yield f"{prefix}{key}"
        if isinstance(value, dict):
            yield from _nested_keys(value, f"{prefix}{key}.")


def _flag_keys(arguments: Sequence[str]) -> Iterator[str]:
    """Keys given as ``--a.b value`` or ``--a.b=value``; a top-level flag may be a switch and is left to the parser."""
    for argument in arguments:
        match = re.match(r"--([A-Za-z_]\w*(?:\.\w+)+)(=|$)", argument)
        if match:
            yield match.group(1)


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()
