r"""Text as it reads: what does not show or only dresses an expression is taken off.

``\left( x \right)``, ``$x$``, ``10{,}000``, ``**x**``, a leading ``x =``, full-width characters and zero-width ones.
Nothing here says whether two expressions are equal, other than by their text.
"""

import re
from dataclasses import dataclass

INVISIBLE = dict.fromkeys((0x00AD, 0x200B, 0x200C, 0x200D, 0x2060, 0xFEFF))
FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5E)}
SPELLED = {
    "−": "-",
    "π": r"\pi ",
    "∞": r"\infty ",
    "∅": r"\emptyset ",
    "θ": r"\theta ",
    "≤": r"\le ",
    "≥": r"\ge ",
    "≠": r"\ne ",
    "≈": r"\approx ",
    "∪": r"\cup ",
    "∈": r"\in ",
    "±": r"\pm ",
    "×": r"\times ",
    "·": r"\cdot ",
    "²": "^{2}",
    "³": "^{3}",
}
VISIBLE: dict[int, str | int | None] = {
    **INVISIBLE,
    **FULL_WIDTH,
    **{ord(sign): text for sign, text in SPELLED.items()},
}
ROOT_SIGN = re.compile(r"√ ?(\d+|[A-Za-z])")
LEADING_DASH = re.compile(r"^\s*[–‐‑]\s*(?=\d)")
"""Other dashes are minus signs before a number; between two they mean a range."""

THOUSANDS = re.compile(r"(?<=\d)(?:\{,\}|(?<!\\)\\[,!;: ]|~)(?=\d{3}(?!\d))")
SPACING = re.compile(
    r"(?<!\\)\\[,!;: ]|~|\\(?:quad|qquad|left|right|displaystyle|pounds|euro)(?![A-Za-z])|\\?\$|[€£¥]|\s+"
)
WRAPPER = re.compile(r"(?:\\(?:text|textbf|mathrm|mathbf|mbox|boxed))?\{([^{}]*)\}|\*\*([^*]*)\*\*")
BETWEEN = re.compile(r"(?<!\d) | (?!\d)")
"""Spaces that mean nothing; ``1 1/2`` is not ``11/2``."""
# Several lower-case letters are a product: ``xy = 1`` gives no value to a thing of two letters.
NAME = (
    r"(?:[A-Z][A-Za-z]*|[a-z]|\\[A-Za-z]+|\\angle ?[A-Z]{1,3}"
    r"|\\(?:text|mathrm|textbf|mathbf|operatorname|overline|vec) ?\{[A-Za-z ]+\})"
    r"(?:_(?:\{[A-Za-z0-9, ]*\}|\w))?'?(?: ?\( ?[A-Za-z](?: ?, ?[A-Za-z])* ?\))?"
)
NAMED = re.compile(rf"({NAME}|\( ?{NAME}(?: ?, ?{NAME})+ ?\)) ?= ?([^=]+)")


@dataclass(frozen=True, kw_only=True)
class Expression:
    """An expression without its dressing."""

    text: str
    name: str | None = None
    """What the text is said to equal: ``x`` of ``x = 5``, ``f(x)`` of ``f(x) = 2x``; None when nothing is."""

    @property
    def compact(self) -> str:
        """The text without spaces that mean nothing."""
        return BETWEEN.sub("", self.text)


def visible(text: str) -> str:
    """The text as it shows: no zero-width characters, full-width ones and common signs as ASCII and LaTeX."""
    if text.isascii():
        return text
    return LEADING_DASH.sub("-", ROOT_SIGN.sub(r"\\sqrt{\1}", text.translate(VISIBLE)))


def undressed(text: str) -> Expression:
    """The expression without spacing commands, dollar signs and a leading ``x =``; white space becomes one space."""
    bare = " ".join(SPACING.sub(" ", THOUSANDS.sub("", visible(text)).replace("{,}", ",")).split())
    bare = _unwrapped(bare)
    name = None
    if "=" in bare and (match := NAMED.fullmatch(bare)):
        name, bare = match[1], _unwrapped(match[2].strip())
    return Expression(text=bare, name=name)


def _unwrapped(bare: str) -> str:
    while match := WRAPPER.fullmatch(bare):
        bare = (match[1] if match[1] is not None else match[2]).strip()
    return bare.removesuffix(".").rstrip()
