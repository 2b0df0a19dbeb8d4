"""Keeps test suites on disk: one file each, compressed JSON, written whole or not at all.

The file is named by what the suite depends on: schema, sampled rows, gold, settings, and the version of this package's
rules. A real database whose rows change without the samples and the counts of NULL changing keeps its suite, which
remains one for its schema. JSON and not pickle: a file that others could have written must not be able to run code.
"""

import base64
import datetime
import hashlib
import json
import os
import tempfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from decimal import Decimal
from pathlib import Path
from typing import Any

from envs.cache import cache_directory
from envs.sql.suite.build import SuiteBuilder
from envs.sql.suite.certainty import Certainty
from envs.sql.suite.suite import TestSuite

VERSION = 4
"""Raised with every change of what is drawn, chosen or written."""
LARGEST_FILE = 64_000_000
"""Bytes of JSON that are read back; no suite comes near it."""

_WRITERS: dict[type, tuple[str, Callable[[Any], str]]] = {
    bytes: ("bytes", lambda value: base64.b64encode(value).decode()),
    Decimal: ("decimal", str),
    datetime.datetime: ("datetime", datetime.datetime.isoformat),
    datetime.date: ("date", datetime.date.isoformat),
    datetime.time: ("time", datetime.time.isoformat),
}
_READERS: dict[str, Callable[[str], Any]] = {
    "bytes": base64.b64decode,
    "decimal": Decimal,
    "datetime": datetime.datetime.fromisoformat,
    "date": datetime.date.fromisoformat,
    "time": datetime.time.fromisoformat,
}


def load_or_build(builder: SuiteBuilder, gold: str) -> TestSuite:
    """The suite of ``gold`` from the cache, else built and put there. A cache that cannot be written is done without.

    Raises:
        DatabaseFaultError: the database cannot be read.
    """
    try:
        path = suite_path(builder, gold)
    except OSError:
        return builder.build(gold)
    suite = load(path, gold)
    if suite is None:
        suite = builder.build(gold)
        if suite.is_lasting:
            with suppress(OSError):  # a full disk costs time, not the run
                save(path, suite)
    return suite


def suite_path(builder: SuiteBuilder, gold: str) -> Path:
    """Where the suite of ``gold`` is kept.

    Raises:
        OSError: the cache directory cannot be created.
    """
    text = repr((VERSION, builder.fingerprint, gold, builder.settings))
    name = hashlib.sha256(text.encode(errors="replace")).hexdigest()
    return cache_directory("sql_suites") / name[:2] / f"{name[2:]}.suite"


def save(path: Path, suite: TestSuite) -> None:
    """Writes ``suite``; several processes may do so at once, the last one stays.

    Raises:
        OSError: the file cannot be written.
        TypeError: a row holds a value of an unknown type.
    """
    data = zlib.compress(json.dumps(_as_json(suite)).encode())
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def load(path: Path, gold: str) -> TestSuite | None:
    """The suite in the file; None where there is no such file or it is damaged."""
    try:
        reader = zlib.decompressobj()
        text = reader.decompress(path.read_bytes(), LARGEST_FILE)
        suite = _from_json(json.loads(text)) if reader.eof else None
    except (OSError, zlib.error, ValueError, TypeError, KeyError, AttributeError, ArithmeticError, RecursionError):
        return None
    return suite if suite is not None and suite.gold == gold else None


def _as_json(suite: TestSuite) -> dict[str, Any]:
    instances = [
        {table: [[_written(value) for value in row] for row in rows] for table, rows in instance.items()}
        for instance in suite.instances
    ]
    return {**vars(suite), "certainty": asdict(suite.certainty), "instances": instances}


def _from_json(data: dict[str, Any]) -> TestSuite:
    certainty = data.pop("certainty")
    ranks = certainty.pop("ranks")
    instances = tuple(
        {table: tuple(tuple(_read(value) for value in row) for row in rows) for table, rows in instance.items()}
        for instance in data.pop("instances")
    )
    nulls = data.pop("null_columns")
    return TestSuite(
        instances=instances,
        null_columns=None if nulls is None else tuple(nulls),
        certainty=Certainty(ranks=None if ranks is None else tuple(ranks), **certainty),
        **data,
    )


def _written(value: Any) -> Any:
    """JSON's own types as they are (its reader keeps 1, 1.0 and true apart), others as {type: text}."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    for kind, (name, write) in _WRITERS.items():
        if isinstance(value, kind):
            return {name: write(value)}
    raise TypeError(f"a suite cannot hold a {type(value).__name__}")


def _read(value: Any) -> Any:
    if isinstance(value, dict):
        ((name, text),) = value.items()
        return _READERS[name](text)
    return value
