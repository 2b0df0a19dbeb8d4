"""Prints the table of tasks by split and difficulty: ``python -m data.bundled.counts data/bundled/json``."""

import sys
from collections import Counter
from pathlib import Path

from data.source import json_lines

DIFFICULTIES = ("easy", "medium", "hard")
KINDS = {"functions": "domain", "json": "schema_name", "math": "template"}
"""Folder -> the field whose distinct values are counted."""


def table(folder: Path, kind: str) -> str:
    """A Markdown table of the two files in ``folder``; ``kind`` is the field whose distinct values are counted."""
    lines = [
        f"| split | tasks | {' | '.join(DIFFICULTIES)} | {kind.removesuffix('_name')}s |",
        "|---|---|---|---|---|---|",
    ]
    for split in ("train", "heldout"):
        rows = list(json_lines(folder / f"{split}.jsonl"))
        counts = Counter(row["difficulty"] for row in rows)
        cells = [len(rows), *(counts[difficulty] for difficulty in DIFFICULTIES), len({row[kind] for row in rows})]
        lines.append(f"| {split} | {' | '.join(str(cell) for cell in cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    target = Path(sys.argv[1])
    print(table(target, KINDS[target.name]))
