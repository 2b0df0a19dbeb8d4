"""Spider: questions over databases of many domains, with gold queries (Yu et al. 2018), in the official layout.

Its variants with other questions are in ``data.spider_variants``.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data.column_descriptions import Descriptions, spider_descriptions
from data.reader import Reading, Split
from data.source import directory_files, hub_rows, is_hub, json_file
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
ORIGIN = "get it from https://yale-lily.github.io/spider"


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
        rows, home = self._files(split)
        questions = SpiderQuestions(
            dataset="spider",
            rows=rows,
            homes=[home],
            descriptions={} if is_hub(self.path) else spider_descriptions(Path(self.path).expanduser() / "tables.json"),
            subject=f"spider: split '{split}' of '{self.path}'",
        )
        return read_questions(questions, split)

    def _files(self, split: Split) -> tuple[Iterable[Any], Path]:
        """The rows, and the directory of the databases."""
        own = None if self.databases is None else Path(self.databases).expanduser().absolute()
        if own is not None and not own.is_dir():
            raise ConfigurationError(f"spider: no directory '{own}'; expected the databases, NAME/NAME.sqlite each")
        if own is not None and is_hub(self.path):
            return hub_rows(self.path, HUB_SPLITS[split]), own
        names = [OFFICIAL_FILES[split]] + ([] if own else ["database"])
        file, *databases = directory_files(self.path, names, "spider", ORIGIN)
        return json_file(file, "spider"), own or databases[0].absolute()


@dataclass(frozen=True, kw_only=True)
class SpiderQuestions:
    """Rows in Spider's form, and what makes tasks of them."""

    dataset: str
    """The beginning of the tasks' ids."""
    rows: Iterable[Any]
    homes: Sequence[Path]
    """Directories of databases, ``NAME/NAME.sqlite`` each. The first that has one counts."""
    descriptions: Mapping[str, Descriptions]
    """What tables and columns mean, by database."""
    subject: str
    """What is read, for messages."""
    question_key: str = "question"
    labels: Mapping[str, str] = field(default_factory=dict)
    """Further labels: name -> key of the row."""


def read_questions(questions: SpiderQuestions, split: Split) -> Reading:
    """The tasks of all usable rows, in their order; labelled with database, official difficulty and what is asked for.

    Raises:
        ConfigurationError: no row is usable.
    """
    opened = OpenedDatabases()
    schemas: dict[Database, SpiderSchema] = {}
    tasks: list[SqlTask] = []
    skipped: Counter[str] = Counter()
    for number, row in enumerate(questions.rows):
        reason = defect(row, (questions.question_key, "query", "db_id"))
        database = None if reason else _first_database(questions.homes, row["db_id"])
        if database is None:
            skipped[reason or "a db_id that is no name"] += 1
        elif fault := opened.fault(database):
            skipped[fault] += 1
        else:
            if database not in schemas:
                schemas[database] = schema_from_tables(read_schema(database))
            labels = {"database": row["db_id"], "difficulty": grade(row["query"], schemas[database])}
            labels |= {label: str(row[key]) for label, key in questions.labels.items() if row.get(key) is not None}
            tasks.append(
                SqlTask(
                    id=f"{questions.dataset}-{split}-{number}",
                    labels=labels,
                    question=row[questions.question_key].strip(),
                    database=database,
                    gold=row["query"].strip(),
                    descriptions=questions.descriptions.get(row["db_id"], {}),
                    is_for_training=split == "train",
                )
            )
    require_tasks(tasks, skipped, opened, questions.subject)
    return Reading(tasks=tasks, skipped=skipped)


def _first_database(homes: Sequence[Path], name: str) -> Database | None:
    """The database in the first home that has it, else where the last home would have it; None for what is no name."""
    candidates = [database for home in homes if (database := named_database(home, name)) is not None]
    found = (database for database in candidates if Path(database.location).is_file())
    return next(found, candidates[-1] if candidates else None)


def grade(query: str, schema: SpiderSchema) -> str:
    """The official difficulty of a gold query: easy, medium, hard or extra; ``unknown`` where it is outside the
    official grammar."""
    try:
        return difficulty(parse_query(query, schema))
    except SpiderSyntaxError:
        return "unknown"
