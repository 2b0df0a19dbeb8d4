"""Finds the query in what a model wrote, writes one as a model should, and says whether a gold orders its result."""

import re
import string
from functools import lru_cache

from envs.layout import Tags
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


def laid_out(query: str, tags: Tags) -> str:
    """``query`` in the tags that are asked for, with the least of reasoning and plan where those must be there."""
    parts = []
    if tags.must_reason:
        parts.append(f"<{tags.reasoning}>One query answers the question.</{tags.reasoning}>")
    if tags.plan is not None:
        parts.append(f"<{tags.plan}>1. Write the query.</{tags.plan}>")
    parts.append(query if tags.answer is None else f"<{tags.answer}>{query}</{tags.answer}>")
    return "\n".join(parts)


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
