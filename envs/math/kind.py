r"""What sort of answer a gold is, and how an expression is bracketed; read from its text alone.

number       18, \frac{3}{4}, 50\%          ``envs.math.number``: compared exactly, without computer algebra
words        \text{Monday}, even, (B)       compared as text
tuple set interval list matrix              by their outermost brackets, ``envs.math.rules``
relation     y = 2x + 1, 1 < x < 2
expression   everything else
"""

import re
from functools import lru_cache
from typing import Literal

from envs.math.notation import Expression, undressed
from envs.math.number import plain_number

GoldKind = Literal["number", "words", "tuple", "set", "interval", "list", "matrix", "relation", "expression"]
Bracket = Literal["{}", "()", "[]", "[)", "(]", "list"]

TEXT_COMMAND = re.compile(r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mbox) ?\{([^{}]*)\}")
PHRASE = re.compile(r"[A-Za-z][A-Za-z'’-]*(?: [A-Za-z'’-]+)*")
LONG_WORD = re.compile(r"(?<!\\)\b[A-Za-z]{4,}\b")
CHOICE = re.compile(r"\(?([A-Z])\)?")
VARIABLE = re.compile(r"[A-Za-z]|\\[A-Za-z]+")
RELATION = re.compile(r"[=<>]|\\(?:le|ge|leq|geq|lt|gt|ne|neq|in|equiv)(?![A-Za-z])")
OPENING, CLOSING = {"\\{": "{", "(": "(", "[": "["}, {"\\}": "}", ")": ")", "]": "]"}
MARK = re.compile(r"\\[{}]|[()\[\]{},;]")


@lru_cache(maxsize=4096)
def gold_kind(gold: str) -> GoldKind:
    """The kind of a gold."""
    if plain_number(gold) is not None:
        return "number"
    expression = undressed(gold)
    bare = expression.text
    is_in_text = "=" not in gold and TEXT_COMMAND.fullmatch(gold.strip(" $.")) is not None
    if as_words(bare) is not None and (is_in_text or LONG_WORD.search(bare) or CHOICE.fullmatch(bare)):
        return "words"
    if "matrix}" in bare:
        return "matrix"
    bracket = outer_bracket(bare)
    if bracket == "{}":
        return "set"
    if bracket == "list":
        return "list"
    if bracket is None and (expression.name or RELATION.search(bare)):
        return "relation"
    if bracket is None:
        return "expression"
    return "tuple" if bracket == "()" else "interval"


def as_words(bare: str) -> str | None:
    """The words that an undressed text consists of, in lower case; None when it holds anything else.

    Text commands and the parentheses of a choice, ``(B)``, are left out.
    """
    words = " ".join(TEXT_COMMAND.sub(r" \1 ", bare).split()).removesuffix(".").strip()
    if match := CHOICE.fullmatch(words):
        return match[1].lower()
    return words.lower() if PHRASE.fullmatch(words) else None


def outer_bracket(bare: str) -> Bracket | None:
    """The brackets around a whole undressed text with more than one element; ``list``: elements without brackets."""
    depth, commas, first_closed = 0, 0, -1
    has_inner_comma = False
    for match in MARK.finditer(bare):
        mark = match.group()
        if mark in OPENING or mark == "{":
            depth += 1
        elif mark in CLOSING or mark == "}":
            depth -= 1
            if depth < 0:
                return None
            if depth == 0 and first_closed < 0:
                first_closed = match.end()
        elif depth == 0:
            commas += 1
        elif depth == 1:
            has_inner_comma = True
    if depth:
        return None
    if commas:
        return "list"
    is_enclosed = first_closed == len(bare)
    if is_enclosed and bare.startswith("\\{") and bare.endswith("\\}"):
        return "{}"
    if is_enclosed and has_inner_comma and bare[0] in "([" and bare[-1] in ")]":
        return f"{bare[0]}{bare[-1]}"  # type: ignore[return-value]
    return None


def is_named_otherwise(gold: Expression, answer: Expression) -> bool:
    """Both are said to equal a variable, and not the same: ``y = 5`` for ``x = 5``. Words are no variables."""
    names = {name.lower() for name in (gold.name, answer.name) if name and VARIABLE.fullmatch(name)}
    return len(names) == 2


def is_named_alike(gold: Expression, answer: Expression) -> bool:
    """Both are said to equal the same thing, or one of them nothing; ``y`` is as good a name as ``f(x)``."""
    if gold.name is None or answer.name is None or gold.name == answer.name:
        return True
    return ("(" in gold.name) != ("(" in answer.name) and "y" in (gold.name, answer.name)
