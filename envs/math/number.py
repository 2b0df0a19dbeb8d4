r"""Plain numbers, exactly: what a canonical numeric answer may look like.

``18``, ``-1,234.50``, ``3/4``, ``\frac{3}{4}``, ``1\frac{1}{2}``, ``0.\overline{3}``, ``5\times 10^{3}``, in the
dressing that models put around a number: ``x = 18``, ``\$18``, ``18\text{ dollars}``, ``90^\circ``, ``10{,}000``.
Arithmetic that was not carried out (``2+3``, ``\sqrt{25}``) and chains (``3 = 5``) are no plain numbers.
"""

import re
from dataclasses import dataclass
from fractions import Fraction

from envs.math.notation import undressed

CHARACTERS = 200
DIGITS = 60
"""A number with more digits, or a power of ten beyond it, is not plain."""
ROUNDED_PLACES = 6
"""Decimal places from which a rounded decimal stands for a fraction that no decimal can write."""

PERCENT = re.compile(r" ?(?:\\?%|(?:\\(?:text|mathrm) ?\{ ?)?(?:percent|per cent|pct) ?\}?)$")
TEXT = r"\\(?:text|textbf|mathrm|mbox) ?\{ ?"
WORDS = r"[A-Za-z]+(?:[ /][A-Za-z]+){0,2}"
POWER = r"(?:\^\{?[23]\}?)?"
CLEAR_UNITS = "[cmk]m|kg"
"""Behind a digit no product of letters, unlike ``lb`` and ``m``."""
ABBREVIATIONS = (
    "ft|in|yd|mi|lbs?|oz|hrs?|mg|ms|m[lL]|nm|Hz|k[WJ]|(?:[cmk]?m|ft|mi|k?g|m?L)/(?:s|h|hr|min|kg|m?L|c?m|ft)"
)
LETTERS = "[mgshLlNJWV]"
UNIT = re.compile(
    rf"(?<=[\d}}])(?: ?{TEXT}({WORDS})\.? ?\}}(?: ?\^ ?\{{?[23]\}}?)?"
    rf"| ?(?:\^ ?\{{? ?\\circ ?\}}?|°|\\degree) ?(?:(?:{TEXT})?[CFK] ?\}}?)?"
    rf"| ([A-Za-z]{{3,}}(?:[ /][A-Za-z]+){{0,2}})| ?(?:{CLEAR_UNITS}){POWER}| (?:{ABBREVIATIONS}){POWER})$"
)
SHORT_UNIT = re.compile(rf"(?<=[\d}}])(?:(?:{ABBREVIATIONS}){POWER}| {LETTERS}{POWER})$")
"""Dressing in an answer to a number; in a gold they would be letters of algebra."""
# Words that change the value, or join a second one. A capital M may be mega or million, a small m is metres.
NO_UNIT = re.compile(
    r"\b(?:(?i:and|or|not|minus|plus|negative|below|gross|scores?|basis points?|bps|dozens?"
    r"|hundreds?|thousands?|lakhs?|crores?|millions?|billions?|trillions?"
    r"|hal(?:f|ves)|thirds?|quarters?|fourths?|fifths?|sixths?|sevenths?|eighths?|ninths?|tenths?|hundredths?"
    r"|thousandths?|percent(?:age)?|pct|zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen"
    r"|fifteen|sixteen|seventeen|eighteen|nineteen|twenty|thirty"
    r"|forty|fifty|sixty|seventy|eighty|ninety|per cent|bn|mn|mil|mln)|[kKMB])\b"
    rf"|^ ?(?:{TEXT})?(?:squared|cubed|factorial)\b"
)
WHOLE = r"\d{1,3}(?:,\d{3})+|\d+"
FRACTION = re.compile(
    rf"({WHOLE})?(?:(?<!\d) ?|(?<=\d) )"
    r"(?:\\[dt]?frac ?(?:\{ ?(-?\d+) ?\} ?\{ ?(-?\d+) ?\}|(\d) ?(\d))|(\d+) ?/ ?(\d+))"
    rf"|({WHOLE})\\[dt]?frac ?(?:\{{ ?(\d+) ?\}} ?\{{ ?(\d+) ?\}}|(\d) ?(\d))"
)
DECIMAL = re.compile(
    rf"(?:({WHOLE})\.?|({WHOLE})?\.(\d*)(?:\\overline ?\{{ ?(\d+) ?\}})?)"
    r"(?: ?(?:\\times|\\cdot|×) ?10 ?\^ ?(?:\{ ?([+-]?\d{1,2}) ?\}|(\d))|[eE]([+-]?\d{1,2}))?"
)


@dataclass(frozen=True, kw_only=True)
class Number:
    """An exact rational number and how it was written."""

    value: Fraction
    places: int | None
    """Digits after the decimal point; None when it was written as a fraction."""
    is_percent: bool
    """Written with a percent sign, which is not part of the value."""


def plain_number(text: str, *, short_units: bool = False) -> Number | None:
    """The number that a text is; None when it is anything else.

    Args:
        text: LaTeX or what models write for it.
        short_units: ``18 m`` and ``18lb`` are 18; for answers to golds that are numbers.
    """
    if len(text) > CHARACTERS:
        return None
    dressed = undressed(text).text
    bare = PERCENT.sub("", dressed)
    is_percent = bare != dressed
    if not is_percent and (unit := UNIT.search(bare)):
        if changes_value(unit.group()):
            return None
        bare = bare[: unit.start()]
    elif not is_percent and short_units and (unit := SHORT_UNIT.search(bare)):
        bare = bare[: unit.start()]
    sign = -1 if bare.startswith("-") else 1
    bare = bare.removeprefix("-" if sign < 0 else "+").lstrip()
    if not bare.isascii() or sum(map(str.isdigit, bare)) > DIGITS:
        return None
    if match := DECIMAL.fullmatch(bare):
        whole, before, after, repeated, *powers = match.groups()
        if whole is None and not before and not after and not repeated:
            return None
        value = _decimal(whole or before or "0", after or "", repeated)
        power = int(next((digits for digits in powers if digits), 0))
        # Repeating digits are as exact as a fraction.
        places = None if repeated else max(len(after or "") - power, 0)
        return Number(value=sign * value * Fraction(10) ** power, places=places, is_percent=is_percent)
    if match := FRACTION.fullmatch(bare):
        groups = match.groups()
        whole = groups[0] or groups[7]
        above, below = (int(part) for part in groups[1:7] + groups[8:] if part is not None)
        if below == 0 or (whole is not None and (above < 0 or below < 0)):
            return None
        value = Fraction(above, below) + int((whole or "0").replace(",", ""))
        return Number(value=sign * value, places=None, is_percent=is_percent)
    return None


def is_equal(answer: Number, gold: Number) -> bool:
    """Exactly equal, percent signs included; or the gold's correct rounding to at least six places.

    The second holds only for a fraction that no finite decimal equals: ``0.333333`` for ``1/3``.
    """
    if answer.is_percent != gold.is_percent:
        return False
    if answer.value == gold.value:
        return True
    if gold.places is not None or answer.places is None or answer.places < ROUNDED_PLACES:
        return False
    return not _is_finite_decimal(gold.value) and round(gold.value, answer.places) == answer.value


def changes_value(words: str) -> bool:
    """Whether what stands behind a number is more than a unit: ``million``, ``and a half``, ``or 6``."""
    return NO_UNIT.search(words) is not None


def _decimal(whole: str, after: str, repeated: str | None) -> Fraction:
    value = Fraction(f"{whole.replace(',', '')}.{after or 0}")
    if repeated:
        value += Fraction(int(repeated), (10 ** len(repeated) - 1) * 10 ** len(after))
    return value


def _is_finite_decimal(value: Fraction) -> bool:
    denominator = value.denominator
    for prime in (2, 5):
        while denominator % prime == 0:
            denominator //= prime
    return denominator == 1
