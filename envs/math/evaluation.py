r"""The value of an arithmetic expression, in plain notation; runs in worker processes only.

Rational values are exact: ``42/5 = 8.4``, ``1/3, about 0.333333333333``. Others are given as sympy writes them, with a
decimal: ``2*sqrt(2), about 2.82842712475``. Expressions with letters, relations and sets have no value here. No time
limit: the worker's is a kernel timer.
"""

from typing import Any

import sympy
from sympy.core.function import AppliedUndef

from envs.math.latex import read

DIGITS = 12
"""Significant ones of a decimal that is not exact."""
EXACT_CHARACTERS = 60
"""An exact value that takes more is only given as a decimal."""


def evaluate(latex: str) -> str:
    """What is said of an expression: its value, or ``error:`` and why there is none. One line of ASCII.

    Args:
        latex: as ``envs.math.arithmetic.as_latex`` gives it.
    """
    expression = read(latex)
    if expression is None:
        return "error: it cannot be read as an expression"
    if not isinstance(expression, sympy.Expr) or expression.has(AppliedUndef):
        return "error: it is no arithmetic expression"
    letters = sorted({symbol.name for symbol in expression.free_symbols})
    if letters == ["i"]:  # the parser reads the imaginary unit as a symbol
        expression, letters = expression.subs(next(iter(expression.free_symbols)), sympy.I), []
    if letters:
        return f"error: only numbers can be computed, and it has {', '.join(letters)[:40]}"
    return _described(_exact(expression)).encode("ascii", "replace").decode().replace("\n", " ")


def _exact(expression: sympy.Expr) -> Any:
    """The value, carried out; decimals are the rationals that they say."""
    decimals = {number: sympy.Rational(str(number)) for number in expression.atoms(sympy.Float)}
    value = expression.xreplace(decimals).doit()
    return value if value.is_Rational else sympy.expand(value)


def _described(value: Any) -> str:
    if value.has(sympy.nan, sympy.zoo):
        return "error: it has no value (a division by zero)"
    if value.has(sympy.oo, -sympy.oo):
        return "error: it is infinite"
    if value.is_Rational:
        return _rational(value)
    if all(part.is_Rational for part in value.as_real_imag()):
        return _short(value) or "error: it has no value that can be written down"
    return _joined(_short(value), _decimal(value), "about")


def _rational(value: Any) -> str:
    exact = _short(value)
    if value.q == 1 and exact:
        return exact
    two, five = sympy.multiplicity(2, value.q), sympy.multiplicity(5, value.q)
    places = max(two, five)
    if exact and value.q == 2**two * 5**five and places <= EXACT_CHARACTERS // 2:
        digits = str(abs(value.p) * 10**places // value.q).rjust(places + 1, "0")
        return _joined(exact, f"{'-' * (value.p < 0)}{digits[:-places]}.{digits[-places:]}", "=")
    return _joined(exact, _decimal(value), "about")


def _decimal(value: Any) -> str:
    """To ``DIGITS`` digits; empty where the value has none."""
    number = value.evalf(DIGITS)
    parts = number.as_real_imag()
    return str(number) if all(part.is_Float or part.is_Rational for part in parts) else ""


def _short(value: Any) -> str:
    """As sympy writes it; empty where that is too long."""
    if value.is_Rational and max(abs(value.p), value.q) >= 10**EXACT_CHARACTERS:
        return ""
    text = sympy.sstr(value)
    return text if len(text) <= EXACT_CHARACTERS else ""


def _joined(exact: str, decimal: str, between: str) -> str:
    if not exact and not decimal:
        return "error: it has no value that can be written down"
    if not exact or not decimal:
        return exact or f"{between} {decimal}"
    return f"{exact} = {decimal}" if between == "=" else f"{exact}, {between} {decimal}"
