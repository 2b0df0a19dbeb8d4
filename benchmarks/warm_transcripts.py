"""Right answers to training tasks, written out as a model would have said them: what ``warm_model.py`` teaches.

SQL, in the layout of ReEx-SQL (Dai et al. 2025, arXiv 2505.12768): which tables and columns matter, none to two queries
of exploration with the environment's own answers, then the gold. The exploration is made from the gold by rule, and
drawn anew for every transcript, so that a model learns to explore in more than one way (ours). GSM8K: the official
solution without its calculator marks, and the answer in its box.

Whether a transcript is right is for the environment to judge, not said here.
"""

import random
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from data.gsm8k import read_problems
from envs.environment import Environment
from envs.math.task import MathTask
from envs.sql.schema import read_schema
from envs.sql.task import SqlTask
from envs.transcript import Segment, Transcript

CALCULATOR = re.compile(r"<<[^>]*>>")
STEPS = (0, 1, 1, 1, 1, 1, 2)
"""How many queries a transcript explores with: one of these, drawn evenly."""
SHOWN_ROWS = 3
"""LIMIT of the queries that look at rows."""
THOUGHTS = (
    "I need {columns} from {tables}.",
    "The answer is in {tables}: {columns}.",
    "Look at {tables}. What counts: {columns}.",
)


def gsm8k_transcripts(path: str, tasks: Sequence[MathTask]) -> list[Transcript]:
    """One transcript a task, from the official training file in the directory ``path``."""
    problems, _ = read_problems(str(Path(path)), "main", "train")
    solutions = {problem.id: CALCULATOR.sub("", problem.solution) for problem in problems}
    return [Transcript.of(f"{solutions[task.id]}\n\\boxed{{{task.gold}}}") for task in tasks]


def sql_transcript(environment: Environment[SqlTask], task: SqlTask, draw: random.Random) -> Transcript | None:
    """One transcript of a task, with queries that were run; None where sqlglot cannot read the gold.

    Args:
        environment: answers the queries; its tags are think, intermediate_sql, result and final_sql.
        task: of the training split.
        draw: decides what is explored.
    """
    columns_of = {table.name.lower(): [column.name for column in table.columns] for table in read_schema(task.database)}
    try:
        gold = sqlglot.parse_one(task.gold.strip().rstrip(";"), read="sqlite")
    except SqlglotError:
        return None
    _quote_strings(gold, {name.lower() for names in columns_of.values() for name in names})
    answer = gold.sql(dialect="sqlite")
    segments: list[Segment] = []
    text = f"<think>{_thought(gold, draw)}</think>\n"
    for query in _explorations(gold, answer, columns_of, draw)[: draw.choice(STEPS)]:
        segments.append(Segment(author="model", text=f"{text}<intermediate_sql>{query}</intermediate_sql>"))
        observation = environment.observe(task, Transcript(segments=tuple(segments)))
        if observation is None or observation.ends_episode:
            return None
        segments.append(Segment(author="environment", text=observation.text))
        text = ""
    segments.append(Segment(author="model", text=f"{text}<final_sql>{answer}</final_sql>"))
    return Transcript(segments=tuple(segments))


def _quote_strings(gold: exp.Expression, columns: set[str]) -> None:
    """Writes strings that stand in double quotes, as Spider has them, in single ones."""
    for column in list(gold.find_all(exp.Column)):
        name = column.this
        if isinstance(name, exp.Identifier) and name.quoted and not column.table and name.name.lower() not in columns:
            column.replace(exp.Literal.string(name.name))


def _thought(gold: exp.Expression, draw: random.Random) -> str:
    tables = dict.fromkeys(table.name for table in gold.find_all(exp.Table))
    columns = dict.fromkeys(column.name for column in gold.find_all(exp.Column))
    said = draw.choice(THOUGHTS)
    return said.format(tables=" and ".join(tables), columns=", ".join(columns) or "the number of rows")


def _explorations(
    gold: exp.Expression, answer: str, columns_of: dict[str, list[str]], draw: random.Random
) -> list[str]:
    """Different queries about what the gold reads, in random order; what looks for values comes first more often."""
    weighted = dict(_candidates(gold, columns_of))
    weighted.pop(answer, None)
    # The order in which things of these weights are drawn without replacement (Efraimidis and Spirakis 2006).
    return sorted(weighted, key=lambda query: draw.random() ** (1 / weighted[query]), reverse=True)


def _candidates(gold: exp.Expression, columns_of: dict[str, list[str]]) -> Iterator[tuple[str, float]]:
    """Queries and their weights."""
    for select in gold.find_all(exp.Select):
        source = select.args.get("from") or select.args.get("from_")
        if source is None or select.find_ancestor(exp.Subquery) and not isinstance(source.this, exp.Table):
            continue
        joins = select.args.get("joins") or []
        tables = [part.this for part in (source, *joins) if isinstance(part.this, exp.Table)]
        if len(tables) < 1 + len(joins):
            continue
        own = {table.alias_or_name.lower(): table.name for table in tables}
        columns = [column for column in select.find_all(exp.Column) if column.parent_select is select]
        yield from _row_looks(select, source, joins, columns)
        for table in tables:
            yield f"SELECT COUNT(*) FROM {table.name}", 0.5
        for column in columns:
            table = own.get(column.table.lower()) or _holder(column.name, list(own.values()), columns_of)
            if table is not None:
                yield from _value_looks(column, table)


def _row_looks(
    select: exp.Select, source: exp.Expression, joins: Sequence[exp.Expression], columns: Sequence[exp.Column]
) -> Iterator[tuple[str, float]]:
    """The rows that the gold reads, before it filters and groups them; and as it filters them."""
    names = list(dict.fromkeys(column.sql(dialect="sqlite") for column in columns)) or ["*"]
    rows = " ".join(part.sql(dialect="sqlite") for part in (source, *joins))
    yield f"SELECT {', '.join(names[:4])} {rows} LIMIT {SHOWN_ROWS}", 2.0
    where = select.args.get("where")
    if where is not None and where.find(exp.Select) is None:
        yield f"SELECT COUNT(*) {rows} {where.sql(dialect='sqlite')}", 1.0


def _value_looks(column: exp.Column, table: str) -> Iterator[tuple[str, float]]:
    """The values of a column that is compared with a literal, or that orders the rows."""
    name = column.this.sql(dialect="sqlite")
    parent = column.parent
    if isinstance(parent, exp.Binary) and isinstance(parent.expression, exp.Literal):
        yield f"SELECT DISTINCT {name} FROM {table} LIMIT {SHOWN_ROWS}", 2.0
        words = str(parent.expression.this).strip("%").split()
        if parent.expression.is_string and words and words[0].isalnum():
            yield f"SELECT DISTINCT {name} FROM {table} WHERE {name} LIKE '%{words[0]}%' LIMIT {SHOWN_ROWS}", 2.0
    elif isinstance(parent, exp.Ordered):
        yield f"SELECT MIN({name}), MAX({name}) FROM {table}", 1.0


def _holder(column: str, tables: Sequence[str], columns_of: dict[str, list[str]]) -> str | None:
    """The first of ``tables`` that has the column."""
    holds = (table for table in tables if column.lower() in map(str.lower, columns_of.get(table.lower(), ())))
    return next(holds, None)
