"""Names of tables and columns as SQL writes them: bare where they can be, quoted where they must be."""

import re

# SQLite's keywords that cannot stand bare as a name of a table or column (the others fall back to identifiers).
RESERVED = frozenset(
    """
    add all alter and as autoincrement between case check collate commit constraint create default deferrable delete
    distinct drop else escape except exists foreign from group having in index insert intersect into is isnull join
    limit not nothing notnull null on or order primary references returning select set table then to transaction union
    unique update using values when where
    """.split()
)
# Bare names of columns they may be, but where a table or an alias is expected they start a join.
JOIN_WORDS = frozenset("cross full inner left natural outer right".split())
# Names that mean something else as an expression.
_VALUE_WORDS = frozenset("current_date current_time current_timestamp raise cast true false".split())
# What PostgreSQL (and DuckDB, whose parser descends from its) reserves beyond these.
_POSTGRES_WORDS = frozenset(
    """
    analyse analyze any array asymmetric authorization binary both column concurrently current_catalog current_role
    current_schema current_user desc asc do end fetch for freeze grant ilike initially lateral leading like localtime
    localtimestamp offset only overlaps placing qualify session_user similar some symmetric tablesample trailing user
    variadic verbose window with pivot unpivot describe show summarize lambda
    """.split()
)

_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


def is_plain_name(name: str, dialect: str = "sqlite") -> bool:
    """True when ``name`` can be written without quotes wherever a name is expected.

    Args:
        dialect: sqlite, duckdb or postgres. PostgreSQL reads bare names in lower case.
    """
    lowered = name.lower()
    if not _PLAIN_NAME.match(name) or lowered in RESERVED | JOIN_WORDS | _VALUE_WORDS:
        return False
    if dialect == "sqlite":
        return True
    return lowered not in _POSTGRES_WORDS and (dialect != "postgres" or name == lowered)


def quoted(name: str) -> str:
    """``name`` in double quotes."""
    return '"' + name.replace('"', '""') + '"'


def identifier(name: str, dialect: str = "sqlite") -> str:
    """``name`` as SQL writes it: bare where it can be, in double quotes where it must be."""
    return name if is_plain_name(name, dialect) else quoted(name)
