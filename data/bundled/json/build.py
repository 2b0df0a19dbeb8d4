"""Writes the bundled JSON extraction tasks: ``python -m data.bundled.json.build`` rewrites both files beside this one.

Every task is drawn from its own seed, so adding a family or a task leaves all others as they are. A task whose text or
gold came before, in either split, is drawn again.
"""

import json
from pathlib import Path
from typing import Any

from data.bundled.json import (
    families_home,
    families_leisure,
    families_public,
    families_trade,
    families_travel,
    families_work,
)
from data.bundled.json.draw import Draw
from data.bundled.json.family import Family
from data.bundled.split_files import write_splits
from data.reader import Split

FAMILIES: tuple[Family, ...] = (
    *families_travel.FAMILIES,
    *families_trade.FAMILIES,
    *families_work.FAMILIES,
    *families_home.FAMILIES,
    *families_public.FAMILIES,
    *families_leisure.FAMILIES,
)
NEW_SCHEMAS = frozenset({"ferry_crossing", "timesheet", "blood_donation", "exhibit"})
"""Schemas that occur in held-out only."""
TRAIN_TASKS = 20
HELDOUT_TASKS = 6
NEW_SCHEMA_TASKS = 20

Row = dict[str, Any]


def rows() -> dict[Split, list[Row]]:
    """All tasks of both splits."""
    made: dict[Split, list[Row]] = {"train": [], "heldout": []}
    for family in FAMILIES:
        is_new = family.name in NEW_SCHEMAS
        counts: dict[Split, int] = {
            "train": 0 if is_new else TRAIN_TASKS,
            "heldout": NEW_SCHEMA_TASKS if is_new else HELDOUT_TASKS,
        }
        seen: set[str] = set()
        for split, count in counts.items():
            for number in range(count):
                text, gold = _unseen(family, split, number, seen)
                made[split].append(
                    {
                        "id": f"json-{split}-{family.name}-{number:02d}",
                        "schema_name": family.name,
                        "schema": family.schema,
                        "text": text,
                        "gold": gold,
                        "difficulty": family.difficulty,
                        "is_new_schema": is_new,
                    }
                )
    return made


def _unseen(family: Family, split: Split, number: int, seen: set[str]) -> tuple[str, dict[str, Any]]:
    for attempt in range(100):
        text, gold = family.task(Draw(f"{family.name}/{split}/{number}/{attempt}", split))
        written = json.dumps(gold, sort_keys=True)
        if text not in seen and written not in seen:
            seen |= {text, written}
            return text, gold
    raise ValueError(f"{family.name}: no new task after 100 attempts; widen its pools or ranges")


def write(folder: Path) -> None:
    """Writes ``train.jsonl`` and ``heldout.jsonl`` into ``folder``."""
    write_splits(folder, rows())


if __name__ == "__main__":
    write(Path(__file__).parent)
