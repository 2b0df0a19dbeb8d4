"""What can be asked of the executor, and what it answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from envs.sql.databases.database import Database
from envs.sql.databases.execution import Execution
from envs.sql.parsing.facts import ParsedFacts
from envs.sql.suite.agreement import Disagreement

Fact = Literal[
    "parsed", "spider_execution", "spider_test_suite", "spider_exact_match", "bird_execution", "soft_f1", "r_ves"
]
"""What can be said of an answer on request: ``parsed``, the agreement of the texts; the others, official metrics."""


@dataclass(frozen=True, kw_only=True)
class ExecuteJob:
    """Run one query and return what came of it: an ``Execution``."""

    database: Database
    query: str


@dataclass(frozen=True, kw_only=True)
class JudgeJob:
    """Run one query beside a gold and say what is to be said of it: a ``Judgement``, or ``Unjudged``."""

    database: Database
    gold: str
    query: str


@dataclass(frozen=True, kw_only=True)
class InspectJob:
    """Run one query and say what it is worth, without its rows: an ``Inspection``, or ``Unjudged``."""

    database: Database
    query: str


@dataclass(frozen=True, kw_only=True)
class PreviewJob:
    """Run one query and return what a reader would look at first: a ``Preview``, or ``Unjudged``."""

    database: Database
    query: str
    rows: int
    """How many rows are wanted."""


@dataclass(frozen=True, kw_only=True)
class ExamineJob:
    """Run one query and say what can be said of it without a gold: a ``Preview`` whose digest is that of
    ``envs.sql.result_digest``, or ``Unjudged``."""

    database: Database
    query: str
    rows: int
    """How many rows are wanted."""
    is_step: bool
    """It is an intermediate query and runs as one, else as an answer does, whatever its result hangs on."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is said of a query beyond right or wrong."""

    parsed: ParsedFacts | None
    """What prediction and gold have in common as text; None where it was not asked for, or the gold has no tree."""
    metrics: Mapping[str, float]
    """The official metrics that were asked for and could be had."""


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """The facts of one query, found by executing it beside its gold."""

    is_correct: bool = False
    """The same result as the gold, on the database and on every database of the test suite."""
    ended_its_worker: bool = False
    """The worker had to be ended with the query: of the gold nothing is said here, nor of what the two share."""
    error: str | None = None
    """A category of ``envs.sql.databases.execution.QueryError``, or ``wrong result``."""
    message: str | None = None
    """The database's own words on the error."""
    is_parsed: bool = False
    is_executed: bool = False
    agrees_on_database: bool = False
    """The same result as the gold on the task's own database, whatever the test suite says."""
    disagreement: Disagreement | None = None
    """Where in the test suite the results first differ; None where they do not, or were not compared."""
    row_count: int | None = None
    """Rows on the task's own database; None when it did not run."""
    names: tuple[str, ...] = ()
    """Tables and ``table.column`` that the query was resolved to, sorted, in lower case."""
    gold_names: tuple[str, ...] = ()
    facts: Facts | None = None
    """What the settings ask for besides; None when that is nothing."""


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """The facts of one query by itself."""

    error: str | None = None
    """A category of ``envs.sql.databases.execution.QueryError``; None when it ran to its end."""
    row_count: int | None = None
    """Rows that it returned; None when it did not run."""
    names: tuple[str, ...] = ()
    """Tables and ``table.column`` that it was resolved to, sorted, in lower case."""
    written_names: tuple[str, ...] = ()
    """Those of ``names`` that stand in it, and not only behind a ``*`` (``envs.sql.parsing.names``)."""
    digest: str | None = None
    """Equal for queries of the same canonical form (``envs.sql.parsing.canonical``); None when it ended its worker."""
    cores: tuple[str, ...] = ()
    """Of it and of the queries inside of it, its own first (``envs.sql.parsing.cores``); empty when they are too many,
    and when it ended its worker."""
    is_informative: bool = False
    """It returned a value that is not NULL, in a result that the data decides (``parsing.data_dependence``)."""


@dataclass(frozen=True, kw_only=True)
class Preview:
    """The head of one query's result, or why it has none."""

    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    """The first rows, each value in SQL's notation, shortened (``envs.sql.executor.preview``)."""
    row_count: int | None = None
    """Rows in all; None when it did not run."""
    error: str | None = None
    """A category of ``envs.sql.databases.execution.QueryError``; None when it ran to its end."""
    message: str | None = None
    """The database's own words on the error."""
    digest: str
    """Equal for queries with the same columns and the same rows in the same order, or the same error and message, in
    every process; of an ``ExamineJob`` as said there."""


@dataclass(frozen=True, kw_only=True)
class Unjudged:
    """Nothing can be said about the query."""

    reason: str


Job = ExecuteJob | JudgeJob | InspectJob | PreviewJob | ExamineJob
Outcome = Execution | Judgement | Inspection | Preview | Unjudged
