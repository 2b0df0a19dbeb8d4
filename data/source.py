"""Rows of a dataset, from a directory on disk or from the Hugging Face hub (``hub://owner/name``)."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from envs.errors import ConfigurationError

HUB_PREFIX = "hub://"


def is_hub(path: str) -> bool:
    """True when ``path`` names a dataset on the hub."""
    return path.startswith(HUB_PREFIX)


def directory_files(directory: str, names: Sequence[str], dataset: str, origin: str) -> list[Path]:
    """The files and folders called ``names`` inside a dataset's directory, in their order.

    Args:
        origin: how to come by them, in words: ``get it from https://...``.

    Raises:
        ConfigurationError: the directory or any of them is not there; names all that is missing, and the origin.
    """
    root = Path(directory).expanduser()
    wanted = ", ".join(f"'{name}'" for name in names)
    if not root.is_dir():
        raise ConfigurationError(f"{dataset}: no directory '{root}'; expected one with {wanted}; {origin}")
    missing = ", ".join(f"'{name}'" for name in names if not (root / name).exists())
    if missing:
        raise ConfigurationError(f"{dataset}: '{root}' lacks {missing}; {origin}")
    return [root / name for name in names]


def directory_file(directory: str, name: str, dataset: str, origin: str) -> Path:
    """The one file ``name``, as ``directory_files`` has it.

    Raises:
        ConfigurationError: as there.
    """
    return directory_files(directory, [name], dataset, origin)[0]


def json_file(path: Path, dataset: str) -> list[Any]:
    """The rows of a file that holds one JSON list.

    Raises:
        ConfigurationError: the file cannot be read, or holds something else.
    """
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{dataset}: '{path}' cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{dataset}: '{path}' is not JSON ({error})") from error
    if not isinstance(rows, list):
        raise ConfigurationError(f"{dataset}: '{path}' holds a {type(rows).__name__}; expected a list of rows")
    return rows


def json_lines(path: Path) -> Iterator[Any]:
    """The value of every non-empty line of a JSON-lines file.

    Raises:
        ConfigurationError: the file cannot be opened, or a line is not JSON; names the file and the line.
    """
    try:
        lines = path.open("rb")
    except OSError as error:
        raise ConfigurationError(f"'{path}' cannot be read: {error.strerror}") from error
    with lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                value = json.loads(line.decode())
            except (ValueError, RecursionError) as error:  # not UTF-8, not JSON, an integer or a nesting without end
                raise ConfigurationError(f"'{path}', line {number}: not JSON ({error})") from error
            yield value


def hub_rows(path: str, split: str, subset: str | None = None) -> Iterator[Mapping[str, Any]]:
    """The rows of one split of a hub dataset, through the ``datasets`` library.

    Args:
        path: ``hub://owner/name``; what follows the prefix may be anything that ``datasets.load_dataset`` takes.
        split: the hub's own split name.
        subset: the hub's configuration name, for datasets that have several.

    Raises:
        ConfigurationError: the dataset cannot be loaded; carries the library's reason.
    """
    import datasets  # takes over a second: only those who ask the hub pay

    name = path.removeprefix(HUB_PREFIX)
    try:
        rows = datasets.load_dataset(name, subset, split=split)
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConfigurationError(f"hub dataset '{name}' (split '{split}') cannot be loaded: {reason}") from error
    yield from rows
