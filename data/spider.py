"""Spider: questions over databases of many domains, with gold queries (Yu et al. 2018), in the official layout."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.column_descriptions import Descriptions, spider_descriptions
from data.reader import Reading, Split
from data.source import directory_file, hub_rows, is_hub, json_file
from data.sql_rows import OpenedDatabases, defect, named_database, require_tasks
from envs.errors import ConfigurationError
from envs.sql.databases.database import Database
from envs.sql.metrics.spider_difficulty import difficulty
from envs.sql.metrics.spider_parser import parse_query
from envs.sql.metrics.spider_schema import SpiderSchema, schema_from_tables
from envs.sql.metrics.spider_tokens import SpiderSyntaxError
from envs.sql.schema import read_schema
from envs.sql.task import SqlTask

OFFICIAL_FILES: dict[Split, str] = {"train": "train_spider.json", "heldout": "dev.json"}
HUB_SPLITS: dict[Split, str] = {"train": "train", "heldout": "validation"}


@dataclass(frozen=True, kw_only=True)
class SpiderReader:
    """Reads Spider's questions; the held-out split is the official development split.

    Any dataset in the same layout can be read. A row without question, query or database name, and a row whose
    database is missing or cannot be opened, is skipped and counted. The readable names of tables.json, where there is
    one, become the descriptions of columns.
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
        descriptions = self._descriptions()
        opened = OpenedDatabases()
        schemas: dict[Database, SpiderSchema] = {}
        tasks: list[SqlTask] = []
        skipped: Counter[str] = Counter()
        for number, row in enumerate(rows):
            reason = defect(row, ("question", "query", "db_id"))
            database = None if reason else named_database(home, row["db_id"])
            if database is None:
                skipped[reason or "a db_id that is no name"] += 1
            elif fault := opened.fault(database):
                skipped[fault] += 1
            else:
                if database not in schemas:
                    schemas[database] = schema_from_tables(read_schema(database))
                tasks.append(
                    SqlTask(
                        id=f"spider-{split}-{number}",
                        labels={"database": row["db_id"], "difficulty": grade(row["query"], schemas[database])},
                        question=row["question"].strip(),
                        database=database,
                        gold=row["query"].strip(),
                        descriptions=descriptions.get(row["db_id"], {}),
                        is_for_training=split == "train",
                    )
                )
        require_tasks(tasks, skipped, opened, f"spider: split '{split}' of '{self.path}'")
        return Reading(tasks=tasks, skipped=skipped)

    def _rows(self, split: Split) -> Iterable[Any]:
        if is_hub(self.path):
            return hub_rows(self.path, HUB_SPLITS[split])
        return json_file(directory_file(self.path, OFFICIAL_FILES[split], "spider"), "spider")

    def _databases(self) -> Path:
        if self.databases is None:
            return directory_file(self.path, "database", "spider").absolute()
        home = Path(self.databases).expanduser().absolute()
        if not home.is_dir():
            raise ConfigurationError(f"spider: no directory '{home}'; expected the databases, NAME/NAME.sqlite each")
        return home

    def _descriptions(self) -> dict[str, Descriptions]:
        return {} if is_hub(self.path) else spider_descriptions(Path(self.path).expanduser() / "tables.json")


def grade(query: str, schema: SpiderSchema) -> str:
    """The official difficulty of a gold query: easy, medium, hard or extra; ``unknown`` where it is outside the
    official grammar."""
    try:
        return difficulty(parse_query(query, schema))
    except SpiderSyntaxError:
        return "unknown"
