"""Queries that return what the gold returns on the real database without asking it anything."""

import datetime
from decimal import Decimal

from sqlglot import exp

from envs.sql.databases.execution import QueryResult

MOST_ROWS = 40
"""Of an answer that is written out; SQLite stops at 50 SELECTs."""


def returning_nothing(gold: QueryResult) -> str:
    """A query of the gold's width without rows."""
    return f"SELECT {', '.join(['NULL'] * len(gold.columns))} WHERE 1 = 0"


def returning_the_answer(gold: QueryResult, dialect: str) -> str | None:
    """A query that writes the gold's answer out; None where that is not possible."""
    if not gold.rows:
        return returning_nothing(gold)
    if len(gold.rows) > MOST_ROWS:
        return None
    plain = (int, float, str, Decimal, datetime.date, type(None))
    if not all(isinstance(value, plain) for row in gold.rows for value in row):
        return None
    rows = (", ".join(exp.convert(value).sql(dialect=dialect) for value in row) for row in gold.rows)
    return " UNION ALL ".join(f"SELECT {row}" for row in rows)
