r"""Labelled pairs of gold and answer: variants of GSM8K's golds, and of symbolic templates with random coefficients.

    python benchmarks/math_pairs.py --gsm8k DIRECTORY

prints how many pairs there are of each kind, and some of them. Labels hold by construction: each variant is made from
the gold by a step that keeps or changes its value. A pair is of *form* when the answer has the gold's value and is
wrong all the same, because it is no final answer: a chain, a sum that was not carried out, a percent sign too many, a
tuple for a set. Whether those count is a rule and no fact. A pair is *rare* when the answer is right in a spelling that
few would write: full-width digits, a zero-width character, a full stop at the end. The benchmark reports accuracy on
all pairs, and on the *plain* ones alone.

The same seed gives the same pairs. Not covered: what models really write; see ``math_verifier.py`` for that.
"""

import argparse
import random
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.math_templates import TEMPLATES  # noqa: E402
from data.gsm8k import Gsm8kReader  # noqa: E402

Sort = Literal["plain", "form", "rare"]


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A gold, an answer and the truth about them."""

    gold: str
    answer: str
    is_equal: bool
    sort: Sort = "plain"
    """``form``: the answer has the gold's value, but is no final answer; ``rare``: it is right, in a rare spelling."""
    family: str
    """``number``, ``fraction`` or the name of a symbolic template."""


def read_golds(directory: str) -> list[str]:
    """The golds of GSM8K's test split, in the file's order."""
    return [task.gold for task in Gsm8kReader(path=directory).read("heldout").tasks]  # type: ignore[attr-defined]


def build_pairs(golds: Sequence[str], *, numbers: int = 260, draws: int = 14, seed: int = 0) -> list[Pair]:
    """All pairs.

    Args:
        golds: integers as text, GSM8K's.
        numbers: how many of them are varied.
        draws: how often each symbolic template is drawn.
        seed: of the coefficients.
    """
    chance = random.Random(seed)
    drawn = chance.sample(golds, numbers)
    pairs = [pair for gold in drawn for pair in number_pairs(gold, chance.choice(golds))]
    for first, second in zip(drawn[::2], drawn[1::2], strict=False):
        pairs += fraction_pairs(int(float(first)), int(float(second)))
    for name, template in TEMPLATES.items():
        for _ in range(draws):
            variants = template(chance)
            pairs += _pairs(variants.gold, variants.right, name, is_equal=True)
            pairs += _pairs(variants.gold, variants.wrong, name, is_equal=False)
            pairs += _pairs(variants.gold, variants.form, name, is_equal=False, sort="form")
    return pairs


def _pairs(gold: str, answers: list[str], family: str, *, is_equal: bool, sort: Sort = "plain") -> list[Pair]:
    return [Pair(gold=gold, answer=answer, is_equal=is_equal, sort=sort, family=family) for answer in answers]


def number_pairs(gold: str, other: str) -> list[Pair]:
    """Variants of an integer."""
    number = int(float(gold))
    text = str(number)
    right = [text, f"{number:,}", f"{number}.0", f"{number}.00", f"x = {number}", rf"\${number}"]
    right += [rf"{number}\text{{ km}}", rf"\text{{{number}}}", rf"\mathbf{{{number}}}"]
    right += [rf"\dfrac{{{2 * number}}}{{2}}", f"{number:,}".replace(",", "{,}"), rf"\text{{Total}} = {number}"]
    rare = ["".join(chr(ord(digit) + 0xFEE0) for digit in text), f"{text[0]}\u200b{text[1:]}"]
    rare += [f"{number}.", f"{number} dollars"]
    if number > 0 and number % 10 == 0:
        right.append(rf"{number // 10} \times 10^{{1}}")
    wrong = [
        str(number + 1),
        f"{10 * number + 1}",
        f"{number}.01",
        f"{number + 1:,}",
        rf"\frac{{{number}}}{{{number + 7}}}",
    ]
    wrong += [f"{number}, {number + 1}", rf"{number} \text{{ or }} {number + 2}", rf"\{{{number}, {number + 3}\}}"]
    wrong += [f"{number} (or {number + 1})", f"{number}-{number + 5}", rf"\pm {number + 1}", f"x = {number - 1}"]
    wrong += [changed_digit(text), rf"{number + 1}\text{{ km}}", rf"{number}\frac{{1}}{{2}}"]
    if number:
        wrong += [
            str(-number),
            f"{number}0",
            f"{number} million",
            rf"{number}\text{{ dozen}}",
            rf"\frac{{2}}{{{2 * number + 1}}}",
        ]
    if other != gold:
        wrong.append(other)
    form = [f"{number - 1}+1", f"{number - 1} = {number}", rf"{number}\%", rf"\sum_{{k=1}}^{{1}} k + {number - 1}"]
    form += [rf"\sqrt{{{number**2}}}", rf"{number} \neq {number + 1}"]
    if number <= 0:
        form = form[:3]
    pairs = _pairs(gold, right, "number", is_equal=True) + _pairs(gold, wrong, "number", is_equal=False)
    pairs += _pairs(gold, rare, "number", is_equal=True, sort="rare")
    return pairs + _pairs(gold, form, "number", is_equal=False, sort="form")


def fraction_pairs(first: int, second: int) -> list[Pair]:
    """Variants of a fraction that is no integer; none when the two golds make an integer."""
    value = Fraction(first, second or 1)
    above, below = value.numerator, value.denominator
    if below == 1:
        return []
    gold = rf"\frac{{{above}}}{{{below}}}"
    right = [gold, rf"\dfrac{{{above}}}{{{below}}}", f"{above}/{below}", rf"\frac{{{3 * above}}}{{{3 * below}}}"]
    right += [rf"x = \frac{{{above}}}{{{below}}}", rf"\tfrac{{{above}}}{{{below}}}", rf"${above}/{below}$"]
    if above > below:
        right.append(rf"{above // below}\frac{{{above % below}}}{{{below}}}")
    if Fraction(f"{float(value):.6f}") == value:
        right.append(f"{float(value):.6f}".rstrip("0"))
    wrong = [rf"\frac{{{above + 1}}}{{{below}}}", rf"-\frac{{{above}}}{{{below}}}", rf"\frac{{{above}}}{{{below + 1}}}"]
    wrong += [f"{above}.{below}", f"{float(value) + 0.01:.4f}", f"({above}, {below})", str(above)]
    if abs(above) != below:
        wrong.append(rf"\frac{{{below}}}{{{above or 2}}}")
    return _pairs(gold, right, "fraction", is_equal=True) + _pairs(gold, wrong, "fraction", is_equal=False)


def changed_digit(text: str) -> str:
    """The number with its last digit replaced by the one five further."""
    return text[:-1] + str((int(text[-1]) + 5) % 10)


def main() -> None:
    """Prints what there is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gsm8k", required=True, type=Path, help="directory with test.jsonl")
    parser.add_argument("--seed", type=int, default=0, help="of the coefficients")
    arguments = parser.parse_args()
    pairs = build_pairs(read_golds(str(arguments.gsm8k)), seed=arguments.seed)
    counts = Counter((pair.family, pair.sort, "equal" if pair.is_equal else "different") for pair in pairs)
    for (family, sort, label), count in sorted(counts.items()):
        print(f"{family:22} {sort:8} {label:10} {count:6}")
    for pair in random.Random(1).sample(pairs, 20):
        print(f"{pair.gold}   |   {pair.answer}   |   {'equal' if pair.is_equal else 'different'}")


if __name__ == "__main__":
    main()
