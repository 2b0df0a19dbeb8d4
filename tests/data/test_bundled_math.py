"""The bundled word problems: answers equal their expressions, splits are disjoint, the builder rewrites the files."""

import ast
import json
import math
import operator
import random
import re
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from data.bundled.counts import table
from data.bundled.math import build
from data.bundled.math.template import Template, written

FOLDER = Path(build.__file__).parent
FIELDS = ["id", "question", "answer", "expression", "difficulty", "template"]


def read(split: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in (FOLDER / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()]


TRAIN, HELDOUT = read("train"), read("heldout")
ROWS = TRAIN + HELDOUT

OPERATIONS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}


def evaluate(expression: str) -> Fraction:
    """The value of an arithmetic expression, exactly; anything but arithmetic is an error."""

    def value(node: ast.expr) -> Fraction:
        match node:
            case ast.Constant(value=int() | float()):
                return Fraction(str(node.value))
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -value(operand)
            case ast.BinOp(left=left, op=operation, right=right):
                return Fraction(OPERATIONS[type(operation)](value(left), value(right)))
            case ast.Call(func=ast.Name(id="gcd"), args=[first, second]):
                return Fraction(math.gcd(int(value(first)), int(value(second))))
        raise ValueError(f"not arithmetic: {ast.dump(node)}")

    return value(ast.parse(expression, mode="eval").body)


def test_rows_have_the_fields_and_unique_ids() -> None:
    assert all(list(row) == FIELDS and all(isinstance(value, str) and value for value in row.values()) for row in ROWS)
    assert max(Counter(row["id"] for row in ROWS).values()) == 1


def test_both_splits_are_large_enough_and_new_templates_are_new() -> None:
    known = {row["template"] for row in TRAIN}
    new = {row["template"] for row in HELDOUT} - known
    assert len(TRAIN) >= 230 and len(HELDOUT) >= 100
    assert len(known | new) >= 45 and len(new) >= 8
    assert new == build.NEW_TEMPLATES
    assert {row["difficulty"] for row in TRAIN} == {row["difficulty"] for row in HELDOUT} == {"easy", "medium", "hard"}


def test_every_answer_equals_its_expression() -> None:
    for row in ROWS:
        assert Fraction(row["answer"]) == evaluate(row["expression"]), row


def test_every_answer_is_a_whole_number_a_short_decimal_or_a_reduced_fraction() -> None:
    kinds: Counter[str] = Counter()
    for row in ROWS:
        answer = row["answer"]
        assert re.fullmatch(r"-?[0-9]+(\.[0-9]{1,2}|/[0-9]+)?", answer), row
        if "/" in answer:
            assert str(Fraction(answer)) == answer
        kinds["fraction" if "/" in answer else "decimal" if "." in answer else "whole"] += 1
    assert min(kinds.values()) >= 40 and len(kinds) == 3


def test_a_fraction_is_the_answer_exactly_where_one_is_asked_for() -> None:
    for row in ROWS:
        wants_fraction = "a fraction" in row["question"] or "What fraction" in row["question"]
        assert "/" not in row["answer"] if not wants_fraction else "." not in row["answer"], row


def test_difficulty_is_the_number_of_operations() -> None:
    for row in ROWS:
        operations = sum(isinstance(node, ast.BinOp) for node in ast.walk(ast.parse(row["expression"], mode="eval")))
        assert row["difficulty"] == ("easy" if operations == 1 else "medium" if operations <= 3 else "hard"), row


def test_the_splits_share_no_question_and_no_numbers() -> None:
    assert len({row["question"] for row in ROWS}) == len(ROWS)
    assert len({(row["template"], row["expression"]) for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("template", build.TEMPLATES, ids=lambda template: template.name)
def test_a_template_is_right_for_any_numbers_it_draws(template: Template) -> None:
    assert len(set(template.phrasings)) >= 2
    for phrasing in template.phrasings:
        for seed in range(20):
            numbers, answer = template.draw(random.Random(seed))
            assert Fraction(answer) == evaluate(template.expression.format(**numbers))
            assert all(f"{{{name}}}" in phrasing for name in numbers), phrasing


def test_no_expression_reaches_beyond_arithmetic() -> None:
    with pytest.raises(ValueError, match="not arithmetic"):
        evaluate("open('x')")


@pytest.mark.parametrize(
    ("answer", "as_fraction", "text"),
    [
        (Fraction(12), False, "12"),
        (Fraction(12), True, "12"),
        (Fraction(-3), False, "-3"),
        (Fraction(5, 2), False, "2.5"),
        (Fraction(41, 20), False, "2.05"),
        (Fraction(3, 4), True, "3/4"),
        (Fraction(5, 3), True, "5/3"),
    ],
)
def test_an_answer_is_written_exactly(answer: Fraction, as_fraction: bool, text: str) -> None:
    assert written(answer, as_fraction=as_fraction) == text
    assert Fraction(text) == answer


def test_an_answer_without_a_short_decimal_is_refused() -> None:
    with pytest.raises(ValueError, match="no short decimal"):
        written(Fraction(1, 3), as_fraction=False)


def test_building_again_writes_the_same_files(tmp_path: Path) -> None:
    build.write(tmp_path)
    for split in ("train", "heldout"):
        assert (tmp_path / f"{split}.jsonl").read_bytes() == (FOLDER / f"{split}.jsonl").read_bytes()


def test_the_readme_counts_what_is_there() -> None:
    assert table(FOLDER, "template") in (FOLDER / "README.md").read_text(encoding="utf-8")
