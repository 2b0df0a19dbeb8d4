r"""What is decided of an answer without computer algebra, and what computer algebra is then asked.

Rules that math-verify lacks (ours; each closes a way to be taken for right):

* a gold that is a plain number wants a plain number: neither ``2+3`` nor ``3=5`` nor ``\sqrt{25}`` is 5;
* no more relations (``=``, ``\approx``, ``\neq``, arrows) than the gold has; a leading name, ``x =`` or ``f(x) =``,
  and a decimal behind a last ``\approx`` aside, which has to be the value's rounding;
* no exponent, and no factorial, that nobody could compute (``envs.math.magnitude``), where the gold has none;
* no operator left to carry out (sum, product, integral, limit, derivative, determinant) that the gold has not;
* a percent sign on both sides or on neither;
* subscripted bases are part of the number: ``4343_6`` is not ``4343_2``;
* brackets mean something: a set is no tuple, an interval has the ends that it has;
* what stands behind the expression may be a unit, and no word that changes the value.
"""

import re
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Literal

from envs.math.kind import RELATION as ANY_RELATION
from envs.math.kind import as_words, gold_kind, is_named_alike, is_named_otherwise, outer_bracket
from envs.math.magnitude import is_beyond_computing
from envs.math.notation import Expression, undressed
from envs.math.number import Number, changes_value, is_equal, plain_number

AnswerError = Literal["not a number", "chain", "unevaluated", "beyond computing", "too long", "wrong value"]

ANSWER_CHARACTERS = 200
RELATION = re.compile(
    r"(?<![<>!\\:])=|\\(?:approx|equiv|neq?|sim|cong|to|rightarrow|Rightarrow|implies|iff|Leftrightarrow)(?![A-Za-z])|[≡→⇒]"
)
SUBSCRIPT = re.compile(r"_ ?\{[^{}]*\}")
APPROXIMATION = re.compile(r"(.+?) ?\\approx ?([^\\=]+)")
OPERATOR = re.compile(
    r"\\(?:sum|prod|i{1,3}nt|oint|lim|limsup|liminf|det|partial|gcd|lcm|mod|bmod|max|min|sup|inf)(?![A-Za-z])"
    r"|\\operatorname ?\{ ?(?:gcd|lcm|det|max|min|sup|inf|lim|rank|tr) ?\}"
    r"|\\frac ?\{ ?d[^{}]* ?\} ?\{ ?d[a-z]|\\begin ?\{[vV]matrix\}"
)
BASE = re.compile(r"(?<![0-9A-Za-z])[0-9][0-9A-F]* ?_ ?(?:\{((?:[^{}]|\\text ?\{[^{}]*\})*)\}|(\w))")
PERCENT = re.compile(r"%|\b(?:percent|per cent|pct)\b")
UNIT = re.compile(
    r"(?<=[\w}) ]) ?(?:\\(?:text|textrm|mathrm|mbox) ?\{ ?([A-Za-z]+(?:[ /.][A-Za-z]+)*\.?) ?\}"
    r"| (units?|square units|cubic units|dollars|degrees|radians)|(?<=[ }])([cmk]m))(?: ?\^ ?\{?[23]\}?)?$"
)


@dataclass(frozen=True, kw_only=True)
class Question:
    """Two expressions that computer algebra has to compare."""

    gold: str
    answer: str
    rounding: str = ""
    """The decimal that the answer is said to be about; empty when none is said."""

    @property
    def pair(self) -> tuple[str, ...]:
        """The arguments of ``envs.math.comparison.compare``."""
        return (self.gold, self.answer, self.rounding) if self.rounding else (self.gold, self.answer)


@dataclass(frozen=True, kw_only=True)
class Gold:
    """A gold and what its text says."""

    expression: Expression
    number: Number | None
    words: str | None

    @property
    def own_question(self) -> Question:
        """Whether the gold can be read and equals itself."""
        return Question(gold=self.expression.text, answer=self.expression.text)

    @property
    def needs_algebra(self) -> bool:
        """Answers to it are compared by computer algebra, which must be able to read it."""
        return self.number is None and self.words is None


Decision = AnswerError | Question | Literal["equal"]


@lru_cache(maxsize=8192)
def read_gold(gold: str) -> Gold:
    """Reads a gold once for all its answers."""
    expression, kind = undressed(gold), gold_kind(gold)
    words = as_words(expression.text) if kind == "words" else None
    return Gold(expression=expression, number=plain_number(gold), words=words)


def decide(gold: Gold, answer: str, *, canonical_number: bool = True) -> Decision:
    """The judgement where it needs no computer algebra; else the question to ask.

    Args:
        canonical_number: a gold that is a plain number wants a plain number; false: any expression of its value.
    """
    if len(answer) > ANSWER_CHARACTERS:
        return "too long"
    if gold.number is not None:
        found = plain_number(answer, short_units=True)
        if found is not None:
            is_right = is_equal(found, gold.number) and not is_named_otherwise(gold.expression, undressed(answer))
            return "equal" if is_right else "wrong value"
        if canonical_number:
            return "not a number"
    expression = undressed(answer)
    if gold.words is not None:
        return "equal" if as_words(expression.text) == gold.words else "wrong value"
    if expression.compact == gold.expression.compact and is_named_alike(gold.expression, expression):
        return gold.own_question
    return _refusal(gold, expression) or _question(gold, expression)


def is_string_equal(gold: str, answer: str) -> bool:
    """The same text, dressing and spaces aside."""
    return undressed(gold).compact == undressed(answer).compact


def _refusal(gold: Gold, answer: Expression) -> AnswerError | None:
    wanted, (found, _) = _full_text(gold.expression), _without_approximation(_full_text(answer))
    if is_beyond_computing(found) and not is_beyond_computing(wanted):
        return "beyond computing"
    if _relations(found) - (answer.name is not None) > _relations(wanted):
        return "chain"
    if len(OPERATOR.findall(found)) > len(OPERATOR.findall(wanted)):
        return "unevaluated"
    if _is_equation(gold.expression.text) and not ANY_RELATION.search(found):
        return "wrong value"  # math-verify takes the right side of ``xy = 1`` for its value
    if bool(PERCENT.search(wanted)) != bool(PERCENT.search(found)) or _bases(wanted) != _bases(found):
        return "wrong value"
    brackets = {outer_bracket(gold.expression.text), outer_bracket(answer.text)}
    alike = ({"list", "{}"}, {"list", "()"})
    return "wrong value" if len(brackets - {None}) == 2 and brackets not in alike else None


def _question(gold: Gold, answer: Expression) -> Question:
    """Names are left out where they say the same, and the gold is no equation without one; a list is read in the
    brackets of the other side."""
    wanted, found = gold.expression, answer
    are_values = "=" not in found.text and "=" not in wanted.text and is_named_alike(wanted, found)
    first = wanted.text if are_values else _full_text(wanted)
    second, rounding = _without_approximation(found.text if are_values else _full_text(found))
    first, second = _without_units(first, second)
    brackets = outer_bracket(first), outer_bracket(second)
    if brackets == ("list", "()"):
        first = f"({first})"
    elif brackets == ("()", "list"):
        second = f"({second})"
    return Question(gold=first, answer=second, rounding=rounding)


def _full_text(expression: Expression) -> str:
    return expression.text if expression.name is None else f"{expression.name} = {expression.text}"


def _is_equation(text: str) -> bool:
    """One equation that gives no value to a name; ``x = y = 3`` and lists of equations are left to math-verify."""
    return text.count("=") == 1 == _relations(text) and outer_bracket(text) is None


def _relations(text: str) -> int:
    """How many relations there are; those in subscripts (the bounds of a sum) aside."""
    return len(RELATION.findall(SUBSCRIPT.sub("", text)))


def _without_approximation(text: str) -> tuple[str, str]:
    r"""``\sqrt{2} \approx 1.41`` as ``\sqrt{2}`` and ``1.41``; the second is empty when the text ends in no decimal."""
    match = APPROXIMATION.fullmatch(text)
    number = plain_number(match[2]) if match else None
    if match is None or number is None or number.places is None or number.is_percent:
        return text, ""
    return match[1], f"{Decimal(number.value.numerator) / Decimal(number.value.denominator):.{number.places}f}"


def _without_units(gold: str, answer: str) -> tuple[str, str]:
    units = UNIT.search(gold), UNIT.search(answer)
    kept = [
        text if unit is None or changes_value(unit.group()) else text[: unit.start()].strip()
        for text, unit in zip((gold, answer), units, strict=True)
    ]
    return kept[0] or gold, kept[1] or answer


def _bases(text: str) -> list[str]:
    return sorted((braced or bare).removeprefix("\\text").strip("{} ") for braced, bare in BASE.findall(text))
