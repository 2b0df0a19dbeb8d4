r"""Whether an expression holds a power or a factorial that nobody could compute; read from its text alone.

``9^{9^{9^9}}`` equals no answer, but costs a verifier its whole deadline: it would be unjudged, and so escape what a
wrong answer costs. Numerals, ``e``, ``\pi``, sums, products, powers and factorials are carried out, innermost first, as
far as their size matters. NOT covered: exponents that hold fractions, roots, functions or letters, and whatever else
takes long (sums of a million terms, matrix powers); those are left to the deadline.
"""

import math
import re
from functools import lru_cache

LARGEST_EXPONENT = 100_000
"""Of a power, and argument of a factorial. Answers have smaller ones, and what has this one is computed in time."""
HUGE = "H"
"""Stands for a value above ``LARGEST_EXPONENT``."""

_VALUE = rf"(?:\d+(?:\.\d+)?|{HUGE})"
_LETTERS = re.compile(r"[A-Z]")
_CONSTANT = re.compile(r"(?<![A-Za-z\\])e(?![A-Za-z])|\\pi(?![A-Za-z])|\\(?:mathrm|text) ?\{ ?e ?\}")
_CONSTANTS = {"e": f"{math.e:.6f}", "\\pi": f"{math.pi:.6f}"}
_NUMERAL = re.compile(r"\d+(?:\.\d+)?")
_UNBEARABLE = re.compile(rf"\^ ?\{{? ?-? ?{HUGE}|{HUGE} ?!|\\Gamma ?\(? ?{HUGE}")
_BRACES = re.compile(rf"(?<![\]}}A-Za-z^_])\{{ ?({_VALUE}) ?\}}|(?<=\^)\{{ ?\{{ ?({_VALUE}) ?\}} ?\}}")
_PARENTHESES = re.compile(rf"(?<![A-Za-z])\( ?({_VALUE}) ?\)")
_FACTORIAL = re.compile(rf"(?<!\^)(?<![\d.])({_VALUE}) ?!")
_POWER = re.compile(rf"(?<![\d.])({_VALUE}) ?\^ ?(?:\{{ ?(-? ?{_VALUE}) ?\}}|(\d|{HUGE}))(?! ?[\^!])")
_PRODUCT = re.compile(rf"(?<![\d.^])({_VALUE}) ?\\(?:cdot|times) ?({_VALUE})(?! ?[\^!\d.])")
_SUM = re.compile(rf"(?<=[{{(]) ?{_VALUE} ?[+-] ?{_VALUE}(?= ?[}})+-])")
_TERMS = re.compile(rf"({_VALUE}) ?([+-]) ?({_VALUE})")


@lru_cache(maxsize=8192)
def is_beyond_computing(text: str) -> bool:
    """Whether an undressed text has an exponent, or a factorial's argument, above ``LARGEST_EXPONENT``."""
    if "^" not in text and "!" not in text and r"\Gamma" not in text:
        return False
    text = _LETTERS.sub("x", text.replace(r"\Gamma", "\0")).replace("\0", r"\Gamma")
    text = _CONSTANT.sub(lambda match: _CONSTANTS.get(match[0], _CONSTANTS["e"]), text)
    text = _NUMERAL.sub(lambda match: _written(float(match[0])) if len(match[0]) > 5 else match[0], text)
    before = ""
    while text != before and not _UNBEARABLE.search(text):
        before = text
        text = _PARENTHESES.sub(r"\1", _BRACES.sub(lambda match: match[1] or f"{{{match[2]}}}", text))
        text = _FACTORIAL.sub(lambda match: _factorial(match[1]), text)
        text = _POWER.sub(lambda match: _power(match[1], match[2] or match[3]), text)
        text = _PRODUCT.sub(lambda match: _product(match[1], match[2]), text)
        text = _SUM.sub(lambda match: _TERMS.sub(_sum, match[0]), text)
    return _UNBEARABLE.search(text) is not None


def _written(value: float) -> str:
    return HUGE if value > LARGEST_EXPONENT else f"{value:.6f}".rstrip("0").rstrip(".")


def _factorial(argument: str) -> str:
    if argument == HUGE:
        return f"{HUGE}!"
    return HUGE if float(argument) > 12 else _written(math.gamma(float(argument) + 1))


def _power(base: str, exponent: str) -> str:
    exponent = exponent.replace(" ", "")
    if HUGE in exponent:
        return f"{base}^{{{exponent}}}"
    if base == HUGE:
        return "1" if exponent.startswith("-") else HUGE
    try:
        return _written(float(base) ** float(exponent))
    except (OverflowError, ZeroDivisionError):
        return HUGE


def _product(first: str, second: str) -> str:
    return HUGE if HUGE in (first, second) else _written(float(first) * float(second))


def _sum(terms: re.Match[str]) -> str:
    first, sign, second = terms.groups()
    if HUGE in (first, second):
        return HUGE
    value = float(first) + float(second) * (1 if sign == "+" else -1)
    return _written(value) if value >= 0 else "0"
