"""BIRD: questions over large, real databases, with evidence and column descriptions (Li et al. 2023), in the layouts of
its downloads: train, dev, and the mini-dev of 500 questions.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from data.column_descriptions import Descriptions, bird_descriptions
from data.reader import Reading, Split
from data.source import directory_files, hub_rows, is_hub, json_file
from data.sql_rows import OpenedDatabases, defect, named_database, require_tasks
from envs.errors import ConfigurationError, nearest
from envs.sql.task import SqlTask

Part = Literal["dev", "mini_dev"]


@dataclass(frozen=True, kw_only=True)
class _Layout:
    """How one download is laid out."""

    questions: str
    databases: str
    folders: tuple[str, ...]
    """Where both may lie inside ``path``, as they are unpacked."""
    origin: str
    hub_split: str | None = None
    """The split of the hub's dataset, where it has the questions."""


_LAYOUTS: Mapping[str, _Layout] = {
    "train": _Layout(
        questions="train.json",
        databases="train_databases",
        folders=("train",),
        origin="get train.zip from https://bird-bench.github.io",
    ),
    "dev": _Layout(
        questions="dev.json",
        databases="dev_databases",
        folders=("dev", "dev_20240627"),
        origin="get dev.zip from https://bird-bench.github.io and unpack dev_databases.zip in it",
    ),
    "mini_dev": _Layout(
        questions="mini_dev_sqlite.json",
        databases="dev_databases",
        folders=("MINIDEV", "minidev/MINIDEV"),
        origin="get minidev.zip from https://github.com/bird-bench/mini_dev",
        hub_split="mini_dev_sqlite",
    ),
}


@dataclass(frozen=True, kw_only=True)
class BirdReader:
    """Reads BIRD's questions with their evidence; the held-out split is the official development split or its mini-dev.

    A row without question, query or database name, and a row whose database is missing or cannot be opened, is skipped
    and counted.
    """

    path: str
    """The directory with ``train.json`` and ``train_databases/``, ``dev.json`` and ``dev_databases/``, or
    ``mini_dev_sqlite.json`` and ``dev_databases/``; each pair may also lie in the folder that it is unpacked to:
    ``train/``, ``dev/``, ``dev_20240627/``, ``MINIDEV/``, ``minidev/MINIDEV/``. For mini-dev also
    ``hub://birdsql/bird_mini_dev``, the questions alone."""
    heldout: Part = "dev"
    """dev or mini_dev."""
    databases: str | None = None
    """The directory of the databases, ``NAME/NAME.sqlite`` each, where they do not lie beside the questions."""

    environment = "sql"

    def __post_init__(self) -> None:
        known = get_args(Part)
        if self.heldout not in known:
            raise ConfigurationError(
                f"bird: unknown heldout '{self.heldout}'{nearest(self.heldout, known)}; known: {', '.join(known)}"
            )
        if is_hub(self.path) and (self.databases is None or self.heldout != "mini_dev"):
            raise ConfigurationError(
                f"bird: '{self.path}' holds the questions of mini-dev only; set 'heldout' to mini_dev and 'databases' "
                "to its dev_databases"
            )

    def read(self, split: Split) -> Reading:
        """All usable rows of a split, in their order; labelled with database and, in dev, official difficulty.

        Raises:
            ConfigurationError: the questions or the databases are missing, or no row is usable.
        """
        name = "train" if split == "train" else self.heldout
        rows, databases = self._files(_LAYOUTS[name])
        opened = OpenedDatabases()
        descriptions: dict[str, Descriptions] = {}
        tasks: list[SqlTask] = []
        skipped: Counter[str] = Counter()
        for number, row in enumerate(rows):
            reason = defect(row, ("question", "SQL", "db_id"))
            database = None if reason else named_database(databases, row["db_id"])
            if database is None:
                skipped[reason or "a db_id that is no name"] += 1
                continue
            if fault := opened.fault(database):
                skipped[fault] += 1
                continue
            if row["db_id"] not in descriptions:
                descriptions[row["db_id"]] = bird_descriptions(databases / row["db_id"] / "database_description")
            tasks.append(
                SqlTask(
                    id=f"bird-{name if name == 'mini_dev' else split}-{row.get('question_id', number)}",
                    labels=_labels(row),
                    question=row["question"].strip(),
                    database=database,
                    gold=row["SQL"].strip(),
                    evidence=str(row.get("evidence") or "").strip(),
                    descriptions=descriptions[row["db_id"]],
                    is_for_training=split == "train",
                )
            )
        require_tasks(tasks, skipped, opened, f"bird: {name} of '{self.path}'")
        return Reading(tasks=tasks, skipped=skipped)

    def _files(self, layout: _Layout) -> tuple[Iterable[Any], Path]:
        """The rows, and the directory of the databases."""
        own = None if self.databases is None else Path(self.databases).expanduser().absolute()
        if own is not None and not own.is_dir():
            raise ConfigurationError(f"bird: no directory '{own}'; {layout.origin}")
        if own is not None and is_hub(self.path) and layout.hub_split is not None:
            return hub_rows(self.path, layout.hub_split), own
        root = Path(self.path).expanduser()
        homes = [root / folder for folder in layout.folders if (root / folder).is_dir()]
        names = [layout.questions] + ([] if own else [layout.databases])
        file, *databases = directory_files(str(homes[0] if homes else root), names, "bird", layout.origin)
        return json_file(file, "bird"), own or databases[0].absolute()


def _labels(row: Mapping[str, object]) -> dict[str, str]:
    labels = {"database": str(row["db_id"])}
    if isinstance(row.get("difficulty"), str):
        labels["difficulty"] = str(row["difficulty"])
    return labels
