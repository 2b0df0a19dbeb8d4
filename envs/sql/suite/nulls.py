"""NULL in results that the domain does not have: an aggregate over no rows, mostly.

What ``max(x)`` and ``ORDER BY x DESC LIMIT 1`` return then is not the same, and people mean the same by both. Under the
policy ``data`` no database counts on which a column of the gold's result holds NULL that holds none in reality.
"""

from envs.sql.databases.execution import QueryResult
from envs.sql.suite.suite import NullColumns


def null_columns(answer: QueryResult) -> NullColumns:
    """Which columns hold NULL."""
    return tuple(None in column for column in zip(*answer.rows, strict=True)) if answer.rows else None


def introduces_null(result: QueryResult, real: NullColumns) -> bool:
    """True when a column of ``result`` holds NULL and the same column of the real answer does not."""
    found = null_columns(result)
    return (
        found is not None
        and real is not None
        and any(here and not there for here, there in zip(found, real, strict=False))
    )
