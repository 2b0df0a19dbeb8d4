"""Schemas with instances: texts to extract from, or the rows of MaskBench and JSONSchemaBench."""

import zlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.reader import Reading, Split
from data.rows import UnusableRowError, as_text, require_rows
from data.source import directory_file, hub_rows, is_hub, json_lines
from envs.errors import ConfigurationError
from envs.json.compact import minified
from envs.json.schema import compile_schema
from envs.json.task import JsonTask

DATASET = "schema_instances"
ORIGIN = (
    "write it: one row a line, as data/schema_instances.py has them; for the public schemas take the reader"
    " jsonschemabench, or hub://epfl-dlab/JSONSchemaBench"
)


@dataclass(frozen=True, kw_only=True)
class SchemaInstancesReader:
    """Reads rows ``{schema, instance?, text?, id?}``, or MaskBench's ``{id, split, schema, tests: [{valid, data}]}``.

    A schema is an object or its JSON text. The instance is the gold of a row with a text. Without a text any instance
    of the schema is right, so the task has no gold and the instance only proves that the schema can be met. A row whose
    schema does not compile, whose instance breaks it, or whose tests hold no valid instance is skipped and counted.
    """

    path: str
    """A directory with train.jsonl and heldout.jsonl, one .jsonl file for both splits, or ``hub://owner/name``."""
    heldout_share: float = 0.1
    """Of a single file, the share of rows (by a hash of their id) that is held out."""
    subset: str | None = None
    """The hub's configuration name, for datasets that have several."""
    hub_heldout: str = "test"
    """The hub's name of the held-out split."""
    schema_key: str = "schema"
    """The column of the schema (``json_schema`` in epfl-dlab/JSONSchemaBench)."""
    id_key: str = "id"
    """The column of the row's id (``unique_id`` in epfl-dlab/JSONSchemaBench); rows without one are numbered."""

    max_schema_characters: int | None = None
    """A row whose schema is longer, written without white space, is skipped and counted; null takes all."""

    environment = "json"

    def __post_init__(self) -> None:
        if self.max_schema_characters is not None and self.max_schema_characters < 2:
            raise ConfigurationError(
                f"max_schema_characters is {self.max_schema_characters}; expected at least 2 (the schema {{}}) or null"
            )
        if not 0 < self.heldout_share < 1:
            raise ConfigurationError(f"heldout_share is {self.heldout_share}; expected a share between 0 and 1")

    def read(self, split: Split) -> Reading:
        """All usable rows of a split, in the file's order."""
        tasks: list[JsonTask] = []
        skipped: Counter[str] = Counter()
        seen: set[str] = set()
        is_one_file = not is_hub(self.path) and Path(self.path).expanduser().suffix == ".jsonl"
        for number, row in enumerate(self._rows(split)):
            try:
                task = self._task(row, f"{'row' if is_one_file else split}-{number}")
                if task.id in seen:
                    raise UnusableRowError("repeated id")
            except UnusableRowError as reason:
                skipped[str(reason)] += 1
                continue
            seen.add(task.id)
            if not is_one_file or self._is_heldout(task.id) == (split == "heldout"):
                tasks.append(task)
        require_rows(tasks, skipped, f"{DATASET}: split '{split}' of '{self.path}'")
        return Reading(tasks=tasks, skipped=skipped)

    def _rows(self, split: Split) -> Iterable[Any]:
        if is_hub(self.path):
            return hub_rows(self.path, "train" if split == "train" else self.hub_heldout, self.subset)
        path = Path(self.path).expanduser()
        if path.suffix == ".jsonl":
            path = directory_file(str(path.parent), path.name, DATASET, ORIGIN)
        else:
            path = directory_file(self.path, f"{split}.jsonl", DATASET, ORIGIN)
        return json_lines(path)

    def _is_heldout(self, task_id: str) -> bool:
        return zlib.crc32(task_id.encode(errors="replace")) < self.heldout_share * 2**32

    def _task(self, row: Any, name: str) -> JsonTask:
        if not isinstance(row, Mapping) or row.get(self.schema_key) is None:
            raise UnusableRowError("no schema")
        given = row[self.schema_key]
        schema = given if isinstance(given, str) else as_text(given, "schema does not compile")
        compiled = compile_schema(schema)
        if compiled.defect is not None:
            raise UnusableRowError("schema does not compile")
        if self.max_schema_characters is not None and len(minified(schema)) > self.max_schema_characters:
            raise UnusableRowError("schema too long")
        has_instance, instance = _instance(row)
        gold = as_text(instance, "instance is not JSON") if has_instance else None
        if gold is not None and not compiled.validate(instance).is_valid:
            raise UnusableRowError("instance breaks the schema")
        text = row.get("text")
        if text is not None and not isinstance(text, str):
            raise UnusableRowError("text is not a string")
        labels = {"source": str(row["split"])} if row.get("split") else {}
        return JsonTask(
            id=str(row.get(self.id_key) or name),
            labels=labels,
            schema=schema,
            text=text,
            gold=gold if text is not None else None,
        )


def _instance(row: Mapping[str, Any]) -> tuple[bool, Any]:
    """Whether the row has an instance, and the instance: its own, or the first of its tests that is labelled valid."""
    if "instance" in row:
        return True, row["instance"]
    if "tests" not in row:
        return False, None
    for test in row["tests"] or ():
        if isinstance(test, Mapping) and test.get("valid") is True and "data" in test:
            return True, test["data"]
    raise UnusableRowError("no valid instance")
