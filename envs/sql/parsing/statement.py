"""Parses one query with sqlglot so that no text, however hostile, raises or takes more than tens of milliseconds.

sqlglot backtracks: forty bytes of ``JOIN a JOIN b ...`` without ON, or of ``VARCHAR(VARCHAR(...``, take it minutes. So
the text, the tokens and the steps of the parser are all bounded. No bound comes near an ordinary query: Spider's
longest has 577 bytes, 125 tokens and 160 steps of the parser.

Not covered: whether the database would accept the query. sqlglot is more lenient than any of them.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlglot import Dialect, exp
from sqlglot.errors import SqlglotError
from sqlglot.tokens import Token, TokenType

QUERY_BYTES = 10_000
"""Longest text that is parsed; tokenizing takes up to 3 ms per thousand bytes."""
QUERY_TOKENS = 2_000
PARSER_STEPS = 1_000
PARSER_STEPS_PER_TOKEN = 6
"""Moves of the parser over the tokens, those of its failed attempts included, that it is allowed in all: some 6 ms for
a short query, 60 ms at the bounds above. Spider's queries need at most 2.7 a token."""
CACHED_STATEMENTS = 128
"""A tree takes some 10 kB, at the bounds above a megabyte."""

_OPENINGS = frozenset({TokenType.SELECT, TokenType.WITH, TokenType.L_PAREN, TokenType.VALUES, TokenType.FROM})
_QUOTED = frozenset(kind for kind in TokenType if kind.name.endswith(("STRING", "IDENTIFIER")))


@dataclass(frozen=True, kw_only=True)
class Statement:
    """A parsed query, or why there is none. The tree is shared between all who ask: it must not be changed."""

    text: str
    """What was parsed."""
    dialect: str
    """The sqlglot dialect that it was parsed in."""
    tree: exp.Query | None
    """A SELECT, a set operation or either in parentheses; None when the text is not one such query."""
    error: str | None
    """Why there is no tree: ``too long``, ``too complex``, ``not a query`` or ``syntax``."""


@lru_cache(maxsize=CACHED_STATEMENTS)
def parse_statement(query: str, dialect: str) -> Statement:
    """Parses ``query`` as a single statement of ``dialect`` (sqlglot's name). Never raises because of the query."""
    tree, error = _parse(query, dialect)
    return Statement(text=query, dialect=dialect, tree=tree, error=error)


def token_text(query: str, dialect: str) -> str:
    """The query's tokens, keywords and bare names in lower case, without comments and closing semicolons.

    A text that cannot be tokenized comes back with its white space collapsed.
    """
    tokens = None if _is_too_long(query) else _tokenize(query, dialect)
    if tokens is None:
        return " ".join(query.split())
    while tokens and tokens[-1].token_type == TokenType.SEMICOLON:
        tokens.pop()
    return " ".join(
        # What was quoted keeps its case; the kind of token tells 'a' from "a" from a.
        f"{token.token_type.name}:{token.text!r}" if token.token_type in _QUOTED else token.text.lower()
        for token in tokens
    )


def has_unary_plus(query: str, tree: exp.Expr, dialect: str) -> bool:
    """True where a ``+`` is no addition. sqlglot drops it, but in SQLite it takes a column's affinity away."""
    if "+" not in query:
        return False
    plus_signs = sum(token.token_type == TokenType.PLUS for token in _tokenize(query, dialect) or ())
    return plus_signs != sum(1 for _ in tree.find_all(exp.Add))


def _is_too_long(query: str) -> bool:
    return len(query) > QUERY_BYTES or len(query.encode(errors="replace")) > QUERY_BYTES


def _tokenize(query: str, dialect: str) -> list[Token] | None:
    try:
        return list(Dialect.get_or_raise(dialect).tokenize(query))
    except SqlglotError:
        return None


def _parse(query: str, dialect: str) -> tuple[exp.Query | None, str | None]:
    if _is_too_long(query):
        return None, "too long"
    tokens = _tokenize(query, dialect)
    if tokens is None:
        return None, "syntax"
    if len(tokens) > QUERY_TOKENS:
        return None, "too complex"
    if not tokens or tokens[0].token_type not in _OPENINGS:
        return None, "not a query"  # sqlglot would keep any other text as an opaque command
    try:
        parser = _bounded_parser(dialect)(dialect=Dialect.get_or_raise(dialect))
        parser.steps_left = PARSER_STEPS + PARSER_STEPS_PER_TOKEN * len(tokens)
        statements = parser.parse(tokens, query)
    except (_TooManyStepsError, RecursionError):
        return None, "too complex"
    except Exception:
        # Besides its own errors sqlglot lets a few built-in ones escape on malformed text (AttributeError, IndexError,
        # TypeError, ValueError seen): all of them say the same about the query.
        return None, "syntax"
    statements = [statement for statement in statements if statement is not None]
    if len(statements) != 1 or not isinstance(statements[0], exp.Query):
        return None, "not a query"
    return statements[0], None


class _TooManyStepsError(Exception):
    """Not one of sqlglot's errors on purpose: the parser swallows those when it tries alternatives."""


@lru_cache(maxsize=16)
def _bounded_parser(dialect: str) -> Any:
    class BoundedParser(Dialect.get_or_raise(dialect).parser_class):  # type: ignore[misc]
        steps_left = 0

        def _advance(self, times: int = 1) -> None:
            self.steps_left -= 1
            if self.steps_left < 0:
                raise _TooManyStepsError
            super()._advance(times)

        def _warn_unsupported(self) -> None:
            # Called where sqlglot gives up and keeps the rest as an opaque command, with a line in the log.
            self.raise_error("not a query")

    return BoundedParser
