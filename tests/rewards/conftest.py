"""Tasks as the tables of this folder write them: {question, gold} for mathematics and SQL, {schema, ...} for JSON."""

import json
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from envs.json.task import Call, CallsGold, JsonTask, MathGold
from envs.math.task import MathTask
from envs.sql.databases.database import Database
from envs.sql.task import SqlTask
from envs.task import Task


@pytest.fixture
def make_task(tmp_path: Path) -> Callable[[Mapping[str, Any]], Task]:
    """Returns a function of a row {task, database?} to its task; the database is the text of its statements."""
    paths: dict[str, Path] = {}

    def make(row: Mapping[str, Any]) -> Task:
        content = row["task"]
        if "database" in row:
            path = paths.setdefault(row["database"], tmp_path / f"{len(paths)}.sqlite")
            if not path.exists():
                with closing(sqlite3.connect(path)) as connection:
                    connection.executescript(row["database"])
            return SqlTask(id="1", question=content["question"], database=Database.at(path), gold=content["gold"])
        if "schema" in content:
            text = content.get("text")
            return JsonTask(id="1", schema=json.dumps(content["schema"]), text=text, gold=_json_gold(content))
        return MathTask(id="1", question=content["question"], gold=content["gold"])

    return make


def _json_gold(content: Mapping[str, Any]) -> str | MathGold | CallsGold | None:
    if "math_gold" in content:
        return MathGold(value=content["math_gold"])
    if "calls" not in content:
        return json.dumps(content["gold"]) if "gold" in content else None
    calls = [
        Call(
            function=call["function"],
            arguments={name: tuple(values) for name, values in call["arguments"].items()},
            optional=frozenset(call.get("optional", ())),
        )
        for call in content["calls"]
    ]
    return CallsGold(calls=tuple(calls))
