"""Writes the bundled word problems: ``python -m data.bundled.math.build`` rewrites both files beside this one.

Every problem is drawn from its own seed, so adding a template or a problem leaves all others as they are. Numbers
that a template has had before, in either split, are drawn again.
"""

import random
from pathlib import Path

from data.bundled.math import (
    templates_chance,
    templates_equations,
    templates_geometry,
    templates_money,
    templates_numbers,
    templates_rates,
)
from data.bundled.math.template import Problem, Template
from data.bundled.split_files import write_splits
from data.reader import Split

TEMPLATES: tuple[Template, ...] = (
    *templates_money.TEMPLATES,
    *templates_rates.TEMPLATES,
    *templates_equations.TEMPLATES,
    *templates_numbers.TEMPLATES,
    *templates_geometry.TEMPLATES,
    *templates_chance.TEMPLATES,
)
NEW_TEMPLATES = frozenset(
    {
        "original_price",
        "metres_a_second",
        "weighted_average",
        "temperature_rise",
        "bells",
        "up_and_down",
        "trapezoid_area",
        "box_surface",
        "outfits",
        "multiples",
    }
)
"""Templates that occur in held-out only."""
TRAIN_TASKS = 8
HELDOUT_TASKS = 2
NEW_TEMPLATE_TASKS = 6


def rows() -> dict[Split, list[dict[str, str]]]:
    """All problems of both splits."""
    made: dict[Split, list[dict[str, str]]] = {"train": [], "heldout": []}
    for template in TEMPLATES:
        is_new = template.name in NEW_TEMPLATES
        counts: dict[Split, int] = {
            "train": 0 if is_new else TRAIN_TASKS,
            "heldout": NEW_TEMPLATE_TASKS if is_new else HELDOUT_TASKS,
        }
        seen: set[str] = set()
        for split, count in counts.items():
            for number in range(count):
                problem = _unseen(template, split, number, seen)
                made[split].append(
                    {
                        "id": f"math-{split}-{template.name}-{number:02d}",
                        "question": problem.question,
                        "answer": problem.answer,
                        "expression": problem.expression,
                        "difficulty": template.difficulty,
                        "template": template.name,
                    }
                )
    return made


def _unseen(template: Template, split: Split, number: int, seen: set[str]) -> Problem:
    for attempt in range(100):
        problem = template.problem(random.Random(f"{template.name}/{split}/{number}/{attempt}"))
        if problem.expression not in seen:
            seen.add(problem.expression)
            return problem
    raise ValueError(f"{template.name}: no new numbers after 100 attempts; widen its ranges")


def write(folder: Path) -> None:
    """Writes ``train.jsonl`` and ``heldout.jsonl`` into ``folder``."""
    write_splits(folder, rows())


if __name__ == "__main__":
    write(Path(__file__).parent)
