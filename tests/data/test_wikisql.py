"""Reading WikiSQL: its three files a split, and the SQL that its own script would run."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from data.registry import load_tasks
from data.rows import UnusableRowError
from data.wikisql import WikiSqlReader, gold_query
from envs.errors import ConfigurationError
from envs.sql.databases.database import Database
from envs.sql.databases.schema import Column, Table
from envs.sql.environment import SqlEnvironment
from envs.sql.executor.settings import ExecutorSettings
from envs.sql.grammar import make_grammar
from envs.sql.task import SqlTask
from envs.transcript import Transcript

QUESTION = {"phase": 1, "table_id": "1-10-2", "question": "Who is it?", "sql": {"sel": 0, "agg": 0, "conds": []}}


def asked(conditions: list[Any], *, selected: int = 0, aggregation: int = 0) -> dict[str, Any]:
    return {**QUESTION, "sql": {"sel": selected, "agg": aggregation, "conds": conditions}}


def make_wikisql(home: Path, rows: list[Any], name: str = "test") -> None:
    """The official layout: two tables, text in lower case."""
    (home / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    lines = [{"id": "1-10-2", "header": ["Player's name", "Points"]}, {"id": "2-1", "header": ["Town"]}]
    (home / f"{name}.tables.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with closing(sqlite3.connect(home / f"{name}.db")) as connection:
        connection.execute("CREATE TABLE table_1_10_2 (col0 text, col1 real)")
        connection.execute("CREATE TABLE table_2_1 (col0 text)")
        connection.execute("INSERT INTO table_1_10_2 VALUES ('o''hara', 1200), ('ada', 7.5), ('ben', 7.5)")
        connection.execute("INSERT INTO table_2_1 VALUES ('oslo')")
        connection.commit()


def environment() -> SqlEnvironment:
    return SqlEnvironment(sample_values=0, executor=ExecutorSettings(suite=None, workers=1))


def loaded(path: Path) -> list[SqlTask]:
    reading = load_tasks(WikiSqlReader(path=str(path)), environment(), "heldout")
    assert not reading.skipped
    return [task for task in reading.tasks if isinstance(task, SqlTask)]


def test_a_row_becomes_a_task_over_its_one_table(tmp_path: Path) -> None:
    make_wikisql(tmp_path, [asked([[0, 0, "O'Hara"], [1, 1, "1,000"]], selected=1, aggregation=3)])
    (task,) = loaded(tmp_path)
    assert task.id == "wikisql-test-0"
    assert task.gold == ("SELECT COUNT(col1) AS result FROM table_1_10_2 WHERE col0 = 'o''hara' AND col1 > 1000.0")
    assert task.labels == {"difficulty": "2 conditions", "aggregation": "COUNT"}
    assert task.database == Database.at(tmp_path / "test.db") and task.tables == ("table_1_10_2",)
    prompt = environment().prompt(task)[1]["content"]
    assert "col0 TEXT,  -- Player's name" in prompt and "table_2_1" not in prompt and "more tables" not in prompt
    assert "'ada'" not in prompt and "lower case" in prompt


def test_the_grammar_knows_the_one_table_alone(tmp_path: Path) -> None:
    make_wikisql(tmp_path, [QUESTION])
    (task,) = loaded(tmp_path)
    source = make_grammar(task.database, task.tables).source
    assert "table_1_10_2" in source and "table_2_1" not in source
    assert "table_2_1" in make_grammar(task.database).source
    grammar = environment().grammar(task)
    assert grammar is not None and "table_2_1" not in str(grammar)


@pytest.mark.parametrize(
    ("answer", "is_correct"),
    [
        ("SELECT col0 FROM table_1_10_2 WHERE col1 = 7.5", True),
        ("SELECT col0 FROM table_1_10_2 WHERE col1 < 100 ORDER BY col0 DESC", True),
        ("SELECT col0 FROM table_1_10_2", False),
        ("SELECT col0, col1 FROM table_1_10_2 WHERE col1 = 7.5", False),
        ("SELECT name FROM table_1_10_2", False),
    ],
)
def test_correct_is_the_same_result_on_the_database(tmp_path: Path, answer: str, is_correct: bool) -> None:
    make_wikisql(tmp_path, [asked([[1, 0, "7.5"]])])
    (task,) = loaded(tmp_path)
    (verdict,) = environment().judge([(task, Transcript.of(answer))])
    assert verdict.unjudged is None and verdict.is_correct == is_correct


TABLE = Table(
    name="table_1",
    columns=tuple(
        Column(name=f"col{number}", type=type_name, is_primary_key=False, is_nullable=True)
        for number, type_name in enumerate(("TEXT", "REAL"))
    ),
    foreign_keys=(),
)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ([0, 0, "New YORK"], "col0 = 'new york'"),
        ([0, 0, 1998], "col0 = 1998"),
        ([0, 2, "7"], "col0 < '7'"),
        ([1, 0, "1,234,567"], "col1 = 1234567.0"),
        ([1, 1, "-3"], "col1 > -3.0"),
        ([1, 1, "about -3.5 m"], "col1 > -3.5"),
        ([1, 1, "ca. 12 (5)"], "col1 > 12.0"),
        ([1, 0, 4], "col1 = 4"),
        ([1, 0, "nan"], "col1 = NULL"),
        ([1, 1, "-inf"], "col1 > -9e999"),
    ],
)
def test_values_are_those_that_the_official_script_binds(condition: list[Any], expected: str) -> None:
    sql, count = gold_query({"sel": 1, "agg": 5, "conds": [condition]}, TABLE)
    assert (sql, count) == (f"SELECT AVG(col1) AS result FROM table_1 WHERE {expected}", 1)


def test_of_two_conditions_on_one_column_both_get_the_last_value_as_officially() -> None:
    sql, count = gold_query({"sel": 0, "agg": 0, "conds": [[1, 1, 5], [1, 2, 9]]}, TABLE)
    assert (sql, count) == ("SELECT col0 AS result FROM table_1 WHERE col1 > 9 AND col1 < 9", 2)


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ({"sel": 0, "agg": 0}, "not {sel, agg, conds}"),
        ({"sel": 0, "agg": 6, "conds": []}, "not known"),
        ({"sel": 0, "agg": 1.0, "conds": []}, "not known"),
        ({"sel": 2, "agg": 0, "conds": []}, "lacks"),
        ({"sel": 0, "agg": 0, "conds": [[0, 3, "x"]]}, "not known"),
        ({"sel": 0, "agg": 0, "conds": [[0, 0]]}, "a condition"),
        ({"sel": 0, "agg": 0, "conds": [[0, 0, None]]}, "neither text nor number"),
        ({"sel": 0, "agg": 0, "conds": [[0, 0, 2**63]]}, "cannot hold"),
        ({"sel": 0, "agg": 0, "conds": [[1, 0, "many"]]}, "no number"),
        ({"sel": 0, "agg": 0, "conds": [[1, 0, "snan"]]}, "no number"),
    ],
)
def test_what_the_official_script_could_not_run_is_refused(query: dict[str, Any], reason: str) -> None:
    with pytest.raises(UnusableRowError, match=reason):
        gold_query(query, TABLE)


def test_bad_rows_are_skipped_and_counted(tmp_path: Path) -> None:
    rows = [QUESTION, {**QUESTION, "question": " "}, {**QUESTION, "table_id": "9-9"}, {**QUESTION, "sql": None}, 5]
    make_wikisql(tmp_path, rows, "train")
    reading = WikiSqlReader(path=str(tmp_path)).read("train")
    (task,) = reading.tasks
    assert isinstance(task, SqlTask) and task.is_for_training and task.labels["aggregation"] == "none"
    assert reading.skipped == {"no question": 2, "table missing in the database": 1, "no sql": 1}


def test_what_is_missing_or_broken_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        WikiSqlReader(path=str(tmp_path), heldout="dev").read("heldout")
    assert "lacks 'dev.jsonl', 'dev.tables.jsonl', 'dev.db'; get data.tar.bz2 from https://" in str(caught.value)
    make_wikisql(tmp_path, [QUESTION])
    (tmp_path / "test.db").write_bytes(b"no database" * 100)
    with pytest.raises(ConfigurationError, match="1 x database corrupt or locked"):
        WikiSqlReader(path=str(tmp_path)).read("heldout")
    with pytest.raises(ConfigurationError, match="unknown heldout 'tst'; did you mean 'test'"):
        WikiSqlReader(path=str(tmp_path), heldout="tst")  # type: ignore[arg-type]
