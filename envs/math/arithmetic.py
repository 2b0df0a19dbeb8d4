r"""Arithmetic as models type it, ``2*3**2``, ``sqrt(2)/2``, ``1.5e3``, in the LaTeX that the parser reads.

LaTeX takes one character for an exponent and knows no ``**``: ``2^10`` would be 2 to the 1, times 0. What the parser
would read otherwise than it is meant (``2 3`` as a sum, ``7 % 3`` as percent, ``7//3``) is refused. What is LaTeX
already stays as it is.
"""

import re

from envs.math.notation import undressed

CHARACTERS = 500
"""A longer expression is refused."""
MISREAD = re.compile(
    r"//|\d\s+[\d.]|\.\d*\.|%\s*[\d(\\]|\bmod\b"
    r"|(?<![\d._])(?<!frac)(?<!frac )(?<!binom)(?<!sqrt)\d+ ?[\[{]|(?<![A-Za-z}\]_^\d ])\{[^{}]*\} ?\{"
)
MISREAD_AS = "two numbers side by side, // or a remainder cannot be read; write one operator between two values"
IMPLICIT = re.compile(r"(?:(?<![\d._])(?:\d+\.?\d*|\.\d+)|\)) ?(?=\()|\) ?(?=\d|\\[dt]?frac)")
"""A product that is written without a sign, which the parser takes for a sum (a mixed number); not ``\\log_2(8)``."""
THOUSANDS = re.compile(r"(?<![\d,.])\d{1,3}(?:,\d{3})+(?![\d,])")
LISTING = re.compile(r"(?:gcd|lcm|max|min|binom)")
SCIENTIFIC = re.compile(r"(?<![\w.])(\d+(?:\.\d*)?|\.\d+)[eE]([+-]?\d+)(?![\w.])")
COMMAND = re.compile(r"(?<![A-Za-z\\])(pi(?![A-Za-z])|(?:max|min|gcd|lcm)(?= ?\())")
ROOT = re.compile(r"(?<![A-Za-z\\])sqrt ?(?=\()")
NUMERAL = re.compile(r"\d+(?:\.\d+)?|\.\d+|\\?[A-Za-z]+")
ENDS = re.compile(r"[ =.;]*$")


class UnreadableError(ValueError):
    """The expression cannot be read as it is meant; the message says why."""


def as_latex(text: str) -> str:
    """The expression as LaTeX, its dressing taken off.

    Raises:
        UnreadableError: it is empty, too long, or would be misread.
    """
    if len(text) > CHARACTERS:
        raise UnreadableError(f"it is longer than {CHARACTERS} characters")
    bare = ENDS.sub("", undressed(text).text.replace("**", "^"))
    if not bare:
        raise UnreadableError("the step holds no expression")
    if MISREAD.search(bare):
        raise UnreadableError(MISREAD_AS)
    if not LISTING.search(bare):
        bare = THOUSANDS.sub(lambda match: match[0].replace(",", ""), bare)
    bare = SCIENTIFIC.sub(lambda match: rf"({match[1]} \times 10^{{{int(match[2])}}})", bare)
    bare = IMPLICIT.sub(lambda match: rf"{match[0].rstrip()} \cdot ", bare)
    return _with_exponents(_with_roots(COMMAND.sub(r"\\\1 ", bare)))


def _with_roots(text: str) -> str:
    while root := ROOT.search(text):
        end = _closing(text, root.end())
        text = rf"{text[: root.start()]}\sqrt{{{text[root.end() + 1 : end - 1]}}}{text[end:]}"
    return text


def _with_exponents(text: str) -> str:
    """Every exponent in braces; from the right, since ``2^3^2`` is 2^(3^2)."""
    place = text.rfind("^")
    while place >= 0:
        start = place + 1 + (text[place + 1 : place + 2] == " ")
        exponent, end = _exponent(text, start)
        text = f"{text[:place]}^{{{exponent}}}{text[end:]}"
        place = text.rfind("^", 0, place)
    return text


def _exponent(text: str, start: int) -> tuple[str, int]:
    """What the exponent is that begins at ``start``, and where it ends."""
    sign = text[start : start + 1] if text[start : start + 1] in ("-", "+") else ""
    begin = start + len(sign)
    if text.startswith("{", begin) and not sign:
        end = _closing(text, begin)
        inner = text[begin + 1 : end - 1]
    elif text.startswith("(", begin):
        end = _closing(text, begin)
        inner = text[begin:end]
    elif (atom := NUMERAL.match(text, begin)) is not None:
        end, inner = atom.end(), atom[0]
        while text.startswith("{", end) and inner.startswith("\\"):  # \frac{1}{2}, \sqrt{2}
            closed = _closing(text, end)
            end, inner = closed, inner + text[end:closed]
    else:
        raise UnreadableError("an exponent cannot be read; write it in braces, 2^{...}")
    if text.startswith("^", end):
        closed = _closing(text, end + 1)  # in braces already
        end, inner = closed, inner + text[end:closed]
    return sign.removeprefix("+") + inner, end


def _closing(text: str, start: int) -> int:
    """Behind the bracket that closes the one at ``start``."""
    opening, depth = text[start], 0
    closing = ")" if opening == "(" else "}"
    for place in range(start, len(text)):
        depth += (text[place] == opening) - (text[place] == closing)
        if depth == 0:
            return place + 1
    raise UnreadableError("a bracket is never closed")
