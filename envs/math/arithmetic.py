r"""Arithmetic as models type it, ``2*3**2``, ``sqrt(2)/2``, ``1.5e3``, in the LaTeX that the parser reads.

LaTeX takes one character for an exponent and knows no ``**``: ``2^10`` would be 2 to the 1, times 0. What the parser
would read otherwise than it is meant (``2 3`` as a sum, ``7 % 3`` as percent, ``7//3``) is refused. What is LaTeX
already stays as it is.
"""

import re

from envs.math.brackets import UnreadableError, closing_bracket
from envs.math.notation import undressed
from envs.math.typed_functions import require_known_words, with_functions

CHARACTERS = 500
"""A longer expression is refused."""
MISREAD = re.compile(
    r"//|\d\s+[\d.]|\.\d*\.|%\s*[\d(\\]|\bmod\b"
    r"|(?<![\d._])(?<!frac)(?<!frac )(?<!binom)(?<!sqrt)\d+ ?[\[{]|(?<![A-Za-z}\]_^\d ])\{[^{}]*\} ?\{"
)
UNCLEAR = {
    r"\d_\d": "an underscore between digits cannot be read",
    r"\\sqrt ?\d ?[\d.]": r"it is not clear what the root is of; write \sqrt{...}",
    r"\\[dt]?frac ?\d{3}": r"it is not clear where the fraction ends; write \frac{...}{...}",
    r"! ?!": "a double factorial cannot be read",
    r"\d[eE][+-]?\d": "a number cannot be read; write one e, with digits around it",
}
"""What the parser gives another value than a reader would, and what is said of it."""
MISREAD_AS = "two numbers side by side, // or a remainder cannot be read; write one operator between two values"
IMPLICIT = re.compile(r"(?:(?<![\d._])(?:\d+\.?\d*|\.\d+)|\)) ?(?=\()|\) ?(?=\d|\\[dt]?frac)")
"""A product that is written without a sign, which the parser takes for a sum (a mixed number); not ``\\log_2(8)``."""
UNDERSCORED = re.compile(r"(?<![\w.])\d{1,3}(?:_\d{3})+(?![\w.])")
THOUSANDS = re.compile(r"(?<![\d,.])\d{1,3}(?:,\d{3})+(?![\d,])")
LISTING = re.compile(r"(?:gcd|lcm|max|min|binom)")
SCIENTIFIC = re.compile(r"(?<![\w.])(\d+(?:\.\d*)?|\.\d+)[eE]([+-]?\d+)(?![\w.])")
COMMAND = re.compile(r"(?<![A-Za-z\\])(pi(?![A-Za-z])|(?:max|min|gcd|lcm)(?= ?\())")
NUMERAL = re.compile(r"\d+(?:\.\d+)?|\.\d+|\\?[A-Za-z]+")
ENDS = re.compile(r"[ =.;]*$")


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
    bare = with_functions(UNDERSCORED.sub(lambda match: match[0].replace("_", ""), bare))
    if MISREAD.search(bare):
        raise UnreadableError(MISREAD_AS)
    if not LISTING.search(bare):
        bare = THOUSANDS.sub(lambda match: match[0].replace(",", ""), bare)
    bare = SCIENTIFIC.sub(lambda match: rf"({match[1]} \times 10^{{{int(match[2])}}})", bare)
    for unclear, reason in UNCLEAR.items():
        if re.search(unclear, bare):
            raise UnreadableError(reason)
    bare = IMPLICIT.sub(lambda match: rf"{match[0].rstrip()} \cdot ", bare)
    bare = COMMAND.sub(r"\\\1 ", bare)
    require_known_words(bare)
    return _with_exponents(bare)


def _with_exponents(text: str) -> str:
    """Every exponent in braces; from the right, since ``2^3^2`` is 2^(3^2)."""
    place = text.rfind("^")
    while place >= 0:
        start = place + 1 + (text[place + 1 : place + 2] == " ")
        exponent, end = _exponent(text, start)
        if text[end:].lstrip().startswith("!"):
            raise UnreadableError("a factorial behind an exponent can be meant in two ways; write brackets")
        text = f"{text[:place]}^{{{exponent}}}{text[end:]}"
        place = text.rfind("^", 0, place)
    return text


def _exponent(text: str, start: int) -> tuple[str, int]:
    """What the exponent is that begins at ``start``, and where it ends."""
    sign = text[start : start + 1] if text[start : start + 1] in ("-", "+") else ""
    begin = start + len(sign)
    if text.startswith("{", begin) and not sign:
        end = closing_bracket(text, begin)
        inner = text[begin + 1 : end - 1]
    elif text.startswith("(", begin):
        end = closing_bracket(text, begin)
        inner = text[begin:end]
    elif (atom := NUMERAL.match(text, begin)) is not None:
        end, inner = atom.end(), atom[0]
        while text.startswith("{", end) and inner.startswith("\\"):  # \frac{1}{2}, \sqrt{2}
            closed = closing_bracket(text, end)
            end, inner = closed, inner + text[end:closed]
    else:
        raise UnreadableError("an exponent cannot be read; write it in braces, 2^{...}")
    if text.startswith("^", end):
        closed = closing_bracket(text, end + 1)  # in braces already
        end, inner = closed, inner + text[end:closed]
    return sign.removeprefix("+") + inner, end
