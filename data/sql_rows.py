"""What the readers of SQL datasets share: a row's defects, and which databases can be asked."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from envs.errors import ConfigurationError
from envs.sql.databases.database import Database
from envs.sql.databases.execution import DatabaseFaultError, ExecutionLimits
from envs.sql.databases.kinds import open_connection
from envs.sql.task import SqlTask


def defect(row: Any, keys: Sequence[str]) -> str | None:
    """Why a row cannot become a task: a key that is missing, or no text; None when it can."""
    for key in keys:
        if not isinstance(row, Mapping) or not isinstance(row.get(key), str) or not row[key].strip():
            return f"no {key}"
    return None


def named_database(home: Path, name: str) -> Database | None:
    """``NAME/NAME.sqlite`` in the directory of a dataset's databases; None for what is no plain name."""
    if Path(name).name != name:
        return None
    return Database(kind="sqlite", location=str(home / name / f"{name}.sqlite"))


class OpenedDatabases:
    """Remembers which databases could be opened, so that each is tried once."""

    def __init__(self) -> None:
        self._faults: dict[Database, str | None] = {}
        self.first_message = ""
        """What the first one that could not be opened said, and how to mend it."""

    def fault(self, database: Database) -> str | None:
        """Why ``database`` cannot be asked, in words that can be counted; None when it can."""
        if database not in self._faults:
            self._faults[database] = self._open(database)
        return self._faults[database]

    def _open(self, database: Database) -> str | None:
        if database.kind != "postgres" and not Path(database.location).is_file():
            self.first_message = self.first_message or f"there is no '{database.location}'"
            return "database missing"
        try:
            open_connection(database, ExecutionLimits()).close()
        except DatabaseFaultError as fault:
            self.first_message = self.first_message or str(fault)
            return "database out of reach" if database.kind == "postgres" else "database corrupt or locked"
        return None


def require_tasks(tasks: Sequence[SqlTask], skipped: Counter[str], opened: OpenedDatabases, subject: str) -> None:
    """
    Raises:
        ConfigurationError: no row became a task; names the reasons.
    """
    if not tasks:
        reasons = "; ".join(f"{count} x {reason}" for reason, count in skipped.most_common(3)) or "it has no rows"
        example = f" ({opened.first_message})" if opened.first_message else ""
        raise ConfigurationError(f"{subject} has no usable row: {reasons}{example}")
