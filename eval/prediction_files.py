"""Reads predictions of any system: which text for which task.

Four layouts, told apart by what the file holds:

- JSON lines: {"id": ..., "prediction": ...}, with any of ``ID_KEYS`` for the one and of ``TEXT_KEYS`` for the other;
- one JSON list of such objects, or of texts in the order of the dataset;
- one JSON object {id: text}, as BIRD's evaluation takes it;
- plain text, one prediction a line in the order of the dataset, as Spider's evaluation takes it. A line of white space
  is an empty prediction; such lines at the end are none at all.

A prediction that is no text (a JSON value in its own right) is written as JSON. Null is none at all.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from envs.errors import ConfigurationError

ID_KEYS = ("id", "task", "question_id", "doc_id", "task_id")
TEXT_KEYS = ("prediction", "text", "answer", "sql", "query", "output", "response", "pred")
EXPECTED = f"an object with an id ({', '.join(ID_KEYS)}) and a text ({', '.join(TEXT_KEYS)})"


@dataclass(frozen=True, kw_only=True)
class PredictionFile:
    """What stands in a file, in its order."""

    entries: tuple[tuple[str, str], ...]
    """Id and text of each prediction. Repeated ids are kept."""
    is_in_order: bool
    """The file names no ids: they are the places of the predictions, from 0."""


def read_prediction_file(path: Path) -> PredictionFile:
    """The predictions of a file.

    Raises:
        ConfigurationError: it cannot be read, holds nothing, or an object in it lacks its id or its text.
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
    if isinstance(whole, list):
        return _of_list(whole, path)
    if isinstance(whole, _Pairs) and not _is_entry(whole):
        return PredictionFile(entries=tuple(_texts(whole.pairs)), is_in_order=False)
    return _of_lines(text.rstrip().split("\n"), path)


@dataclass(frozen=True)
class _Pairs:
    """A JSON object with its repeated keys."""

    pairs: Sequence[tuple[str, Any]]

    def get(self, names: Sequence[str]) -> Any | None:
        """The value of the first of ``names`` that is there."""
        return next((value for name in names for key, value in self.pairs if key == name), None)

    def known(self, names: Sequence[str]) -> list[str]:
        """Those of ``names`` that are there."""
        there = {key for key, _ in self.pairs}
        return [name for name in names if name in there]


def _of_list(values: Sequence[Any], path: Path) -> PredictionFile:
    if values and all(value is None or isinstance(value, str) for value in values):
        return PredictionFile(
            entries=tuple(_texts((str(place), value) for place, value in enumerate(values))), is_in_order=True
        )
    if not values or not isinstance(values[0], _Pairs):
        raise ConfigurationError(
            f"predictions '{path}' is a list of neither objects nor texts; expected {EXPECTED} for each prediction, or"
            " texts in the order of the dataset"
        )
    entries = [_entry(value, f"'{path}', entry {number}") for number, value in enumerate(values, start=1)]
    return PredictionFile(entries=tuple(_texts(entries)), is_in_order=False)


def _of_lines(lines: Sequence[str], path: Path) -> PredictionFile:
    read = [_json(line) for line in lines]
    written = [(number, line, value) for number, (line, value) in enumerate(zip(lines, read, strict=True), start=1)]
    written = [each for each in written if each[1].strip()]
    # A file of objects alone is never one of texts: keys that nobody knows would be scored as wrong answers.
    if any(_is_entry(value) for value in read) or all(isinstance(value, _Pairs) for *_, value in written):
        entries = [_entry(value, f"'{path}', line {number}", line) for number, line, value in written]
        return PredictionFile(entries=tuple(_texts(entries)), is_in_order=False)
    plain = tuple((str(number), line.removesuffix("\r")) for number, line in enumerate(lines))
    return PredictionFile(entries=plain, is_in_order=True)


def _entry(value: Any, place: str, line: str = "") -> tuple[str, Any]:
    """Id and prediction of one object.

    Raises:
        ConfigurationError: it has none, or several that may be meant.
    """
    if not isinstance(value, _Pairs) or not _is_entry(value):
        got = line.strip() or json.dumps(_plain(value))
        raise ConfigurationError(
            f"predictions {place}: expected {EXPECTED}, got '{got[:60]}'; an answer that is itself a JSON object is"
            ' written {"id": ..., "prediction": {...}}'
        )
    texts = value.known(TEXT_KEYS)
    if len(texts) > 1 and texts[0] != TEXT_KEYS[0]:
        raise ConfigurationError(
            f"predictions {place}: {' and '.join(repr(name) for name in texts)} may each be the prediction; name it"
            f" '{TEXT_KEYS[0]}'"
        )
    return str(value.get(ID_KEYS)), value.get(TEXT_KEYS)


def _json(text: str) -> Any | None:
    """The JSON value that ``text`` is, its objects as pairs; None where it is none."""
    try:
        return json.loads(text, object_pairs_hook=_Pairs)
    except (ValueError, RecursionError):
        return None


def _is_entry(value: Any) -> bool:
    return isinstance(value, _Pairs) and bool(value.known(ID_KEYS) and value.known(TEXT_KEYS))


def _texts(entries: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, str]]:
    for name, value in entries:
        if value is not None:
            yield name, value if isinstance(value, str) else json.dumps(_plain(value), ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, _Pairs):
        return {key: _plain(member) for key, member in value.pairs}
    return [_plain(member) for member in value] if isinstance(value, list) else value
