"""Finds the query in what a model wrote, and what a gold query demands of the order of its result."""

import re
from functools import lru_cache

import sqlglot
from sqlglot.errors import SqlglotError

_FENCE = re.compile(r"```(\w*)[ \t]*\r?\n?(.*?)(?:```|\Z)", re.DOTALL)
_SQL_TAGS = frozenset({"", "sql", "sqlite"})


def extract_query(text: str) -> str | None:
    """The last ```sql block (a block without a language counts), or all of the text when it has none.

    Surrounding white space and semicolons are dropped; None when nothing remains.
    """
    blocks = [block for tag, block in _FENCE.findall(text) if tag.lower() in _SQL_TAGS]
    query = (blocks[-1] if blocks else text).strip()
    while query.endswith(";"):
        query = query[:-1].rstrip()
    return query or None


@lru_cache(maxsize=16_384)
def orders_its_result(gold: str, dialect: str = "sqlite") -> bool:
    """True when the gold has an ORDER BY at its top level: one inside a subquery orders nothing.

    Raises:
        ValueError: sqlglot cannot parse the query.
    """
    if "order" not in gold.lower():
        return False  # most queries; parsing one takes longer than running it
    try:
        statement = sqlglot.parse_one(gold, dialect=dialect)
    except SqlglotError as error:
        raise ValueError(f"sqlglot cannot parse it: {str(error).splitlines()[0]}") from error
    except RecursionError as error:
        raise ValueError("sqlglot cannot parse it: nested too deeply") from error
    return statement.args.get("order") is not None
