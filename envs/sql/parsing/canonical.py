"""A canonical form of a query: where two queries have the same, they mean the same on every database of the schema.

"The same" leaves open what SQL itself leaves open: which of several tied rows a LIMIT keeps, which row of a group a
bare column comes from, in which order rows come that nothing orders, what day it is. Names of the result's columns do
not count. The converse does not hold: queries of different forms may well be equivalent.

Not covered, so that there is no form: recursion, table functions, named windows, volatile functions, JSON, a number of
functions and everything of which ``envs.sql.parsing.trusted_nodes`` says that sqlglot's tree is not to be trusted.
"""

from functools import lru_cache
from hashlib import blake2b

from envs.sql.parsing.expression_forms import NoCanonicalFormError
from envs.sql.parsing.query_forms import QueryForms
from envs.sql.parsing.resolution import Schema, resolve
from envs.sql.parsing.statement import has_unary_plus, token_text

CACHED_FORMS = 4_096
"""A form is about as long as its query, at most 50,000 characters."""


def canonical_form(query: str, schema: Schema, dialect: str) -> str | None:
    """The canonical form of ``query``; None when it cannot be parsed, resolved or trusted.

    Args:
        schema: the columns of each table, in their order: ``*`` is expanded by it.
        dialect: sqlite, duckdb or postgres.
    """
    return _canonical_form(query, tuple(schema.items()), dialect)


def query_digest(query: str, schema: Schema, dialect: str) -> str:
    """32 hexadecimal digits that are equal for queries of the same canonical form.

    Where there is none, for queries of the same tokens apart from the case of keywords and bare names.
    """
    form = canonical_form(query, schema, dialect)
    text = f"tokens {token_text(query, dialect)}" if form is None else f"form {form}"
    return blake2b(text.encode(errors="surrogatepass"), digest_size=16).hexdigest()


@lru_cache(maxsize=CACHED_FORMS)
def _canonical_form(query: str, schema: tuple[tuple[str, tuple[str, ...]], ...], dialect: str) -> str | None:
    resolution = resolve(query, dict(schema), dialect)
    if resolution is None or resolution.problems or has_unary_plus(query, resolution.tree, dialect):
        return None
    try:
        return QueryForms(resolution, is_strict=True).query(resolution.tree)
    except (NoCanonicalFormError, RecursionError):
        return None
