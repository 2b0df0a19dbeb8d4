"""The chat messages that open an SQL task: what to do, the database's schema, the question."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from envs.layout import Tags, instruction, step_instruction
from envs.sql.databases.schema import Table
from envs.sql.parsing.names import used_names
from envs.sql.relevance import relevances
from envs.sql.schema import Samples, read_schema, sample_values
from envs.sql.schema_text import render_tables
from envs.sql.task import SqlTask
from envs.token_counter import TokenCounter
from envs.transcript import Message

_PRODUCTS = {"sqlite": "SQLite", "duckdb": "DuckDB", "postgres": "PostgreSQL"}
_INSTRUCTIONS = (
    "You write {product} queries. Answer the question with one SELECT statement over the schema below. "
    "Return exactly the columns that the question asks for. {reply}"
)
RELEVANCE_SAMPLES = 20
"""Values of each column that are looked for in the question when tables have to be left out."""

_BETWEEN_TABLES = "\n\n"


@dataclass(frozen=True, kw_only=True)
class SchemaBudget:
    """What the schema may take of a prompt."""

    samples: int
    """Values of each column that are shown."""
    tokens: int | None
    """How long it may be; None for any length."""
    keeps_gold_tables: bool
    """In training tasks the tables that the gold reads stay, whatever the budget."""


def make_prompt(
    task: SqlTask, budget: SchemaBudget, count_tokens: TokenCounter, tags: Tags, *, max_steps: int
) -> list[Message]:
    """The system message with the instructions, then the user's with schema, evidence and question.

    Args:
        tags: what the answer is to be laid out in. Steps are asked for where they are answered (``tags.observation``).
        max_steps: how many steps are answered.

    Raises:
        ConfigurationError: the database cannot be read.
    """
    parts = [render_schema(task, budget, count_tokens)]
    if task.evidence:
        parts.append(f"Evidence: {task.evidence}")
    parts.append(f"Question: {task.question}")
    product = _PRODUCTS[task.database.kind]
    return [
        {"role": "system", "content": _INSTRUCTIONS.format(product=product, reply=_reply(tags, max_steps))},
        {"role": "user", "content": "\n\n".join(parts)},
    ]


def _reply(tags: Tags, max_steps: int) -> str:
    steps = step_instruction(tags, purpose="run queries of your own", result="its result", most=max_steps)
    asked = instruction(tags, answer="query", steps=steps)
    if not asked:
        return "Reply with the query alone, without an explanation."
    if tags.answer is None:
        return f"{asked} Then reply with the query alone, without an explanation."
    return f"{asked} Write nothing outside of the tags."


def render_schema(task: SqlTask, budget: SchemaBudget, count_tokens: TokenCounter) -> str:
    """The schema within its budget. The tables least relevant to the question are left out first, and the text says how
    many; one table always stays.

    Raises:
        ConfigurationError: the database cannot be read.
    """
    tables = read_schema(task.database, task.tables)
    samples = sample_values(task.database, budget.samples, task.tables)
    text = _text(tables, len(tables), samples, task)
    if budget.tokens is None or count_tokens(text) <= budget.tokens:
        return text
    protected = _protected(task, tables, budget)
    for kept in _shrinking(tables, _by_relevance(tables, task), protected):
        text = _text(kept, len(tables), samples, task)
        # Table by table, so that those that stay are counted once. Together they have no more tokens than apart.
        if sum(_count(count_tokens, part) for part in text.split(_BETWEEN_TABLES)) <= budget.tokens:
            break
    return text


@lru_cache(maxsize=16_384)
def _count(count_tokens: TokenCounter, part: str) -> int:
    return count_tokens(part + _BETWEEN_TABLES)


def _text(shown: Sequence[Table], of: int, samples: Samples, task: SqlTask) -> str:
    texts = [*render_tables(shown, samples, task.descriptions, task.database.dialect).values()]
    if len(shown) < of:
        texts.append(f"-- {of - len(shown)} more tables are not shown.")
    return _BETWEEN_TABLES.join(texts)


def _protected(task: SqlTask, tables: Sequence[Table], budget: SchemaBudget) -> frozenset[str]:
    """Names, in lower case, of the tables that must stay. All of them where the gold cannot be parsed."""
    if not (task.is_for_training and budget.keeps_gold_tables):
        return frozenset()
    schema = {table.name: tuple(column.name for column in table.columns) for table in tables}
    names = {name.lower() for name in schema}
    used = used_names(task.gold, schema, task.database.dialect)
    return frozenset(names if used is None else names & used)


def _by_relevance(tables: Sequence[Table], task: SqlTask) -> list[str]:
    """Names of the tables, the least relevant first; of equals, the later one first."""
    samples = sample_values(task.database, RELEVANCE_SAMPLES, task.tables)
    scores = relevances(f"{task.question} {task.evidence}", tables, samples, task.descriptions)
    return sorted(reversed(scores), key=scores.__getitem__)


def _shrinking(tables: Sequence[Table], order: Sequence[str], protected: frozenset[str]) -> list[list[Table]]:
    """The tables without the first of ``order``, without the first two, ...; protected ones stay."""
    droppable = [name for name in order if name.lower() not in protected]
    if len(droppable) == len(tables):
        droppable = droppable[:-1]
    steps = []
    for count in range(1, len(droppable) + 1):
        dropped = set(droppable[:count])
        steps.append([table for table in tables if table.name not in dropped])
    return steps
