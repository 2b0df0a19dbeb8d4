"""Finds the query in what a model wrote, and says whether a gold orders its result."""

import re
import string
from functools import lru_cache

from envs.sql.parsing.statement import parse_statement

_FENCE = re.compile(r"```(\w*)[ \t]*\r?\n?(.*?)(?:```|\Z)", re.DOTALL)
_SQL_TAGS = frozenset({"", "sql", "sqlite", "duckdb", "postgres", "postgresql"})


def extract_query(text: str) -> str | None:
    """The last ```sql block (a block without a language counts), or all of the text when it has none.

    Surrounding white space and semicolons are dropped; None when nothing remains.
    """
    blocks = [block for tag, block in _FENCE.findall(text) if tag.lower() in _SQL_TAGS]
    query = (blocks[-1] if blocks else text).strip().rstrip(string.whitespace + ";")
    return query or None


@lru_cache(maxsize=16_384)
def orders_its_result(gold: str, dialect: str = "sqlite") -> bool:
    """True when the gold has an ORDER BY at its top level: one inside a subquery orders nothing.

    Raises:
        ValueError: sqlglot cannot parse the query.
    """
    if "order" not in gold.lower():
        return False  # most queries; parsing one takes longer than running it
    statement = parse_statement(gold, dialect)
    if statement.tree is None:
        raise ValueError(f"sqlglot cannot parse it: {statement.error}")
    return statement.tree.args.get("order") is not None
