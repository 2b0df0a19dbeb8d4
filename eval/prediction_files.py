"""Reads predictions of any system: which text for which task.

Three layouts, told apart by what the file holds:

- JSON lines: {"id": ..., "prediction": ...}, also with "task" for the one and "text" or "answer" for the other;
- one JSON object {id: text}, as BIRD's evaluation takes it;
- plain text, one prediction a line in the order of the dataset, as Spider's evaluation takes it. A line of white space
  is an empty prediction; such lines at the end do not count.

A prediction that is no text (a JSON value in its own right) is written as JSON. Null is none at all.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from envs.errors import ConfigurationError

ID_KEYS = ("id", "task")
TEXT_KEYS = ("prediction", "text", "answer")


@dataclass(frozen=True, kw_only=True)
class PredictionFile:
    """What stands in a file, in its order."""

    entries: tuple[tuple[str, str], ...]
    """Id and text of each prediction. Repeated ids are kept."""
    is_in_order: bool
    """The file names no ids: they are the places of the lines, from 0."""


def read_prediction_file(path: Path) -> PredictionFile:
    """The predictions of a file.

    Raises:
        ConfigurationError: it cannot be read, holds nothing, or a line of JSON lacks its id or its text.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigurationError(f"predictions '{path}' cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"predictions '{path}' is not UTF-8: {error}; save it as UTF-8") from error
    if not text.strip():
        raise ConfigurationError(f"predictions '{path}' is empty")
    whole = _json(text)
    if isinstance(whole, _Pairs) and not _is_line(whole):
        return PredictionFile(entries=tuple(_texts(whole.pairs)), is_in_order=False)
    lines = text.rstrip().split("\n")
    read = [_json(line) for line in lines]
    if any(_is_line(line) for line in read):
        return PredictionFile(entries=tuple(_texts(_of_lines(lines, read, path))), is_in_order=False)
    plain = tuple((str(number), line.removesuffix("\r")) for number, line in enumerate(lines))
    return PredictionFile(entries=plain, is_in_order=True)


@dataclass(frozen=True)
class _Pairs:
    """A JSON object with its repeated keys."""

    pairs: Sequence[tuple[str, Any]]

    def get(self, names: Sequence[str]) -> Any | None:
        """The value of the first of ``names`` that is there."""
        return next((value for name in names for key, value in self.pairs if key == name), None)

    def has(self, names: Sequence[str]) -> bool:
        return any(key in names for key, _ in self.pairs)


def _json(text: str) -> Any | None:
    """The JSON value that ``text`` is, its objects as pairs; None where it is none."""
    try:
        return json.loads(text, object_pairs_hook=_Pairs)
    except (ValueError, RecursionError):
        return None


def _is_line(value: Any) -> bool:
    return isinstance(value, _Pairs) and value.has(ID_KEYS) and value.has(TEXT_KEYS)


def _of_lines(lines: Sequence[str], read: Sequence[Any], path: Path) -> Iterator[tuple[str, Any]]:
    for number, (line, value) in enumerate(zip(lines, read, strict=True), start=1):
        if not line.strip():
            continue
        if not _is_line(value):
            raise ConfigurationError(
                f"predictions '{path}', line {number}: expected a JSON object with {' or '.join(ID_KEYS)} and"
                f" {' or '.join(TEXT_KEYS)}, got '{line.strip()[:60]}'"
            )
        yield str(value.get(ID_KEYS)), value.get(TEXT_KEYS)


def _texts(entries: Sequence[tuple[str, Any]] | Iterator[tuple[str, Any]]) -> Iterator[tuple[str, str]]:
    for name, value in entries:
        if value is not None:
            yield name, value if isinstance(value, str) else json.dumps(_plain(value), ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, _Pairs):
        return {key: _plain(member) for key, member in value.pairs}
    return [_plain(member) for member in value] if isinstance(value, list) else value
