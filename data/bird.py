"""BIRD: questions over large, real databases, with evidence and column descriptions (Li et al. 2023), in the layout of
its download.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from data.column_descriptions import Descriptions, bird_descriptions
from data.reader import Reading, Split
from data.source import directory_file, json_file
from data.sql_rows import OpenedDatabases, defect, named_database, require_tasks
from envs.sql.task import SqlTask

OFFICIAL_NAMES: dict[Split, str] = {"train": "train", "heldout": "dev"}


@dataclass(frozen=True, kw_only=True)
class BirdReader:
    """Reads BIRD's questions; the held-out split is the official development split.

    A row without question, query or database name, and a row whose database is missing or cannot be opened, is skipped
    and counted.
    """

    path: str
    """The directory with ``train.json``, ``train_databases/``, ``dev.json`` and ``dev_databases/``; each pair may also
    lie in a folder ``train/`` or ``dev/`` of its own, as they are when unpacked."""

    environment = "sql"

    def read(self, split: Split) -> Reading:
        """All usable rows of a split, in their order; labelled with database and, in dev, official difficulty.

        Raises:
            ConfigurationError: the questions or the databases are missing, or no row is usable.
        """
        name = OFFICIAL_NAMES[split]
        own = Path(self.path).expanduser() / name
        home = str(own) if own.is_dir() else self.path
        rows = json_file(directory_file(home, f"{name}.json", "bird"), "bird")
        databases = directory_file(home, f"{name}_databases", "bird").absolute()
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
                    id=f"bird-{split}-{row.get('question_id', number)}",
                    labels=_labels(row),
                    question=row["question"].strip(),
                    database=database,
                    gold=row["SQL"].strip(),
                    evidence=str(row.get("evidence") or "").strip(),
                    descriptions=descriptions[row["db_id"]],
                    is_for_training=split == "train",
                )
            )
        require_tasks(tasks, skipped, opened, f"bird: split '{split}' of '{self.path}'")
        return Reading(tasks=tasks, skipped=skipped)


def _labels(row: Mapping[str, object]) -> dict[str, str]:
    labels = {"database": str(row["db_id"])}
    if isinstance(row.get("difficulty"), str):
        labels["difficulty"] = str(row["difficulty"])
    return labels
