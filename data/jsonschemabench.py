"""JSONSchemaBench's schemas and MaskBench's schemas with instances (Geng et al. 2025), in the layout of their
repository: ``data/SPLIT/NAME.json`` holds a schema, ``maskbench/data/SPLIT---NAME.json`` a schema with its tests.

Any instance of a schema is right, so tasks have no gold. Not covered: masks over the instances of MaskBench without a
model (``benchmarks/grammar_masks.py`` times those).
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from data.reader import Reading, Split
from data.rows import UnusableRowError, as_text, require_rows
from data.source import directory_files, hub_rows, is_hub
from envs.errors import ConfigurationError, nearest
from envs.json.compact import minified
from envs.json.schema import compile_schema
from envs.json.task import JsonTask

DATASET = "jsonschemabench"
ORIGIN = "get it from https://github.com/guidance-ai/jsonschemabench, or give hub://epfl-dlab/JSONSchemaBench"
SCHEMA_SPLITS = (
    "Github_easy",
    "Github_hard",
    "Github_medium",
    "Github_trivial",
    "Github_ultra",
    "Glaiveai2K",
    "JsonSchemaStore",
    "Kubernetes",
    "Snowplow",
    "WashingtonPost",
)
"""Folders of ``data/``, and the hub's configurations."""
HUB_SPLIT = "test"
Part = Literal["schemas", "maskbench"]


@dataclass(frozen=True, kw_only=True)
class JsonSchemaBenchReader:
    """Reads schemas to write an instance of, for measuring only; the hub's dataset has a train split, which the reader
    ``schema_instances`` reads.

    A file that is not JSON, and a row whose schema does not compile, is skipped and counted.
    """

    path: str
    """A checkout of the repository, or ``hub://epfl-dlab/JSONSchemaBench`` (its test split; schemas only)."""
    part: Part = "schemas"
    """schemas (``data/``), or maskbench (``maskbench/data/``): also BFCL, JME, MCPspec, Handwritten and Synthesized;
    a schema whose tests hold no valid instance is then skipped and counted."""
    splits: Sequence[str] = ()
    """Names such as Github_easy; empty takes all."""
    max_schema_characters: int | None = None
    """A row whose schema is longer, written without white space, is skipped and counted; null takes all."""

    environment = "json"

    def __post_init__(self) -> None:
        known = get_args(Part)
        if self.part not in known:
            raise ConfigurationError(
                f"{DATASET}: unknown part '{self.part}'{nearest(self.part, known)}; known: {', '.join(known)}"
            )
        if is_hub(self.path) and self.part != "schemas":
            raise ConfigurationError(f"{DATASET}: '{self.path}' holds schemas only; for maskbench {ORIGIN}")
        for split in self.splits if self.part == "schemas" else ():
            if split not in SCHEMA_SPLITS:
                raise ConfigurationError(
                    f"{DATASET}: unknown split '{split}'{nearest(split, SCHEMA_SPLITS)}; "
                    f"known: {', '.join(SCHEMA_SPLITS)}"
                )
        if self.max_schema_characters is not None and self.max_schema_characters < 2:
            raise ConfigurationError(
                f"max_schema_characters is {self.max_schema_characters}; expected at least 2 (the schema {{}}) or null"
            )

    def read(self, split: Split) -> Reading:
        """All usable rows in the order of their names, labelled with their split as ``source``.

        Raises:
            ConfigurationError: the train split is asked for, a folder is missing, or no row is usable.
        """
        if split == "train":
            raise ConfigurationError(
                f"{DATASET} is for measuring; train on schema_instances with path hub://epfl-dlab/JSONSchemaBench"
            )
        tasks: list[JsonTask] = []
        skipped: Counter[str] = Counter()
        for source, name, row in self._rows():
            try:
                tasks.append(self._task(source, name, row))
            except UnusableRowError as reason:
                skipped[str(reason)] += 1
        require_rows(tasks, skipped, f"{DATASET}: {self.part} of '{self.path}'")
        return Reading(tasks=tasks, skipped=skipped)

    def _rows(self) -> Iterable[tuple[str, str, Any]]:
        """Split, name, and the row: a schema, or an object with the schema and its tests. None: no JSON."""
        if is_hub(self.path):
            for split in self.splits or SCHEMA_SPLITS:
                for row in hub_rows(self.path, HUB_SPLIT, split):
                    yield split, str(row["unique_id"]), row["json_schema"]
        elif self.part == "schemas":
            folders = [f"data/{split}" for split in self.splits or SCHEMA_SPLITS]
            for folder in directory_files(self.path, folders, DATASET, ORIGIN):
                for file in sorted(folder.glob("*.json")):
                    yield folder.name, f"{folder.name}---{file.stem}", _content(file)
        else:
            (folder,) = directory_files(self.path, ["maskbench/data"], DATASET, ORIGIN)
            for file in sorted(folder.glob("*.json")):
                split = maskbench_split(file.stem)
                if not self.splits or split in self.splits:
                    yield split, file.stem, _content(file)

    def _task(self, source: str, name: str, row: Any) -> JsonTask:
        if row is None:
            raise UnusableRowError("not JSON")
        if self.part == "maskbench":
            row = _schema_with_instance(row)
        schema = row if isinstance(row, str) else as_text(row, "schema does not compile")
        if compile_schema(schema).defect is not None:
            raise UnusableRowError("schema does not compile")
        if self.max_schema_characters is not None and len(minified(schema)) > self.max_schema_characters:
            raise UnusableRowError("schema too long")
        return JsonTask(id=name, labels={"source": source}, schema=schema)


def maskbench_split(name: str) -> str:
    """The split that a file's name begins with: ``Github_easy---o9938`` and ``BFCL_simple_210`` are of Github_easy and
    BFCL."""
    return name.split("---")[0] if "---" in name else name.split("_")[0]


def _schema_with_instance(row: Any) -> Any:
    if not isinstance(row, Mapping) or "schema" not in row:
        raise UnusableRowError("no schema")
    tests = row.get("tests")
    if not any(isinstance(test, Mapping) and test.get("valid") is True for test in tests or ()):
        raise UnusableRowError("no valid instance")
    return row["schema"]


def _content(file: Path) -> Any:
    """What the file holds; None where that is no JSON, or null."""
    try:
        return json.loads(file.read_bytes())
    except (ValueError, RecursionError):
        return None
