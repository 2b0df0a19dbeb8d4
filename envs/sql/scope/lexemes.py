"""Cuts SQL text, as bytes of UTF-8, into lexemes while it is being written. Comments are none."""

import re

# A lexeme that reaches the end of the text may still grow, except for these.
_CLOSED = frozenset(b"(),; \t\r\n")

_LEXEME = re.compile(
    rb"""[ \t\r\n]+
    | [A-Za-z_][A-Za-z0-9_]*
    | (?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]*)?(?![A-Za-z0-9_.])
    | '(?:[^']|'')*'(?!') | "(?:[^"]|"")*"(?!") | `(?:[^`]|``)*`(?!`) | \[[^\]]*\]
    | \|\| | <= | <> | < | >= | > | == | = | != | -(?!-) | /(?!\*) | [+*%(),.;]""",
    re.VERBOSE,
)


def cut(text: bytes) -> tuple[list[bytes], bytes]:
    """The whole lexemes of ``text``, and the rest: one that may grow further, or has not come to its end.

    White space comes as one space.
    """
    whole: list[bytes] = []
    start = 0
    end = len(text)
    while start < end:
        match = _LEXEME.match(text, start)
        if match is None:
            break
        stop = match.end()
        if stop == end and text[stop - 1] not in _CLOSED:
            break
        lexeme = match.group()
        whole.append(b" " if lexeme.isspace() else lexeme)
        start = stop
    return whole, text[start:]


def unquoted(lexeme: bytes) -> bytes:
    """The name or text in a lexeme with quotes of any kind."""
    quote = lexeme[:1]
    inner = lexeme[1:-1]
    return inner if quote == b"[" else inner.replace(quote * 2, quote)
