"""The words of a query as Spider's official parser sees them.

The official script reads SQL with NLTK's English ``word_tokenize``. It is made for prose, and what it does to SQL
decides what parses: ``a >= 1`` comes apart into four words (the comparison is glued together afterwards), ``a=1`` stays
one, ``1,2`` stays one, a full stop at the end of a sentence is a word of its own. These rules are kept.

NLTK finds the ends of sentences with statistics over English words (Punkt). Here a full stop before a space or a
bracket ends a sentence, except after a number or an initial when what follows begins with a small letter or is a
punctuation mark. Not covered: Punkt's list of abbreviations ("no.", "dept."). Only text that goes on after such a stop
outside a string can show the difference; no gold query of Spider has one.
"""

import re

LONGEST_QUERY = 100_000
"""Characters; what is longer is outside the grammar. Spider's longest gold has under 600."""

COMPARISONS = ("!", ">", "<")

# NLTK pads these with spaces wherever they stand.
SEPARATE = re.compile(r"\.{2,}|--|`+|[;@#$%&?!*()<>{}\[\]\u2012-\u2015«“‘„»”’]")
COLON_OR_COMMA = re.compile(r"([:,])(\D)|([:,])$")
CONTRACTION = re.compile(
    r"\b(can)(not)\b|\b(gim|lem)(me)\b|\b(gon)(na)\b|\b(got)(ta)\b|\b(wan)(na)(?=\s)", re.IGNORECASE
)
INNER_STOP = re.compile(r"(?<=[^.])\.(?=([);}\]*:@({\[?!‘’“”«»])|\s+(\S))")
NUMBER_OR_INITIAL = re.compile(r"(?:^|[\s(){}\[\]*:;@?!,`&#-])(?:\d[\d,.-]*|[^\W\d])\Z")
WORD_WINDOW = 40
"""Characters before a full stop in which a number or an initial is looked for."""
CLOSING = "])}>»”’ "


class SpiderSyntaxError(ValueError):
    """The query is outside the grammar of Spider's official parser."""


def tokenize(sql: str) -> list[str]:
    """The words of ``sql`` in lower case; a string literal is one word, in double quotes, its case kept.

    Raises:
        SpiderSyntaxError: the quotes do not pair up, or the text is longer than ``LONGEST_QUERY``.
    """
    if len(sql) > LONGEST_QUERY:
        raise SpiderSyntaxError(f"longer than {LONGEST_QUERY} characters")
    text, literals = _with_literals_masked(sql.replace("'", '"'))
    text = _with_sentence_ends_apart(text)
    text = COLON_OR_COMMA.sub(lambda match: f" {match[1]} {match[2]}" if match[1] else f" {match[3]} ", text)
    text = SEPARATE.sub(lambda match: f" {match[0]} ", f" {text} ")
    text = CONTRACTION.sub(lambda match: " {} {} ".format(*filter(None, match.groups())), text)
    words = [word.lower() for word in text.split()]
    return _with_comparisons_joined([literals.get(word, word) for word in words])


def _with_literals_masked(text: str) -> tuple[str, dict[str, str]]:
    """``text`` with a placeholder word for each string literal, and the literals by placeholder."""
    pieces = text.split('"')
    if len(pieces) % 2 == 0:
        raise SpiderSyntaxError("a quote is not closed")
    literals: dict[str, str] = {}
    start = 0
    for index, piece in enumerate(pieces):
        if index % 2:
            # The placeholder stands for the positions of its quotes, so that equal names mean equal literals.
            placeholder = f"__val_{start - 1}_{start + len(piece)}__"
            literals[placeholder] = f'"{piece}"'
            pieces[index] = placeholder
        start += len(piece) + 1
    return "".join(pieces), literals


def _with_sentence_ends_apart(text: str) -> str:
    """``text`` with a space before and after each full stop that ends a sentence."""

    def apart(match: re.Match[str]) -> str:
        following = match[1] or match[2]
        word = text[max(0, match.start() - WORD_WINDOW) : match.start()]
        goes_on = (following.islower() or following in ";:,.!?") and NUMBER_OR_INITIAL.search(word)
        return "." if goes_on else " . "

    body = text.rstrip().rstrip(CLOSING)
    if body.endswith(".") and not body.endswith(".."):
        return f"{INNER_STOP.sub(apart, body[:-1])} . {text[len(body) :]}"
    return INNER_STOP.sub(apart, text)


def _with_comparisons_joined(words: list[str]) -> list[str]:
    """``words`` with ``!``, ``>`` or ``<`` and the ``=`` that follows joined to one word."""
    joined: list[str] = []
    for word in words:
        if word == "=" and joined and joined[-1] in COMPARISONS:
            joined[-1] += "="
        else:
            joined.append(word)
    return joined
