"""Readers of the bundled tasks: our own JSON extractions, function calls, word problems and database questions, all
offline.
"""

import json
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.bundled.sql.databases import build
from data.function_calls import row_task
from data.reader import Reading, Split
from data.source import json_lines
from envs.errors import ConfigurationError
from envs.json.task import JsonExample, JsonTask
from envs.math.task import MathTask
from envs.options import choose
from envs.sql.databases.database import Database
from envs.sql.task import SqlTask

BUNDLED = Path(__file__).parent / "bundled"


@dataclass(frozen=True, kw_only=True)
class _GradedReader:
    """Options that the bundled readers share."""

    difficulties: Sequence[str] | None = None
    """Only tasks of these grades (easy, medium, hard; SQL also extra); null takes all."""

    def _rows(self, domain: str, split: Split) -> list[dict[str, Any]]:
        rows = list(json_lines(BUNDLED / domain / f"{split}.jsonl"))
        if self.difficulties is None:
            return rows
        known = dict.fromkeys(row["difficulty"] for row in rows)
        for difficulty in self.difficulties:
            choose("difficulty", difficulty, known)
        return [row for row in rows if row["difficulty"] in self.difficulties]


@dataclass(frozen=True, kw_only=True)
class BundledJsonReader(_GradedReader):
    """Extractions to a schema; four schemas occur in the held-out split only (label ``new_schema``)."""

    environment = "json"
    examples: int = 0
    """Solved examples of the same schema in each prompt. They come from the train split; of a schema that occurs in
    the held-out split only, that many held-out tasks are set apart for it and not measured."""

    def __post_init__(self) -> None:
        if not 0 <= self.examples <= 4:
            raise ConfigurationError(f"examples must be between 0 and 4, got {self.examples}")

    def read(self, split: Split) -> Reading:
        """All tasks of a split."""
        givers: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for row in self._rows("json", "train"):
            givers[row["schema_name"]].append(row)
        tasks = []
        for row in self._rows("json", split):
            known = givers[row["schema_name"]]
            if row["is_new_schema"] and len(known) < self.examples:
                known.append(row)
            else:
                tasks.append(self._task(row, known))
        return Reading(tasks=tasks)

    def _task(self, row: dict[str, Any], givers: list[dict[str, Any]]) -> JsonTask:
        others = [giver for giver in givers if giver["id"] != row["id"]]
        # Drawn by the task's own id: the same examples in every run, whatever else is read.
        examples = random.Random(row["id"]).sample(others, self.examples)
        return JsonTask(
            id=row["id"],
            schema=json.dumps(row["schema"]),
            text=row["text"],
            gold=json.dumps(row["gold"]),
            examples=tuple(JsonExample(text=each["text"], gold=json.dumps(each["gold"])) for each in examples),
            labels={
                "difficulty": row["difficulty"],
                "new_schema": "yes" if row["is_new_schema"] else "no",
                "schema": row["schema_name"],
            },
        )


@dataclass(frozen=True, kw_only=True)
class BundledFunctionsReader(_GradedReader):
    """Requests to answer with function calls; four functions occur in the held-out split only (``new_function``)."""

    environment = "json"

    def read(self, split: Split) -> Reading:
        """All tasks of a split."""
        rows = self._rows("functions", split)
        labels = ("difficulty", "domain", "new_function")
        return Reading(tasks=[row_task(row, row["id"], labels) for row in rows])


@dataclass(frozen=True, kw_only=True)
class BundledMathReader(_GradedReader):
    """Word problems with one number as the answer."""

    environment = "math"

    def read(self, split: Split) -> Reading:
        """All tasks of a split."""
        tasks = [
            MathTask(
                id=row["id"],
                question=row["question"],
                gold=row["answer"],
                labels={"difficulty": row["difficulty"]},
            )
            for row in self._rows("math", split)
        ]
        return Reading(tasks=tasks)


@dataclass(frozen=True, kw_only=True)
class BundledSqlReader(_GradedReader):
    """Questions to small databases, which are built in the cache at the first read."""

    environment = "sql"

    def read(self, split: Split) -> Reading:
        """All tasks of a split."""
        databases = build()
        tasks = [
            SqlTask(
                id=row["id"],
                question=row["question"],
                database=Database.at(databases[row["database"]]),
                gold=row["sql"],
                labels={"difficulty": row["difficulty"], "database": row["database"]},
                is_for_training=split == "train",
            )
            for row in self._rows("sql", split)
        ]
        return Reading(tasks=tasks)
