"""GSM8K: grade-school word problems with a number as the answer (Cobbe et al. 2021)."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from data.reader import Reading, Split
from data.source import directory_file, hub_rows, is_hub, json_lines
from envs.errors import ConfigurationError
from envs.math.task import MathTask

OFFICIAL_SPLITS: dict[Split, str] = {"train": "train", "heldout": "test"}
ORIGIN = "get it from https://github.com/openai/grade-school-math, or give hub://openai/gsm8k"
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


@dataclass(frozen=True, kw_only=True)
class Gsm8kProblem:
    """A usable row."""

    id: str
    question: str
    gold: str
    """What follows the last ``####``, without thousands separators and dollar sign."""
    solution: str
    """The lines before it; calculations stand in them as ``<<2*3=6>>``."""

    @property
    def labels(self) -> dict[str, str]:
        """The number of calculations of the solution."""
        return {"steps": str(self.solution.count("<<"))}


@dataclass(frozen=True, kw_only=True)
class Gsm8kReader:
    """Reads the official files; the gold is what follows ``####``. The held-out split is the official test split.

    A row without a question, or whose gold is no number, is skipped and counted.
    """

    path: str
    """A directory with train.jsonl and test.jsonl, or ``hub://openai/gsm8k``."""
    subset: str = "main"
    """The hub's configuration name."""

    environment = "math"

    def read(self, split: Split) -> Reading:
        """All usable rows of a split, in the file's order; labelled with the number of calculations of the solution."""
        problems, skipped = read_problems(self.path, self.subset, split)
        tasks = [
            MathTask(id=problem.id, labels=problem.labels, question=problem.question, gold=problem.gold)
            for problem in problems
        ]
        return Reading(tasks=tasks, skipped=skipped)


def read_problems(path: str, subset: str, split: Split) -> tuple[list[Gsm8kProblem], Counter[str]]:
    """The usable rows of a split, in the file's order, and why others were left out.

    Args:
        path: a directory with the official files, or ``hub://owner/name``.
        subset: the hub's configuration name.

    Raises:
        ConfigurationError: a file is missing, or no row is usable.
    """
    official = OFFICIAL_SPLITS[split]
    problems: list[Gsm8kProblem] = []
    skipped: Counter[str] = Counter()
    for number, row in enumerate(_rows(path, subset, official)):
        if not isinstance(row, Mapping) or not row.get("question"):
            skipped["no question"] += 1
            continue
        solution, gold = _parts(str(row.get("answer", "")))
        if gold is None:
            skipped["no gold number"] += 1
            continue
        question = row["question"].strip()
        problems.append(Gsm8kProblem(id=f"gsm8k-{official}-{number}", question=question, gold=gold, solution=solution))
    if not problems:
        raise ConfigurationError(
            f"gsm8k: '{path}' has no usable row in split '{official}'; expected rows"
            " {question, answer} with the gold after '####'"
        )
    return problems, skipped


def _rows(path: str, subset: str, official: str) -> Iterable[Any]:
    if is_hub(path):
        return hub_rows(path, official, subset)
    return json_lines(directory_file(path, f"{official}.jsonl", "gsm8k", ORIGIN))


def _parts(answer: str) -> tuple[str, str | None]:
    """The solution, and the number after the last ``####``; None when there is none."""
    solution, mark, after = answer.rpartition("####")
    gold = after.strip().replace(",", "").removeprefix("$")
    return solution.strip(), gold if mark and NUMBER.fullmatch(gold) else None
