"""Questions and gold queries of one's own, as JSON lines, over SQLite, DuckDB or PostgreSQL databases.

A line is an object:

    {"question": "How many singers are there?", "query": "SELECT count(*) FROM singer",
     "database": "music.duckdb", "evidence": "...", "difficulty": "easy", "id": "q1"}

``question`` and ``query`` are required, ``database`` where the reader's option does not name one for all.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from data.reader import Reading, Split
from data.source import directory_file, json_lines
from data.sql_rows import OpenedDatabases, defect, require_tasks
from envs.errors import ConfigurationError, nearest
from envs.sql.databases.database import Database, DatabaseKind
from envs.sql.dialects import translate
from envs.sql.schema import read_schema
from envs.sql.task import SqlTask

ORIGIN = "write it: rows of your own, one a line, as data/sql_questions.py has them"


@dataclass(frozen=True, kw_only=True)
class SqlQuestionsReader:
    """Reads ``train.jsonl`` and ``heldout.jsonl``. A row with a defect is skipped and counted."""

    path: str
    """The directory that holds the two files."""
    database: str | None = None
    """The database that all rows ask: a file, or ``postgresql://user@host:port/name``. Null where rows name theirs; a
    relative path is looked for in ``path``."""
    dialect: str | None = None
    """The SQL that the gold queries are written in (sqlite, duckdb or postgres), where it is not the database's own:
    they are then translated, so that gold and prediction are always in the same dialect."""

    environment = "sql"

    def __post_init__(self) -> None:
        known = get_args(DatabaseKind)
        if self.dialect is not None and self.dialect not in known:
            raise ConfigurationError(
                f"sql_questions: unknown dialect '{self.dialect}'{nearest(self.dialect, known)}; "
                f"known: {', '.join(known)}"
            )
        if self.database is not None:
            self._database(self.database)

    def read(self, split: Split) -> Reading:
        """All usable rows of a split, in their order.

        Raises:
            ConfigurationError: the file is missing or no JSON, a database is of no known kind, or no row is usable.
        """
        opened = OpenedDatabases()
        tasks: list[SqlTask] = []
        skipped: Counter[str] = Counter()
        file = directory_file(self.path, f"{split}.jsonl", "sql_questions", ORIGIN)
        for number, row in enumerate(json_lines(file)):
            task = self._task(row, f"{split}-{number}", split, opened)
            if isinstance(task, SqlTask):
                tasks.append(task)
            else:
                skipped[task] += 1
        require_tasks(tasks, skipped, opened, f"sql_questions: split '{split}' of '{self.path}'")
        return Reading(tasks=tasks, skipped=skipped)

    def _task(self, row: Any, default_id: str, split: Split, opened: OpenedDatabases) -> SqlTask | str:
        """The task of a row, or the row's defect."""
        required = ("question", "query") if self.database else ("question", "query", "database")
        if (reason := defect(row, required)) is not None:
            return reason
        database = self._database(self.database or row["database"])
        if (fault := opened.fault(database)) is not None:
            return fault
        gold = row["query"].strip()
        if self.dialect not in (None, database.dialect):
            try:
                gold = translate(gold, str(self.dialect), database.dialect, read_schema(database))
            except ValueError:
                return f"a query that cannot be translated from {self.dialect} to {database.dialect}"
        return SqlTask(
            id=str(row.get("id", default_id)),
            labels=_labels(row, database),
            question=row["question"].strip(),
            database=database,
            gold=gold,
            evidence=str(row.get("evidence") or "").strip(),
            is_for_training=split == "train",
        )

    def _database(self, location: str) -> Database:
        if "://" in location or Path(location).expanduser().is_absolute():
            return Database.at(location)
        return Database.at(Path(self.path).expanduser() / location)


def _labels(row: Mapping[str, Any], database: Database) -> dict[str, str]:
    labels = {"database": database.name}
    if isinstance(row.get("difficulty"), str):
        labels["difficulty"] = row["difficulty"]
    return labels
