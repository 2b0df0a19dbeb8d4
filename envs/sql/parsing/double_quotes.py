"""Double-quoted texts in SQLite: ``"x"`` is a name where a column or alias in scope has it, else the text 'x'.

SQLite calls it a misfeature and keeps it; a fifth of Spider's gold queries rest on it. No other database and no tool
for SQL follows, so that a query has to be rewritten before it goes anywhere else.
"""

from sqlglot import exp

from envs.sql.parsing.resolution import Schema, resolve
from envs.sql.parsing.scopes import TextReference


def with_single_quotes(query: str, schema: Schema, dialect: str) -> str | None:
    """``query`` with each double-quoted text in single quotes and all else as it was; None when it cannot be parsed.

    In the dialects other than SQLite nothing changes.
    """
    resolution = resolve(query, schema, dialect)
    if resolution is None:
        return None
    texts = []
    for column in resolution.tree.find_all(exp.Column):
        reference = resolution.references.get(id(column))
        if isinstance(reference, TextReference):
            position = column.this.meta
            texts.append((position["start"], position["end"] + 1, reference.text))
    for start, end, text in sorted(texts, reverse=True):
        literal = text.replace("'", "''")
        query = f"{query[:start]}'{literal}'{query[end:]}"
    return query
