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
def orders_its_result(gold: str) -> bool:
    """True when the gold has an ORDER BY at its top level: one inside a subquery orders nothing.

    Raises:
        ValueError: sqlglot cannot parse the query, or it holds more than one statement.
    """
    try:
        statements = sqlglot.parse(gold, dialect="sqlite")
    except (SqlglotError, RecursionError) as error:
        raise ValueError(f"cannot be parsed: {str(error).splitlines()[0] if str(error) else 'nested too deeply'}") from error
    if len(statements) != 1 or statements[0] is None:
        raise ValueError(f"holds {len(statements)} statements; expected 1")
    return statements[0].args.get("order") is not None
