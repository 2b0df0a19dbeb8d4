r"""Reads LaTeX into sympy with math-verify's own normalisation and grammar, faster; in worker processes only.

ANTLR first predicts without the context of the rules above (SLL), which is several times faster, and gives either the
parse that full prediction (LL) gives or a syntax error; only then is full prediction used (Parr, Harwell, Fisher:
"Adaptive LL(*) Parsing", 2014). The grammar's rule for isotopes, ``x^a_b``, makes SLL fail on every power of a letter;
such a letter is put in braces, ``{x}^2``, which means the same. So is the ``d`` of ``d \cdot 2``: no differential.

The text is taken as the content of a box: nothing is searched for in it, and units are not cut off, so that ``3c``
stays apart from ``3d``.
"""

import re
from typing import Any

from antlr4 import PredictionMode
from latex2sympy2_extended import NormalizationConfig
from latex2sympy2_extended.latex2sympy2 import _Latex2Sympy, normalize_latex
from math_verify.grader import should_treat_as_complex

NORMALIZATION = NormalizationConfig(basic_latex=True, units=False, malformed_operators=True, nits=True, boxed="none")
FUNCTION = re.compile(r"\\(?:operatorname|mathrm|text) ?\{ ?((?:arc)?(?:sin|cos|tan)h?|ln|log|lg|exp) ?\}")
SYNONYM = re.compile(r"\\(varnothing|lg)(?![A-Za-z])")
MEANINGS = {"varnothing": r"\emptyset", "lg": r"\log_{10}"}
"""Commands that the grammar lacks."""
LONE_SYMBOL = re.compile(
    r"(\\pi(?= ?\^))|\\[A-Za-z]+|([A-Za-df-hj-z](?= ?\^(?! ?\{? ?-))|(?<![A-Za-z])d(?= ?\\(?:cdot|times)))"
)
"""Not ``e`` and ``i``, whose powers have rules of their own, and not ``f^{-1}``."""


class _FastReader(_Latex2Sympy):
    def create_parser(self, latex_str: str) -> Any:
        parser = super().create_parser(latex_str)
        parser._interp.predictionMode = PredictionMode.SLL
        return parser


def read(text: str) -> Any | None:
    """The sympy object that a LaTeX text is; None when the parser does not take it."""
    try:
        known = SYNONYM.sub(lambda match: MEANINGS[match[1]], FUNCTION.sub(r"\\\1 ", text))
        normalized = normalize_latex(known, NORMALIZATION)
    except Exception:  # regular expressions of the library over hostile text
        return None
    is_real = not should_treat_as_complex(normalized)
    try:
        return _FastReader(is_real=is_real).parse(_with_braces(normalized))
    except Exception:  # a syntax error, or whatever sympy raises over hostile text
        return read_slowly(normalized, is_real=is_real)


def read_slowly(normalized: str, *, is_real: bool) -> Any | None:
    """As ``latex2sympy2_extended.latex2sympy`` reads a text that is normalised already; None when it does not."""
    try:
        return _Latex2Sympy(is_real=is_real).parse(normalized)
    except Exception:  # as above
        return None


def _with_braces(text: str) -> str:
    if r"\frac{d" in text:  # d^2 of a derivative is no power
        return text
    return LONE_SYMBOL.sub(lambda match: f"{{{match[0]}}}" if match[1] or match[2] else match[0], text)
