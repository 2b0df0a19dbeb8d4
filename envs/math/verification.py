r"""Whether an answer equals the gold, as mathematics and as an answer.

A gold that is a plain number (``envs.math.number``) is decided here, exactly: the answer must itself be a plain
number, so that neither ``2+3`` nor ``3=5`` nor ``\sqrt{25}`` passes for 5. Percent signs must agree. Other golds are
compared by math-verify in worker processes (``envs.math.pool``), after rules that math-verify lacks (ours):

* a chain of equations is no answer: at most the gold's own number of ``=``, a leading ``x =`` aside;
* a percent sign must be on both sides or on neither;
* subscripted bases are part of the number: ``4343_6`` is not ``4343_2``;
* a set is not a tuple.

Text that equals the gold's is right without a worker.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from envs.math.number import is_equal, plain_number, undressed
from envs.math.pool import Outcome, compare_pairs

AnswerError = Literal["not a number", "chain", "wrong value"]

EQUALITY = re.compile(r"(?<![<>!\\])=")
SUBSCRIPT = re.compile(r"_\{[^{}]*\}")
BASE = re.compile(r"(?<![0-9A-Za-z])[0-9][0-9A-F]*_(?:\{(\d+)\}|(\d+))")


@dataclass(frozen=True, kw_only=True)
class Verification:
    """The judgement of one answer; equal when both fields are None."""

    error: AnswerError | None = None
    unjudged: str | None = None


EQUAL = Verification()
WRONG = Verification(error="wrong value")


def verify(pairs: Sequence[tuple[str, str]], *, workers: int, deadline: float) -> list[Verification]:
    """Judges (gold, answer) pairs; those that need a worker run in parallel, each within ``deadline`` seconds."""
    decided = [decide(gold, answer) for gold, answer in pairs]
    undecided = [pair for pair, verification in zip(pairs, decided, strict=True) if verification is None]
    outcomes = iter(compare_pairs(undecided, workers=workers, deadline=deadline))
    return [verification or _of_outcome(next(outcomes)) for verification in decided]


def decide(gold: str, answer: str) -> Verification | None:
    """The judgement where it needs no computer algebra; None otherwise."""
    expected, found = plain_number(gold), plain_number(answer)
    if expected is not None:
        if found is None:
            return Verification(error="not a number")
        return EQUAL if is_equal(found, expected) else WRONG
    bare_gold, bare_answer = undressed(gold), undressed(answer)
    if bare_gold.replace(" ", "") == bare_answer.replace(" ", ""):
        return EQUAL
    if _equations(bare_answer) > _equations(bare_gold):
        return Verification(error="chain")
    if ("%" in bare_gold) != ("%" in bare_answer) or _bases(bare_gold) != _bases(bare_answer):
        return WRONG
    return WRONG if {_bracket(bare_gold), _bracket(bare_answer)} == {"set", "tuple"} else None


def _of_outcome(outcome: Outcome) -> Verification:
    if outcome == "equal":
        return EQUAL
    return WRONG if outcome == "different" else Verification(unjudged=outcome)


def _equations(text: str) -> int:
    """How many equality signs there are; those in subscripts (the bounds of a sum) aside."""
    return len(EQUALITY.findall(SUBSCRIPT.sub("", text)))


def _bases(text: str) -> list[str]:
    return sorted(braced or bare for braced, bare in BASE.findall(text))


def _bracket(text: str) -> str | None:
    if text.startswith("\\{"):
        return "set"
    return "tuple" if text.startswith("(") and text.endswith(")") and "," in text else None
