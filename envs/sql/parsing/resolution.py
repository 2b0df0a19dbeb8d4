"""The meaning of the names in a query over a schema, computed once for all who ask about the same query."""

from collections.abc import Mapping
from functools import lru_cache

from envs.sql.parsing.dialect_rules import folded, rules_of
from envs.sql.parsing.from_clause import TooManyColumnsError
from envs.sql.parsing.resolver import QueryResolver
from envs.sql.parsing.scopes import Resolution
from envs.sql.parsing.statement import parse_statement

Schema = Mapping[str, tuple[str, ...]]
"""The names of each table's columns, in order, in the schema's own spelling."""

CACHED_RESOLUTIONS = 128
"""Each keeps its tree; see ``statement.CACHED_STATEMENTS``."""


def resolve(query: str, schema: Schema, dialect: str) -> Resolution | None:
    """What the names in ``query`` mean; None when it cannot be parsed. Shared: it must not be changed."""
    return _resolve(query, tuple(schema.items()), dialect)


@lru_cache(maxsize=CACHED_RESOLUTIONS)
def _resolve(query: str, schema: tuple[tuple[str, tuple[str, ...]], ...], dialect: str) -> Resolution | None:
    rules = rules_of(dialect)
    tree = parse_statement(query, dialect).tree
    if tree is None:
        return None
    resolver = QueryResolver(query, _folded_schema(schema, rules.does_fold_quoted), rules)
    try:
        resolver.resolve_query(tree, None, {})
    except (TooManyColumnsError, RecursionError):
        resolver.problems.append("too complex")
    return Resolution(
        text=query,
        dialect=dialect,
        tree=tree,
        scopes=resolver.scopes,
        references=resolver.references,
        reads=frozenset(resolver.reads),
        problems=tuple(resolver.problems),
    )


@lru_cache(maxsize=1_024)
def _folded_schema(
    schema: tuple[tuple[str, tuple[str, ...]], ...], does_fold_quoted: bool
) -> dict[str, tuple[str, ...]]:
    if not does_fold_quoted:
        return dict(schema)
    return {folded(table): tuple(map(folded, columns)) for table, columns in schema}
