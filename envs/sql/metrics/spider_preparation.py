"""What Spider's test-suite evaluation does to a query's text before it runs it (Zhong et al. 2020).

The text is mended where a model wrote ``> =``, loses its DISTINCT unless told otherwise, and with that also everything
after its first statement. The official script finds words and statements with the library sqlparse; here a small lexer
knows what it knows of SQLite: comments, strings, quoted names, words and numbers. Not covered: filling a prediction's
values in from the gold (the script's ``plug_value``), and statements that sqlparse takes for procedures (DECLARE, and
IF, CASE or loops between BEGIN and END), which no read-only connection runs.
"""

import re
from collections.abc import Iterator

COMPARISONS_APART = {"> =": ">=", "< =": "<=", "! =": "!="}
CURRENT_YEAR = re.compile(r"YEAR\s*\(\s*CURDATE\s*\(\s*\)\s*\)\s*", re.IGNORECASE)

# sqlparse has these strings and names, and digits that words may follow; \w is what may stand in a word.
LEXEME = re.compile(
    r"""
    (?P<hint> --\+ [^\r\n]* (?: \r\n | \r | \n | \Z) )
  | (?P<comment> -- [^\r\n]* (?: \r\n | \r | \n | \Z) )
  | (?P<space> [^\S\r\n] )
  | (?P<newline> [\r\n] )
  | (?P<quoted> ` (?: `` | [^`] )* ` | ´ (?: ´´ | [^´] )* ´ | ' (?: '' | \\' | [^'] )* ' | " (?: "" | \\" | [^"] )* "
              | (?<! [\w\])] ) \[ [^\]\[]+ \] )
  | (?P<name> [A-ZÀ-Ü]\w* (?= \( | \s*\.(?!\d) ) | (?<= \.) [A-ZÀ-Ü]\w* )
  | (?P<number> -?0x[\dA-F]+ | -?\d+(?:\.\d+)?E-?\d+ | -?(?:\d+\.\d* | \.\d+ | \d+) (?! [_A-ZÀ-Ü] ) )
  | (?P<compound> END \s+ (?:IF|LOOP|WHILE|FOR|CASE) \b )
  | (?P<separator> (?-i:GO) (?: \s\d+ \b | (?![$\#\w]) ) )
  | (?P<word> \\?\w[$\#\w]* )
  | (?P<operator> [+/@\#%^&|][+/@\#%^&|-]* )
  | (?P<other> . )
    """,
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)


def prepare_query(sql: str, *, keep_distinct: bool = False) -> str:
    """The text that the official script runs for a gold or predicted query.

    Args:
        keep_distinct: the official switch of the same name; without it every DISTINCT outside of strings goes.
    """
    return CURRENT_YEAR.sub("2020", _mended(sql, keep_distinct))


def fill_value_slots(predicted: str) -> str:
    """``predicted`` with 1 for ``value``: done to predictions, before anything else, for models that leave values open.

    Official, and wrong for a name that has ``value`` in it.
    """
    return predicted.replace("value", "1")


def is_order_compared(gold: str, *, keep_distinct: bool = False) -> bool:
    """Whether the rows have to come in the gold's order: its text has ``order by``, be it in a subquery or a string."""
    return "order by" in _mended(gold, keep_distinct).lower()


def _mended(sql: str, keep_distinct: bool) -> str:
    for apart, joined in COMPARISONS_APART.items():
        sql = sql.replace(apart, joined)
    return sql if keep_distinct else _first_statement_without_distinct(sql)


def _first_statement_without_distinct(sql: str) -> str:
    if "distinct" not in sql.lower() and ";" not in sql and "GO" not in sql:
        return sql
    return "".join(text for text in _first_statement(sql) if text.lower() != "distinct")


def _first_statement(sql: str) -> Iterator[str]:
    """The lexemes up to the first semicolon outside of brackets and blocks, and the spaces and comments behind it."""
    is_over = False
    level = 0
    blocks = 0
    previous = ""
    for kind, text in _lexemes(sql):
        if is_over and kind not in ("space", "comment"):
            return
        yield text
        word = text.upper() if kind == "word" else text
        level += (word == "(") - (word == ")")
        if word == "BEGIN":
            blocks += 1
        elif blocks and (word == "END" or (word == ";" and previous == "BEGIN")):
            blocks -= 1
        elif word == "END":
            level -= 1
        # sqlparse ends a statement at a batch separator too: GO, in capitals.
        is_over |= kind == "separator" or (word == ";" and level <= 0 and not blocks)
        if kind not in ("space", "newline", "comment", "block_comment"):
            previous = word


def _lexemes(sql: str) -> Iterator[tuple[str, str]]:
    """(kind, text) of each lexeme; the texts joined are ``sql``."""
    position = 0
    # Known before, because a search for the end of each unclosed comment would be quadratic.
    last_closing = sql.rfind("*/")
    while match := LEXEME.match(sql, position):
        kind, text = match.lastgroup or "other", match[0]
        if position + 2 <= last_closing and sql.startswith("/*", position):
            kind, text = "block_comment", sql[position : sql.index("*/", position + 2) + 2]
        yield kind, text
        position += len(text)
