"""Does a query's result hang on more than the query and the data: on chance, or on the clock?

What a model is shown of a query has to be the same whenever and wherever it is asked, or no training run could be
repeated. Decided on the query's tokens: by names of functions, by keywords, and by the words that mean this moment.

Not covered: what a view of the database itself does; words that are put together only when the query runs
(``date('no' || 'w')``, a column that holds ``now``) or escaped (``U&"..."``); the time zone of the machine, for which
SQLite's ``localtime`` asks; rows whose order nothing orders.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sqlglot import Dialect
from sqlglot.errors import SqlglotError
from sqlglot.tokens import Token, TokenType


@dataclass(frozen=True, kw_only=True)
class _Volatile:
    """What depends on chance or the clock in one dialect; names in lower case."""

    functions: frozenset[str]
    """Whatever their arguments."""
    defaulting: dict[str, int]
    """Functions that mean this moment where they have at most so many arguments."""
    keywords: frozenset[str]
    """Without brackets, too."""
    words: re.Pattern[str] | None = None
    """Texts that mean this moment where they are taken for a time."""
    reads_anywhere: bool = False
    """Any such text may be taken for a time; false: only where a function of ``defaulting`` is called."""


_DIALECTS = {
    "sqlite": _Volatile(
        functions=frozenset({"random"}),
        defaulting={name: 0 for name in ("date", "time", "datetime", "julianday", "unixepoch", "timediff")}
        | {"strftime": 1},
        keywords=frozenset({"current_date", "current_time", "current_timestamp"}),
        words=re.compile("now", re.IGNORECASE),
    ),
    "duckdb": _Volatile(
        functions=frozenset(
            "random gen_random_uuid uuid now today ago get_current_time get_current_timestamp"
            " transaction_timestamp".split()
        ),
        defaulting={"age": 1},
        keywords=frozenset(
            "current_date current_time current_timestamp current_localtime current_localtimestamp localtime"
            " localtimestamp".split()
        ),
    ),
    "postgres": _Volatile(
        functions=frozenset(
            "random gen_random_uuid now clock_timestamp statement_timestamp transaction_timestamp timeofday".split()
        ),
        defaulting={"age": 1},
        keywords=frozenset("current_date current_time current_timestamp localtime localtimestamp".split()),
        words=re.compile(r"\s*(?:now|today|tomorrow|yesterday)[\s\d:.]*", re.IGNORECASE),
        reads_anywhere=True,
    ),
}


def volatile_part(query: str, dialect: str) -> str | None:
    """The first part of a query that makes its result depend on chance or the clock, ``random()`` for example; None
    where there is none. Never raises because of the query.

    Args:
        dialect: sqlite, duckdb or postgres.
    """
    tokens = _tokens(query, dialect)
    counts = _argument_counts(tokens)
    volatile = _DIALECTS[dialect]
    has_time = volatile.reads_anywhere
    word = None
    for place, token in enumerate(tokens):
        name = token.text.lower()
        is_text = token.token_type.name.endswith("STRING")
        is_name = token.token_type is TokenType.IDENTIFIER
        # SQLite takes "now" for a text, too.
        if volatile.words is not None and (is_text or (is_name and dialect == "sqlite")):
            word = word or (token.text if volatile.words.fullmatch(token.text) else None)
        if is_text:
            continue
        if name in volatile.keywords and not is_name:
            return token.text
        if token.token_type is TokenType.TABLE_SAMPLE or (
            name == "sample" and place and tokens[place - 1].text.lower() == "using"
        ):
            return "a sample of rows"
        if place + 1 == len(tokens) or tokens[place + 1].token_type is not TokenType.L_PAREN:
            continue
        if name in volatile.functions:
            return f"{token.text}()"
        if name in volatile.defaulting:
            has_time = True
            if counts[place + 1] <= volatile.defaulting[name]:
                return f"{token.text}() of this moment"
    return f"'{word}'" if word is not None and has_time else None


def _argument_counts(tokens: Sequence[Token]) -> dict[int, int]:
    """How many arguments stand in each pair of brackets, by the place of the opening one."""
    counts: dict[int, int] = {}
    is_open: list[int] = []
    for place, token in enumerate(tokens):
        if token.token_type is TokenType.R_PAREN:
            if is_open:
                is_open.pop()
            continue
        if is_open:
            counts[is_open[-1]] = max(1, counts[is_open[-1]]) + (token.token_type is TokenType.COMMA)
        if token.token_type is TokenType.L_PAREN:
            is_open.append(place)
            counts[place] = 0
    return counts


def _tokens(query: str, dialect: str) -> list[Token]:
    """The tokens; none where there are none to be had, which a database refuses, but for a comment that never ends."""
    for text in (query, f"{query}*/"):
        try:
            return list(Dialect.get_or_raise(dialect).tokenize(text))
        except SqlglotError:
            continue
    return []
