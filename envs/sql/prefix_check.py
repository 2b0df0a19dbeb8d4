"""Whether the beginning of a query can still become one that SQLite explains: a check for sampling under AWRS.

It refuses nothing that some continuation would mend, and only what SQLite itself says is wrong:

- a text that begins with no word of a query;
- a second statement;
- a syntax error before the last token (which may be unfinished): SQLite's parser reports the first token that no
  continuation could follow;
- a table or function that does not exist, once the text has gone on after its name;
- a column that does not exist or is ambiguous, once the FROM clause that could bring it is over.

For the last two the text is completed, so that SQLite looks at its names: parentheses are closed, a missing operand
is put in. Not covered: names that only a completion of another kind would show, wrong numbers of arguments, types.
Those pass here, and fail when the answer is whole, which is then explained as it stands. Nothing is ever run.
"""

import re
import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

from envs.errors import ConfigurationError
from envs.sql.databases.database import Database
from envs.sql.databases.execution import DatabaseFaultError
from envs.sql.databases.sqlite_file import read_only_location
from envs.sql.identifiers import RESERVED

LONGEST_TEXT = 10_000
"""Characters; longer texts pass without a look, so that no text takes long."""
MOST_EXPANSIONS = 100_000
"""SQLite copies a common table expression wherever it is named, in one uninterruptible step; texts that could grow
beyond so many copies pass without a look."""

_PLACEHOLDER = "placeholder_of_the_prefix_check"
# Tried in turn until the text is a statement.
_COMPLETIONS = ("", " (SELECT 1)", f" {_PLACEHOLDER}", " BY 1", " AND 1", " THEN 1 END", " 1 END", " 1 THEN 1 END")
_FIRST_WORDS = ("select", "with", "values")
_AFTER_FROM = frozenset({"where", "group", "having", "order", "limit"})
# SQLite reads up to two tokens ahead before it takes these for keywords.
_LOOKS_AHEAD = frozenset({"window", "over", "filter"})
_NAME_ERROR = re.compile(r"(no such table|no such function|no such column|ambiguous column name): (.*)", re.DOTALL)
_SECOND_STATEMENT = "You can only execute one statement"
_SYNTAX_ERROR = re.compile(r'near ".*": syntax error', re.DOTALL)
_TOKEN = re.compile(
    r"""
    (?P<blank> [ \t\n\v\f\r]+ | --[^\n]*(\n|\Z) | /\*.*?(\*/|\Z) )
  | (?P<quoted> [xX]?'([^']|'')*('|\Z) | "([^"]|"")*("|\Z) | `([^`]|``)*(`|\Z) | \[[^\]]*(\]|\Z) )
  | (?P<number> \.?[0-9] ([eE][+-] | [\w.])* )
  | (?P<word> ([A-Za-z_] | [^\x00-\x7f]) ([\w$] | [^\x00-\x7f])* )
  | (?P<operator> ((?!--|/\*)[-+*/<>=!|&~%])+ )
  | (?P<mark> . )
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, kw_only=True)
class _Token:
    kind: str
    text: str

    @property
    def name(self) -> str:
        """As SQLite compares it: without quotes, in lower case."""
        mark = self.text[0]
        inner = self.text[1:-1].replace(mark * 2, mark) if self.kind == "quoted" else self.text
        return inner.lower()

    @property
    def keyword(self) -> str:
        """In lower case; empty for what cannot be one."""
        return self.text.lower() if self.kind == "word" else ""


class SqlPrefixCheck:
    """A check of texts (``decoding.aligned.awrs.TextCheck``) against one SQLite database.

    Not for two threads at once.
    """

    def __init__(self, database: Database) -> None:
        """
        Raises:
            ConfigurationError: it is no SQLite database.
            DatabaseFaultError: it cannot be read.
        """
        if database.kind != "sqlite":
            raise ConfigurationError(f"beginnings of queries are checked on SQLite alone, not on {database.kind}")
        try:
            location = read_only_location(Path(database.location))
            self._connection = sqlite3.connect(location, uri=True, isolation_level=None, cached_statements=0)
            self._connection.execute("PRAGMA query_only = ON")
            self._connection.execute("PRAGMA trusted_schema = OFF")
            self._connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
        except (OSError, sqlite3.Error) as error:
            raise DatabaseFaultError(f"'{database.location}' cannot be opened: {error}") from error

    def close(self) -> None:
        """Gives the database up."""
        self._connection.close()

    def __call__(self, text: str, *, is_whole: bool) -> bool:
        """Whether ``text`` is a query (``is_whole``), or may become one."""
        if len(text) > LONGEST_TEXT:
            return True
        tokens, finished = _finished_tokens(text)
        if not _begins_as_query(tokens, finished, is_whole=is_whole):
            return False
        if is_whole:
            return _expansions(tokens) > MOST_EXPANSIONS or self._error(text) is None
        done = [token for token in tokens[:finished] if token.kind != "blank"]
        if not done or _expansions(tokens) > MOST_EXPANSIONS:
            return True
        return self._is_viable("".join(token.text for token in tokens[:finished]), done)

    def _is_viable(self, text: str, tokens: Sequence[_Token]) -> bool:
        error = self._error(text)
        if error is not None and _SYNTAX_ERROR.match(error):
            return not _LOOKS_AHEAD.isdisjoint(token.keyword for token in tokens[-3:])
        if error is not None and error.startswith(_SECOND_STATEMENT):
            return False
        depth = sum((token.text == "(") - (token.text == ")") for token in tokens)
        for completion in _COMPLETIONS:
            # A comment that the text ends with would swallow what follows.
            error = self._error(f"{text}\n{completion}{')' * depth}")
            if error is None:
                return True
            if not _SYNTAX_ERROR.match(error) and error != "incomplete input":
                return not _is_settled(error, tokens, depth)
        return True

    def _error(self, text: str) -> str | None:
        """What SQLite says against a query; None: nothing that is the query's fault."""
        try:
            self._connection.execute(f"EXPLAIN {text}").close()
        except sqlite3.OperationalError as error:
            # Where another process writes, nothing is known.
            return None if "locked" in str(error) or "busy" in str(error) else str(error)
        except (sqlite3.Error, sqlite3.Warning, ValueError, UnicodeEncodeError) as error:
            return str(error)
        return None


def _finished_tokens(text: str) -> tuple[list[_Token], int]:
    """The tokens, blanks included, and how many of them cannot change any more whatever is appended."""
    tokens = [_Token(kind=match.lastgroup or "mark", text=match[0]) for match in _TOKEN.finditer(text)]
    if tokens and tokens[-1].kind == "blank" and not tokens[-1].text.isspace():
        return tokens, len(tokens) - 1  # a comment
    is_closed = not tokens or tokens[-1].kind == "blank" or tokens[-1].text in "(),;"
    return tokens, len(tokens) - (not is_closed)


def _begins_as_query(tokens: Sequence[_Token], finished: int, *, is_whole: bool) -> bool:
    place = next((place for place, token in enumerate(tokens) if token.kind != "blank"), None)
    if place is None:
        return not is_whole
    word = tokens[place].text.lower()
    if is_whole or place < finished:
        return word in _FIRST_WORDS
    # "-" may become a comment.
    return any(first.startswith(word) for first in (*_FIRST_WORDS, "--", "/*"))


def _expansions(tokens: Sequence[_Token]) -> int:
    """A bound of how often SQLite copies common table expressions: each copies what it names as often as it does."""
    if all(token.keyword != "with" for token in tokens):
        return 1
    names = Counter(
        token.name for token in tokens if token.kind in ("word", "quoted") and token.keyword not in RESERVED
    )
    return prod(names.values())


def _is_settled(error: str, tokens: Sequence[_Token], depth: int) -> bool:
    """Whether an error about a name stays, whatever follows ``tokens``.

    Args:
        error: of SQLite, about a completion of the text.
        tokens: of the text, without blanks.
        depth: how many parentheses are open.
    """
    found = _NAME_ERROR.match(error)
    if found is None or _PLACEHOLDER in found[2]:
        return False
    # The last name may be part of a longer one: of a schema or a table, or a function's.
    name = found[2].partition(" - should this be")[0].strip('"').lower()
    if f".{name}".endswith(f".{tokens[-1].name}"):
        return False
    if found[1] == "no such function":
        return True
    outer = _outermost_keywords(tokens)
    last_select = max((place for place, word in enumerate(outer) if word == "select"), default=None)
    if found[1] == "no such table":
        # Common table expressions may name those after them.
        has_with = any(token.keyword == "with" for token in tokens)
        return not has_with or (depth == 0 and last_select is not None)
    return depth == 0 and last_select is not None and not _AFTER_FROM.isdisjoint(outer[last_select:])


def _outermost_keywords(tokens: Sequence[_Token]) -> list[str]:
    """The words outside of all parentheses, in lower case."""
    depth = 0
    words = []
    for token in tokens:
        depth += (token.text == "(") - (token.text == ")")
        if depth == 0 and token.keyword:
            words.append(token.keyword)
    return words
