"""Spider: questions over databases of many domains, with gold queries (Yu et al. 2018), in the official layout."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.reader import Reading, Split
from data.source import directory_file, hub_rows, is_hub
from data.spider_hardness import hardness
from envs.errors import ConfigurationError
from envs.sql.executor import DatabaseFault, ExecutionLimits, execute
from envs.sql.task import SqlTask

OFFICIAL_FILES: dict[Split, str] = {"train": "train_spider.json", "heldout": "dev.json"}
HUB_SPLITS: dict[Split, str] = {"train": "train", "heldout": "validation"}


@dataclass(frozen=True, kw_only=True)
class SpiderReader:
    """Reads Spider's questions; the held-out split is the official development split.

    Any dataset in the same layout can be read. A row without question, query or database name, and a row whose
    database is missing or cannot be opened, is skipped and counted.
    """

    path: str
    """The directory that holds train_spider.json and dev.json, or ``hub://xlangai/spider`` for the questions alone."""
    databases: str | None = None
    """The directory of the databases, ``NAME/NAME.sqlite`` each; ``database`` inside ``path`` by default."""

    environment = "sql"

    def __post_init__(self) -> None:
        if is_hub(self.path) and self.databases is None:
            raise ConfigurationError(
                f"spider: '{self.path}' holds questions only; set 'databases' to the directory with NAME/NAME.sqlite"
            )

    def read(self, split: Split) -> Reading:
        """All usable rows of a split, in their order; labelled with database and official difficulty.

        Raises:
            ConfigurationError: the questions or the databases are missing, or no row is usable.
        """
        rows = self._rows(split)
        home = self._databases()
        tasks: list[SqlTask] = []
        skipped: Counter[str] = Counter()
        faults: dict[str, str | None] = {}
        for number, row in enumerate(rows):
            reason = _defect(row)
            if reason is None:
                name = row["db_id"]
                if name not in faults:
                    faults[name] = _fault(home / name / f"{name}.sqlite")
                reason = faults[name]
            if reason is not None:
                skipped[reason] += 1
                continue
            tasks.append(
                SqlTask(
                    id=f"spider-{split}-{number}",
                    labels={"database": name, "difficulty": hardness(row["query"])},
                    question=row["question"].strip(),
                    database=home / name / f"{name}.sqlite",
                    gold=row["query"].strip(),
                )
            )
        if not tasks:
            reasons = "; ".join(f"{count} x {reason}" for reason, count in skipped.most_common(3)) or "it has no rows"
            raise ConfigurationError(f"spider: no row of split '{split}' of '{self.path}' is usable: {reasons}")
        return Reading(tasks=tasks, skipped=skipped)

    def _rows(self, split: Split) -> Iterable[Any]:
        if is_hub(self.path):
            return hub_rows(self.path, HUB_SPLITS[split])
        file = directory_file(self.path, OFFICIAL_FILES[split], "spider")
        try:
            rows = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ConfigurationError(f"spider: '{file}' is not JSON ({error})") from error
        if not isinstance(rows, list):
            raise ConfigurationError(f"spider: '{file}' holds a {type(rows).__name__}; expected a list of rows")
        return rows

    def _databases(self) -> Path:
        if self.databases is None:
            return directory_file(self.path, "database", "spider").absolute()
        home = Path(self.databases).expanduser().absolute()
        if not home.is_dir():
            raise ConfigurationError(f"spider: no directory '{home}'; expected the databases, NAME/NAME.sqlite each")
        return home


def _defect(row: Any) -> str | None:
    for key in ("question", "query", "db_id"):
        if not isinstance(row, Mapping) or not isinstance(row.get(key), str) or not row[key].strip():
            return f"no {key}"
    return None if Path(row["db_id"]).name == row["db_id"] else "a db_id that is no name"


def _fault(database: Path) -> str | None:
    """Why ``database`` cannot be asked; None when it can."""
    if not database.is_file():
        return "database missing"
    opening = execute(database, "SELECT count(*) FROM sqlite_master", ExecutionLimits())
    return "database corrupt or locked" if isinstance(opening, DatabaseFault) else None
