"""All templates of symbolic golds, by name. Used by ``math_pairs.py`` and by tests."""

from collections.abc import Callable
from random import Random

from benchmarks import math_expression_templates as expressions
from benchmarks import math_object_templates as objects
from benchmarks.math_variants import Variants

TEMPLATES: dict[str, Callable[[Random], Variants]] = {
    "expanded_product": expressions.expanded_product,
    "factored_product": expressions.factored_product,
    "square": expressions.square,
    "two_variables": expressions.two_variables,
    "monomial": expressions.monomial,
    "rational_function": expressions.rational_function,
    "surd": expressions.surd,
    "quadratic_root": expressions.quadratic_root,
    "nested_root": expressions.nested_root,
    "multiple_of_pi": expressions.multiple_of_pi,
    "double_angle": expressions.double_angle,
    "pythagoras": expressions.pythagoras,
    "logarithm": expressions.logarithm,
    "change_of_base": expressions.change_of_base,
    "power_law": expressions.power_law,
    "big_product": expressions.big_product,
    "small_power": expressions.small_power,
    "near_power": expressions.near_power,
    "near_one": expressions.near_one,
    "near_exponential": expressions.near_exponential,
    "absolute_value": expressions.absolute_value,
    "complex_number": objects.complex_number,
    "point": objects.point,
    "triple": objects.triple,
    "interval": objects.interval,
    "half_line": objects.half_line,
    "union": objects.union,
    "finite_set": objects.finite_set,
    "solutions": objects.solutions,
    "matrix": objects.matrix,
    "line": objects.line,
    "implicit_line": objects.implicit_line,
    "hyperbola": objects.hyperbola,
    "inequality": objects.inequality,
    "double_inequality": objects.double_inequality,
    "word": objects.word,
    "choice": objects.choice,
    "number_base": objects.number_base,
}
