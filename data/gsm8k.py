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
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


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
        official = OFFICIAL_SPLITS[split]
        tasks: list[MathTask] = []
        skipped: Counter[str] = Counter()
        for number, row in enumerate(self._rows(official)):
            if not isinstance(row, Mapping) or not row.get("question"):
                skipped["no question"] += 1
                continue
            solution = str(row.get("answer", ""))
            gold = _gold(solution)
            if gold is None:
                skipped["no gold number"] += 1
                continue
            labels = {"steps": str(solution.count("<<"))}
            tasks.append(
                MathTask(id=f"gsm8k-{official}-{number}", labels=labels, question=row["question"].strip(), gold=gold)
            )
        if not tasks:
            raise ConfigurationError(
                f"gsm8k: '{self.path}' has no usable row in split '{official}'; expected rows"
                " {question, answer} with the gold after '####'"
            )
        return Reading(tasks=tasks, skipped=skipped)

    def _rows(self, official: str) -> Iterable[Any]:
        if is_hub(self.path):
            return hub_rows(self.path, official, self.subset)
        return json_lines(directory_file(self.path, f"{official}.jsonl", "gsm8k"))


def _gold(solution: str) -> str | None:
    """The number after the last ``####``, without thousands separators and dollar sign; None when there is none."""
    _, mark, after = solution.rpartition("####")
    gold = after.strip().replace(",", "").removeprefix("$")
    return gold if mark and NUMBER.fullmatch(gold) else None
