"""What is shown of a query's result: its first rows, their values in SQL's notation and shortened, and a digest of all.

Made beside the data, so that neither all rows nor long values leave the worker.
"""

import hashlib
import math
from collections.abc import Iterable
from typing import Any

from envs.sql.databases.execution import QueryError, QueryResult
from envs.sql.executor.job import Preview

VALUE_CHARACTERS = 80
"""A longer value is cut, and the text says so."""
BLOB_BYTES = 16
ESCAPES = str.maketrans({"\n": "\\n", "\r": "\\r", "\t": "\\t"})
"""A row is one line."""


def preview_of(execution: QueryResult | QueryError, rows: int, digest: str | None = None) -> Preview:
    """The preview of what came of a query.

    Args:
        rows: how many of its rows are shown.
        digest: of its result; None: that of all that could be shown.
    """
    if isinstance(execution, QueryError):
        return failed_preview(execution.category, execution.message)
    return Preview(
        columns=tuple([_cut(name.translate(ESCAPES)) for name in execution.columns]),
        rows=tuple([tuple(map(literal, row)) for row in execution.rows[:rows]]),
        row_count=len(execution.rows),
        digest=digest or _digest(("result", execution.columns, *execution.rows)),
    )


def failed_preview(category: str, message: str) -> Preview:
    """The preview of a query that has no result."""
    return Preview(error=category, message=message, digest=_digest(("error", category, message)))


def literal(value: Any) -> str:
    """A value of a result as SQL writes it, on one line: ``NULL``, ``1.5``, ``'O''Hara'``, ``X'00FF'``.

    What is cut off is marked outside of the quotes: ``'abc'...``, ``X'00FF'... (2000 bytes)``.
    """
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        shown = f"X'{value[:BLOB_BYTES].hex().upper()}'"
        return shown if len(value) <= BLOB_BYTES else f"{shown}... ({len(value)} bytes)"
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else f"{'-' if value < 0 else ''}Infinity"
    if isinstance(value, str):
        shown = value[:VALUE_CHARACTERS].translate(ESCAPES).replace("'", "''")
        return f"'{shown}'{'...' if len(value) > VALUE_CHARACTERS else ''}"
    return _cut(str(value))


def _cut(text: str) -> str:
    return text if len(text) <= VALUE_CHARACTERS else f"{text[:VALUE_CHARACTERS]}..."


def _digest(parts: Iterable[Any]) -> str:
    """The same in every process: ``hash`` would not be."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(repr(part).encode())
        digest.update(b"\n")
    return digest.hexdigest()
