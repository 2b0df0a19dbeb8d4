r"""Whether two LaTeX expressions are equal, by math-verify and by numbers; runs in worker processes only.

Expressions are read by ``envs.math.latex``, and compared

* by value where both are exact expressions: evaluated at four points to 50 digits. Unequal at one point: different.
  Equal at all of them: the difference decides, exactly where it is rational, and to 3,000 digits elsewhere (analytic
  functions that agree so at a random point are the same; ours), unless the sides are made of pieces, as absolute values
  and roots of symbols are, which math-verify then has to decide. This replaces ``simplify``, which takes much longer on
  unequal expressions and does not see every identity; and it tells 2^2004 from 2^2004 - 1, where math-verify compares
  15 digits;
* element by element where both are tuples, sets, intervals or matrices;
* an interval with an inequality, ``1 < x \le 2``, that has one symbol between its ends;
* by ``math_verify.verify`` otherwise: relations, decimals (six places), unions.

No time limit here: the worker's is a kernel timer.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal

import math_verify
import sympy
from sympy.core.evalf import PrecisionExhausted
from sympy.core.function import AppliedUndef

from envs.math.latex import read

Comparison = Literal["equal", "different", "defective gold"]

DIGITS = 50
DIFFERENT_BEYOND = sympy.Float(10) ** -25
"""Relative. What lies nearer is decided by the difference: ``evalf`` may have lost digits by cancellation."""
DIFFERENCE_DIGITS = 3_000
"""Two values that agree to so many digits are taken for equal where they are not both rational."""
POINTS = (
    ("0.8315273946", "1.4142857214", "0.5772156649", "2.3025851299", "0.3183098861", "1.7320507757"),
    ("-0.6931471822", "2.7182818312", "-1.6180339811", "0.9159655941", "-2.2360679771", "-0.4342944834"),
    ("3.1622776637", "-1.2020569022", "1.0986122913", "-0.7642236535", "0.2614972128", "-3.6055512721"),
    ("-41.312908417", "29.530588861", "61.803398875", "-23.140692633", "19.098593171", "36.548454389"),
)
"""Values of the symbols, in the order of their names; sums and products of them hold no accidents."""
SIGNIFICANT = 5e-4
"""A decimal stands for an exact value that it differs from by no more than this share; math-verify asks for six places
only, by which 0.000003 would be pi over a million."""
PIECEWISE = (sympy.Abs, sympy.sign, sympy.floor, sympy.ceiling, sympy.Max, sympy.Min, sympy.Piecewise, sympy.Mod)
UNEVALUATED = (sympy.Integral, sympy.Sum, sympy.Product, sympy.Limit, sympy.Derivative, AppliedUndef, sympy.Float)


def compare(gold: str, answer: str, rounding: str = "") -> Comparison:
    """Whether the answer equals the gold; a gold that cannot be read, or does not equal itself, is defective.

    Args:
        gold: LaTeX.
        answer: LaTeX.
        rounding: a decimal that the answer is said to be about; it has to be the answer's rounding. Empty: none is.
    """
    expected = _gold(gold)
    if expected is None:
        return "defective gold"
    found = expected if answer == gold else read(answer)
    if found is None or (rounding and not _is_rounding(found, rounding)) or not are_equal(expected, found):
        return "different"
    return "equal"


@lru_cache(maxsize=4096)
def _gold(gold: str) -> Any | None:
    expected = read(gold)
    return expected if expected is not None and are_equal(expected, expected) else None


def are_equal(gold: Any, answer: Any) -> bool:
    """Whether two sympy objects are equal as answers; the first is the gold."""
    pairs = _elements(gold, answer)
    if pairs is not None:
        return all(are_equal(first, second) for first, second in pairs)
    by_value = equal_by_value(gold, answer)
    if by_value is not None:
        return by_value
    if isinstance(gold, sympy.Interval) and (interval := _as_interval(answer)) is not None:
        return are_equal(gold, interval)
    if not math_verify.verify(gold, answer, timeout_seconds=None):
        return False
    return not (_is_decimal(gold) ^ _is_decimal(answer)) or _is_close(gold, answer)


def equal_by_value(first: Any, second: Any) -> bool | None:
    """Whether two exact expressions have equal values; None when they are something else, or evaluation fails."""
    if not isinstance(first, sympy.Expr) or not isinstance(second, sympy.Expr):
        return None
    if isinstance(first, sympy.Symbol) or isinstance(second, sympy.Symbol):
        return None
    try:
        if first.has(sympy.nan, sympy.zoo) or second.has(sympy.nan, sympy.zoo):
            return False
        if first.has(*UNEVALUATED) or second.has(*UNEVALUATED):
            return None
        symbols = first.free_symbols | second.free_symbols
        names = sorted({symbol.name for symbol in symbols})
        if len(names) > len(POINTS[0]):
            return None
        agreements = [_agree(first, second, values) for values in _values(symbols, names)]
        if False in agreements:
            return False
        if first == second:
            return True
        if _is_zero((first - second).subs(_values(symbols, names, as_rationals=True)[0])) is False:
            return False
        return None if None in agreements or (names and _is_in_pieces(first, second)) else True
    except Exception:  # overflow, division by zero: whatever sympy raises
        return None


def _is_in_pieces(first: sympy.Expr, second: sympy.Expr) -> bool:
    """Agreement at some points says nothing of others: ``|x - 90|`` and ``90 - x``."""
    if first.has(*PIECEWISE) or second.has(*PIECEWISE):
        return True
    powers = first.atoms(sympy.Pow) | second.atoms(sympy.Pow)
    return any(not power.exp.is_integer and power.base.free_symbols for power in powers)


def _values(
    symbols: set[sympy.Symbol], names: Sequence[str], *, as_rationals: bool = False
) -> list[dict[sympy.Symbol, Any]]:
    if names == ["i"]:  # the parser reads the imaginary unit as a symbol
        return [{symbol: sympy.I for symbol in symbols}]
    points = POINTS if names else POINTS[:1]

    def number(digits: str) -> sympy.Expr:
        return sympy.Rational(digits) if as_rationals else sympy.Float(digits, DIGITS)

    return [{symbol: number(point[names.index(symbol.name)]) for symbol in symbols} for point in points]


def _agree(first: sympy.Expr, second: sympy.Expr, values: dict[sympy.Symbol, Any]) -> bool | None:
    """False: they differ, at these values. True: they may be equal. None: they have no values there."""
    if first == second:
        return True
    one, other = (side.subs(values).evalf(DIGITS) for side in (first, second))
    parts = [part for side in (one, other) for part in side.as_real_imag()]
    if not all(part.is_Float or part.is_Rational for part in parts):
        return None
    scale = max(abs(part) for part in parts)
    difference = max(abs(parts[0] - parts[2]), abs(parts[1] - parts[3]))
    return difference <= DIFFERENT_BEYOND * scale


def _is_zero(difference: sympy.Expr) -> bool | None:
    """Whether a number is 0, at least to ``DIFFERENCE_DIGITS`` of its terms; None when it has no value.

    ``evalf`` raises its precision until the digits that it gives are right. Asked twice, since a function of which
    sympy does not bound the error gives noise, and another noise the second time.
    """
    exact = difference.doit()  # the parser leaves sums and powers as they were written
    if exact.is_Rational:
        return bool(exact == 0)
    try:
        once, again = (exact.evalf(digits, maxn=DIFFERENCE_DIGITS, strict=True) for digits in (10, 30))
    except PrecisionExhausted:
        return True
    if not once.is_number or once.has(sympy.nan, sympy.zoo):
        return None
    return not abs(once - again) < abs(once) / 1000


def _is_rounding(value: Any, decimal: str) -> bool:
    """Whether a decimal is a value's rounding to the places that the decimal has."""
    unit = sympy.Rational(1, 10 ** len(decimal.partition(".")[2]))
    try:
        return bool(abs(value.doit() - sympy.Rational(decimal)).evalf(DIGITS) <= unit / 2)
    except Exception:  # symbols, sets, complex numbers: nothing that a decimal is near to
        return False


def _as_interval(relation: Any) -> sympy.Interval | None:
    """The interval that ``x < 2`` or ``1 < x < 2`` says; None for any other relation, as one that is to be solved."""
    parts = relation.args if isinstance(relation, sympy.And) else (relation,)
    ends: dict[bool, tuple[sympy.Expr, bool]] = {}
    symbols = set()
    for part in parts:
        if not isinstance(part, (sympy.StrictLessThan, sympy.LessThan, sympy.StrictGreaterThan, sympy.GreaterThan)):
            return None
        is_lower = isinstance(part.rhs, sympy.Symbol) == isinstance(part, (sympy.StrictLessThan, sympy.LessThan))
        symbol, end = (part.rhs, part.lhs) if isinstance(part.rhs, sympy.Symbol) else (part.lhs, part.rhs)
        if not isinstance(symbol, sympy.Symbol) or end.free_symbols or is_lower in ends:
            return None
        symbols.add(symbol)
        ends[is_lower] = (end, isinstance(part, (sympy.StrictLessThan, sympy.StrictGreaterThan)))
    if len(symbols) != 1:
        return None
    start, is_left_open = ends.get(True, (-sympy.oo, True))
    end, is_right_open = ends.get(False, (sympy.oo, True))
    interval = sympy.Interval(start, end, is_left_open, is_right_open)
    return interval if isinstance(interval, sympy.Interval) else None


def _elements(gold: Any, answer: Any) -> list[tuple[Any, Any]] | None:
    """The pairs that have to be equal; None when the two are not to be taken apart, or not alike."""
    if isinstance(gold, sympy.Tuple) and isinstance(answer, sympy.Tuple):
        return list(zip(gold, answer, strict=True)) if len(gold) == len(answer) else None
    if isinstance(gold, sympy.Interval) and isinstance(answer, sympy.Interval):
        is_open_alike = (gold.left_open, gold.right_open) == (answer.left_open, answer.right_open)
        return [(gold.start, answer.start), (gold.end, answer.end)] if is_open_alike else None
    if isinstance(gold, sympy.MatrixBase) and isinstance(answer, sympy.MatrixBase):
        return list(zip(gold.flat(), answer.flat(), strict=True)) if gold.shape == answer.shape else None
    if isinstance(gold, sympy.FiniteSet) and isinstance(answer, sympy.FiniteSet):
        return _matched(list(gold.args), list(answer.args))
    return None


def _matched(gold: list[Any], answer: list[Any]) -> list[tuple[Any, Any]] | None:
    """Each element of a set with its equal in the other; None when some have none, or values do not decide."""
    if len(gold) != len(answer):
        return None
    pairs = []
    for element in gold:
        equal = next((other for other in answer if element == other or equal_by_value(element, other)), None)
        if equal is None:
            return None
        answer = [other for other in answer if other is not equal]
        pairs.append((element, equal))
    return pairs


def _is_decimal(side: Any) -> bool:
    return isinstance(side, sympy.Expr) and side.has(sympy.Float)


def _is_close(gold: Any, answer: Any) -> bool:
    try:
        difference = abs((gold - answer).evalf())
        return bool(difference <= SIGNIFICANT * abs(gold.evalf()))
    except Exception:  # symbols, relations: math-verify's word stands
        return True
