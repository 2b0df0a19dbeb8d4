"""Fills a frozen dataclass from a YAML file and dotted flags; the one way in which scripts are configured.

jsonargparse does the work: it reads the dataclass's own annotations and docstrings. Added here are the nearest known
key, for an unknown one, errors of one line, and the whole configuration as YAML that gives it again.
"""

import argparse
import dataclasses
import enum
import os
import re
import sys
import typing
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn, TypeVar

import jsonargparse
import yaml

from envs.configuration_keys import explain, one_line, require_known_keys
from envs.errors import ConfigurationError, own_cause
from envs.nested_flags import take_nested_flags, with_nested_flag

ConfigT = TypeVar("ConfigT")

# Flags of the parser itself.
PARSER_FLAGS = ("config", "help")

# --help then shows the docstring under each field.
jsonargparse.set_parsing_settings(docstring_parse_attribute_docstrings=True)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Parsed(typing.Generic[ConfigT]):
    """A configuration, and the values that it was made of."""

    config: ConfigT
    resolved: str
    """The whole configuration as YAML that gives it again; of a foreign section (``trainer``) what was set in it."""
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
    require_known_keys(config_type, arguments, (*PARSER_FLAGS, *(switches or {})))
    parser = jsonargparse.ArgumentParser(
        exit_on_error=False,
        allow_abbrev=False,
        print_config=None,  # it cannot write nested dataclasses; the resolved configuration is saved by every run
        formatter_class=_HelpFormatter,
        description=description,
    )
    parser.add_argument("--config", action="config", help="YAML file that fills the fields below")
    parser.add_class_arguments(config_type, None)
    for name, text in (switches or {}).items():
        parser.add_argument(f"--{name}", action="store_true", help=text)
    _make_defaults_plain(parser)
    plain_arguments, nested = take_nested_flags(config_type, arguments)
    try:
        values = parser.parse_args(plain_arguments)
        for flag in nested:
            values[flag.mapping] = with_nested_flag(values[flag.mapping], flag.keys, flag.value)
        config = parser.instantiate(values)
    except (jsonargparse.ArgumentError, TypeError, ValueError) as error:
        if (own := own_cause(error)) is not None:
            raise ConfigurationError(str(own)) from error
        raise ConfigurationError(explain(str(error), config_type)) from error
    names = [field.name for field in dataclasses.fields(config_type)]  # type: ignore[arg-type]
    made = config_type(**{name: config[name] for name in names})
    return Parsed(
        config=made,
        resolved=yaml.dump(_resolved(made, values), Dumper=_Dumper, sort_keys=False, allow_unicode=True),
        flags=jsonargparse.Namespace({name: values[name] for name in switches or {}}),
    )


def exit_with(error: Exception, code: int = 2) -> NoReturn:
    """Prints the error as one line, of several processes in the first one alone, and leaves with an exit code."""
    if os.environ.get("RANK", "0") == "0":
        print(f"structrl: {one_line(str(error))}", file=sys.stderr)
    raise SystemExit(code)


def _make_defaults_plain(parser: jsonargparse.ArgumentParser) -> None:
    """Turns default mappings of dataclasses into mappings of mappings: jsonargparse refuses to change the former."""
    for key, value in parser.get_defaults().items():
        if isinstance(value, Mapping) and any(dataclasses.is_dataclass(member) for member in value.values()):
            parser.set_defaults({key: _plain(value)})


def _resolved(config: Any, values: Any) -> dict[str, Any]:
    """The configuration as plain values, section by section."""
    plain: dict[str, Any] = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        parameters = getattr(type(value), "__dataclass_params__", None)
        is_foreign = parameters is not None and not parameters.frozen
        plain[field.name] = _set_fields(type(value), values[field.name]) if is_foreign else _plain(value)
    return plain


def _set_fields(section: Any, values: Any) -> dict[str, Any]:
    """The fields of a foreign section that differ from their default: it may have hundreds, and derive some."""
    defaults = {
        field.name: field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
        for field in dataclasses.fields(section)
    }
    return {name: _plain(value) for name, value in vars(values).items() if value != defaults.get(name)}


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(member) for member in value]
    if isinstance(value, enum.Enum):
        return value.value
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)


class _Dumper(yaml.SafeDumper):
    """Quotes text like ``1e5`` too, which jsonargparse, other than PyYAML, would read as a number."""

    def ignore_aliases(self, data: Any) -> bool:
        """True: a value that occurs twice is written twice."""
        return True


# Breaks of a line that YAML reads as a space, and marks that it drops, unless they are escaped.
_TO_ESCAPE = re.compile("[\x85\u2028\u2029\ufeff]")


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = '"' if _TO_ESCAPE.search(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)
_Dumper.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+$"), list("-+0123456789")
)


class _HelpFormatter(jsonargparse.DefaultHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Keeps the line breaks of the description."""
