"""Spider's official test suite (Zhong et al. 2020): an answer counts when it agrees with the gold on every one of the
databases that are distributed for its own.

The databases are read from the disk: ``DIRECTORY/NAME/*.sqlite``. Texts are mended and results compared as the official
script does (``envs.sql.metrics``); limits and seal are those of every other query. The test databases that are built
here, and decide about ``is_correct``, are another matter: ``envs.sql.suite``.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from envs.errors import ConfigurationError
from envs.sql.comparison import Rows
from envs.sql.databases.database import Database
from envs.sql.databases.execution import DatabaseFault, DatabaseFaultError, Execution, QueryResult
from envs.sql.executor.deadline import Deadline, Phase
from envs.sql.executor.job import JudgeJob
from envs.sql.metrics.spider_execution import is_suite_match
from envs.sql.metrics.spider_preparation import is_order_compared, prepare_query

ORIGIN = "get the test suites as https://github.com/taoyds/test-suite-sql-eval says (README, Setting Up)"


class _GoldFailedError(Exception):
    """The gold does not run on a database of its suite."""


class _PredictionFailedError(Exception):
    """The answer does not run on a database of the suite."""


@dataclass(frozen=True, kw_only=True)
class SpiderTestSuite:
    """The official test suites of one worker."""

    directory: str
    """It holds a folder of databases for each of Spider's."""
    run: Callable[[Database, str, Phase], Execution]
    """Runs a query on a database of a suite; ``gold`` or ``query`` is which of the two it is."""
    deadline: Deadline

    def is_match(self, job: JudgeJob) -> bool | None:
        """The official verdict; None where the gold itself does not run.

        Raises:
            DatabaseFaultError: there are no databases, or one of them cannot be read.
            UndecidedError: a comparison became too long.
        """
        databases = suite_databases(self.directory, job.database)
        if not databases:
            raise DatabaseFaultError(_missing(self.directory, [job.database.name]))
        try:
            return is_suite_match(self._results(job, databases), is_ordered=is_order_compared(job.gold))
        except _PredictionFailedError:
            return False
        except _GoldFailedError:
            return None

    def _results(self, job: JudgeJob, databases: Iterable[Database]) -> Iterator[tuple[Rows, Rows]]:
        """What gold and answer return on each database, as far as both run."""
        gold, query = prepare_query(job.gold), prepare_query(job.query)
        for database in databases:
            right = self._rows(database, gold, "gold")
            predicted = self._rows(database, query, "query")
            if right is None:
                raise _GoldFailedError
            if predicted is None:
                raise _PredictionFailedError
            self.deadline.enter("comparison")
            yield right, predicted

    def _rows(self, database: Database, query: str, phase: Phase) -> Rows | None:
        execution = self.run(database, query, phase)
        if isinstance(execution, DatabaseFault):
            raise DatabaseFaultError(execution.message)
        return execution.rows if isinstance(execution, QueryResult) else None


def suite_databases(directory: str, database: Database) -> tuple[Database, ...]:
    """The databases that are distributed for ``database``, by name; none where there is no such folder."""
    folder = Path(directory).expanduser().absolute() / database.name
    return tuple(Database(kind="sqlite", location=str(file)) for file in sorted(folder.glob("*.sqlite")))


def require_suite_directory(directory: str | None) -> None:
    """
    Raises:
        ConfigurationError: there is no such directory; says where to get it.
    """
    if directory is None:
        raise ConfigurationError(
            "sql: the fact 'spider_test_suite' needs environment.options.executor.spider_test_suite, the directory with"
            f" NAME/*.sqlite; {ORIGIN}"
        )
    if not Path(directory).expanduser().is_dir():
        raise ConfigurationError(
            f"sql: spider_test_suite: no directory '{directory}'; expected NAME/*.sqlite in it; {ORIGIN}"
        )


def require_suites(directory: str, databases: Iterable[Database]) -> None:
    """
    Raises:
        ConfigurationError: for one of ``databases`` no test database is there; names all such, and where to get them.
    """
    if lacking := sorted({one.name for one in set(databases) if not suite_databases(directory, one)}):
        raise ConfigurationError(f"sql: {_missing(directory, lacking)}")


def _missing(directory: str, names: list[str]) -> str:
    shown = ", ".join(f"'{name}/*.sqlite'" for name in names[:5])
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"spider_test_suite: '{directory}' lacks {shown}{more}; {ORIGIN}"
