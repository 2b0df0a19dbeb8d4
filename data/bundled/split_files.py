"""How the bundled tasks lie on disk: one file a split, one compact JSON line a task."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from data.reader import Split


def write_splits(folder: Path, splits: Mapping[Split, Iterable[Mapping[str, Any]]]) -> None:
    """Writes ``SPLIT.jsonl`` into ``folder`` for each split of rows."""
    for split, rows in splits.items():
        lines = (json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n" for row in rows)
        (folder / f"{split}.jsonl").write_text("".join(lines), encoding="utf-8")
