"""Where files that can always be made again are kept between runs: built databases, converted models."""

import os
from pathlib import Path


def cache_directory(name: str) -> Path:
    """The directory for one kind of cached file, created when absent.

    The parent is ``$STRUCTRL_CACHE``, else ``$XDG_CACHE_HOME/structrl``, else ``~/.cache/structrl``. An empty variable
    counts as unset, and so does a relative ``$XDG_CACHE_HOME`` (the XDG base directory specification says so).

    Args:
        name: the kind, for example ``"databases"``; one path component.

    Raises:
        ValueError: ``name`` is not a plain folder name.
        OSError: the directory cannot be created.
    """
    if name in ("", "..") or Path(name).name != name:
        raise ValueError(f"a cache is named by one path component, got {name!r}")
    directory = _cache_root() / name
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def _cache_root() -> Path:
    if own := os.environ.get("STRUCTRL_CACHE"):
        return Path(own).expanduser().absolute()
    shared = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (shared if shared.is_absolute() else Path.home() / ".cache") / "structrl"
