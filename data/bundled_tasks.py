"""Readers of the bundled tasks: our own JSON extractions, word problems and database questions, all offline."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from data.bundled.sql.databases import build
from data.reader import Reading, Split
from data.source import json_lines
from envs.json.task import JsonTask
from envs.math.task import MathTask
from envs.sql.task import SqlTask

BUNDLED = Path(__file__).parent / "bundled"


def _rows(domain: str, split: Split) -> Iterator[dict[str, Any]]:
    yield from json_lines(BUNDLED / domain / f"{split}.jsonl")


@dataclass(frozen=True, kw_only=True)
class BundledJsonReader:
    """Extractions to a schema; four schemas occur in the held-out split only (label ``new_schema``)."""

    environment: ClassVar[str] = "json"

    def read(self, split: Split) -> Reading:
        """All tasks of a split."""
        tasks = [
            JsonTask(
                id=row["id"],
                schema=json.dumps(row["schema"]),
                text=row["text"],
                gold=json.dumps(row["gold"]),
                labels={
                    "difficulty": row["difficulty"],
                    "new_schema": "yes" if row["is_new_schema"] else "no",
                    "schema": row["schema_name"],
                },
            )
            for row in _rows("json", split)
        ]
        return Reading(tasks=tasks)


@dataclass(frozen=True, kw_only=True)
class BundledMathReader:
    """Word problems with one number as the answer."""

    environment: ClassVar[str] = "math"

    def read(self, split: Split) -> Reading:
        """All tasks of a split."""
        tasks = [
            MathTask(
                id=row["id"],
                question=row["question"],
                gold=row["answer"],
                labels={"difficulty": row["difficulty"]},
            )
            for row in _rows("math", split)
        ]
        return Reading(tasks=tasks)


@dataclass(frozen=True, kw_only=True)
class BundledSqlReader:
    """Questions to small databases, which are built in the cache at the first read."""

    environment: ClassVar[str] = "sql"

    def read(self, split: Split) -> Reading:
        """All tasks of a split."""
        databases = build()
        tasks = [
            SqlTask(
                id=row["id"],
                question=row["question"],
                database=databases[row["database"]],
                gold=row["sql"],
                labels={"difficulty": row["difficulty"], "database": row["database"]},
            )
            for row in _rows("sql", split)
        ]
        return Reading(tasks=tasks)
