"""WikiSQL: questions to single tables of Wikipedia (Zhong et al. 2017), in the official layout: ``SPLIT.jsonl``,
``SPLIT.tables.jsonl`` and ``SPLIT.db``.

A row's query is {sel, agg, conds}; the gold is the SQL that the official script runs for it: text in conditions in
lower case, numbers read out of text where the column is of numbers. The script binds values by column, so of two
conditions on one column both get the last value; the gold keeps that, or accuracies could not be compared with
published ones.

``correct`` without a test suite is the official execution accuracy, except that rows may come in any order. Not
covered: logical-form accuracy, which compares {sel, agg, conds} and not SQL.
"""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Literal, get_args

from data.reader import Reading, Split
from data.rows import UnusableRowError
from data.source import directory_files, json_lines
from data.sql_rows import OpenedDatabases, require_tasks
from envs.errors import ConfigurationError, nearest
from envs.sql.databases.database import Database
from envs.sql.databases.schema import Table
from envs.sql.schema import read_schema
from envs.sql.task import SqlTask

Part = Literal["dev", "test"]
ORIGIN = "get data.tar.bz2 from https://github.com/salesforce/WikiSQL and unpack it"
AGGREGATIONS = ("", "MAX", "MIN", "COUNT", "SUM", "AVG")
OPERATORS = ("=", ">", "<")
NUMBER = re.compile(r"[-+]?\d*\.\d+|\d+")
EVIDENCE = "All text in the table is in lower case."
"""True of every table; without it an answer could only guess how a value is spelt."""


@dataclass(frozen=True, kw_only=True)
class WikiSqlReader:
    """Reads WikiSQL's questions. Tables are called ``table_...`` and their columns ``col0``, ``col1``, ...; the headers
    are their descriptions. A row with a defect is skipped and counted."""

    path: str
    """The directory that holds the three files of each split (``data/`` of the download)."""
    heldout: Part = "test"
    """dev or test."""

    environment = "sql"

    def __post_init__(self) -> None:
        known = get_args(Part)
        if self.heldout not in known:
            raise ConfigurationError(
                f"wikisql: unknown heldout '{self.heldout}'{nearest(self.heldout, known)}; known: {', '.join(known)}"
            )

    def read(self, split: Split) -> Reading:
        """All usable rows of a split, in their order; labelled with the number of conditions as the difficulty, and
        with the aggregation.

        Raises:
            ConfigurationError: a file is missing or no JSON lines, or no row is usable.
        """
        name = "train" if split == "train" else self.heldout
        files = [f"{name}.jsonl", f"{name}.tables.jsonl", f"{name}.db"]
        questions, table_lines, database_file = directory_files(self.path, files, "wikisql", ORIGIN)
        opened = OpenedDatabases()
        database = Database.at(database_file)
        fault = opened.fault(database)
        tables = {} if fault else {table.name: table for table in read_schema(database)}
        headers = _headers(table_lines)
        tasks: list[SqlTask] = []
        skipped: Counter[str] = Counter()
        for number, row in enumerate(json_lines(questions)):
            try:
                if fault is not None:
                    raise UnusableRowError(fault)
                task = _task(
                    row, f"wikisql-{name}-{number}", database, tables, headers, is_for_training=name == "train"
                )
            except UnusableRowError as reason:
                skipped[str(reason)] += 1
            else:
                tasks.append(task)
        require_tasks(tasks, skipped, opened, f"wikisql: {name} of '{self.path}'")
        return Reading(tasks=tasks, skipped=skipped)


def _headers(file: Path) -> dict[str, tuple[str, ...]]:
    """The headers of each table, by its id."""
    return {
        str(line["id"]): tuple(map(str, line["header"]))
        for line in json_lines(file)
        if isinstance(line, Mapping) and "id" in line and isinstance(line.get("header"), list)
    }


def _task(
    row: Any,
    name: str,
    database: Database,
    tables: Mapping[str, Table],
    headers: Mapping[str, tuple[str, ...]],
    *,
    is_for_training: bool,
) -> SqlTask:
    if not isinstance(row, Mapping) or not isinstance(row.get("question"), str) or not row["question"].strip():
        raise UnusableRowError("no question")
    table_id = str(row.get("table_id"))
    table_name = table_id if table_id.startswith("table") else f"table_{table_id.replace('-', '_')}"
    if table_name not in tables:
        raise UnusableRowError("table missing in the database")
    query = row.get("sql")
    if not isinstance(query, Mapping):
        raise UnusableRowError("no sql")
    gold, conditions = gold_query(query, tables[table_name])
    described = {f"{table_name}.col{number}": header for number, header in enumerate(headers.get(table_id, ()))}
    return SqlTask(
        id=name,
        labels={
            "difficulty": "1 condition" if conditions == 1 else f"{conditions} conditions",
            "aggregation": AGGREGATIONS[query["agg"]] or "none",
        },
        question=row["question"].strip(),
        database=database,
        gold=gold,
        evidence=EVIDENCE,
        descriptions=described,
        tables=(table_name,),
        is_for_training=is_for_training,
    )


def gold_query(query: Mapping[str, Any], table: Table) -> tuple[str, int]:
    """The SQL that the official script runs for {sel, agg, conds}, and how many conditions it has.

    Raises:
        UnusableRowError: it runs none.
    """
    types = {column.name: column.type.lower() for column in table.columns}
    conditions = query.get("conds")
    if not isinstance(conditions, list):
        raise UnusableRowError("sql is not {sel, agg, conds}")
    column = _column(query.get("sel"), types)
    function = _entry(query.get("agg"), AGGREGATIONS)
    sql = f"SELECT {f'{function}({column})' if function else column} AS result FROM {table.name}"
    values: dict[str, str] = {}
    comparisons = []
    for condition in conditions:
        if not isinstance(condition, list) or len(condition) != 3:
            raise UnusableRowError("a condition is not [column, operator, value]")
        name = _column(condition[0], types)
        values[name] = _literal(condition[2], is_number=types[name] == "real")
        comparisons.append((name, _entry(condition[1], OPERATORS)))
    if comparisons:
        sql += " WHERE " + " AND ".join(f"{name} {operator} {values[name]}" for name, operator in comparisons)
    return sql, len(comparisons)


def _entry(index: Any, words: Sequence[str]) -> str:
    if not isinstance(index, int) or index not in range(len(words)):
        raise UnusableRowError("an aggregation or operator that is not known")
    return words[index]


def _column(index: Any, types: Mapping[str, str]) -> str:
    name = f"col{index}"
    if name not in types:
        raise UnusableRowError("a column that the table lacks")
    return name


def _literal(value: Any, *, is_number: bool) -> str:
    """The SQL literal of the value that the official script binds."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise UnusableRowError("a value that is neither text nor number")
    if isinstance(value, str) and not is_number:
        return "'" + value.lower().replace("'", "''") + "'"
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise UnusableRowError("a number that SQLite cannot hold")
    number = _number(value) if isinstance(value, str) else value
    if math.isnan(number):
        return "NULL"  # what SQLite makes of it
    return repr(number) if math.isfinite(number) else f"{'-' if number < 0 else ''}9e999"


def _number(text: str) -> float:
    """The number that a text is, groups of digits parted by commas; else the first that stands in it."""
    try:
        return float(Decimal(text.replace(",", "")))
    except (InvalidOperation, ValueError):  # ValueError: a signalling NaN
        found = NUMBER.search(text.lower())
    if found is None:
        raise UnusableRowError("no number in the value for a column of numbers")
    return float(found[0])
