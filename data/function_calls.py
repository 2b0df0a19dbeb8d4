"""Requests of one's own that are answered by calling functions, as JSON lines.

A line is an object:

    {"request": "Is it warm in Oslo?",
     "functions": [{"name": "weather", "description": "Weather in a city.", "parameters": {JSON Schema}}],
     "calls": [{"name": "weather", "arguments": {"city": "Oslo", "unit": "celsius"},
                "also": {"city": ["Oslo, Norway"]}, "optional": ["unit"]}],
     "is_ordered": false, "difficulty": "easy", "id": "r1"}

``arguments`` has one right value of each argument, ``also`` further right ones, ``optional`` the arguments that may be
left out. ``calls`` may be empty: no function fits. Entries of ``functions`` may be wrapped as ``{"type": "function",
"function": {...}}``. ``request``, ``functions`` and ``calls`` are required.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from data.call_rows import call_task, right_call
from data.reader import Reading, Split
from data.rows import UnusableRowError, require_rows
from data.source import directory_file, json_lines
from envs.json.task import CallsGold, JsonTask

ORIGIN = "write it: rows of your own, one a line, as data/function_calls.py has them"


@dataclass(frozen=True, kw_only=True)
class FunctionCallsReader:
    """Reads ``train.jsonl`` and ``heldout.jsonl``. A row with a defect is skipped and counted."""

    path: str
    """The directory that holds the two files."""

    environment = "json"

    def read(self, split: Split) -> Reading:
        """All usable rows of a split, in their order; labelled with their difficulty where they have one.

        Raises:
            ConfigurationError: the file is missing or no JSON, or no row is usable.
        """
        tasks: list[JsonTask] = []
        skipped: Counter[str] = Counter()
        file = directory_file(self.path, f"{split}.jsonl", "function_calls", ORIGIN)
        for number, row in enumerate(json_lines(file)):
            try:
                tasks.append(row_task(row, f"{split}-{number}"))
            except UnusableRowError as reason:
                skipped[str(reason)] += 1
        require_rows(tasks, skipped, f"function_calls: split '{split}' of '{self.path}'")
        return Reading(tasks=tasks, skipped=skipped)


def row_task(row: Any, default_id: str, labels: tuple[str, ...] = ("difficulty",)) -> JsonTask:
    """The task of one row.

    Args:
        labels: keys of the row whose text becomes a label.

    Raises:
        UnusableRowError: the row has a defect.
    """
    if not isinstance(row, Mapping) or not isinstance(row.get("calls"), list):
        raise UnusableRowError("no calls")
    is_ordered = row.get("is_ordered", False)
    if not isinstance(is_ordered, bool):
        raise UnusableRowError("is_ordered is neither true nor false")
    gold = CallsGold(calls=tuple(map(right_call, row["calls"])), is_ordered=is_ordered)
    return call_task(
        str(row.get("id", default_id)),
        {key: row[key] for key in labels if isinstance(row.get(key), str)},
        row.get("request"),
        row.get("functions"),
        gold,
    )
