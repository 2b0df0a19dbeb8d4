"""The chat messages that open an SQL task: what to do, the database's schema, the question."""

from functools import lru_cache
from pathlib import Path

from envs.sql.connections import FileIdentity
from envs.sql.executor import ExecutionLimits
from envs.sql.schema import Table, identifier, identity_of, read_schema, sample_values
from envs.sql.task import SqlTask
from envs.transcript import Message

INSTRUCTIONS = (
    "You write SQLite queries. Answer the question with one SELECT statement over the schema below. "
    "Return exactly the columns that the question asks for. "
    "Reply with the query alone, without an explanation."
)

SAMPLE_CHARACTERS = 40
"""Longer sample values are left out: cut ones would not match in a WHERE clause."""
_SAMPLE_LIMITS = ExecutionLimits(seconds=1.0, rows=1_000)


def make_prompt(task: SqlTask, samples: int) -> list[Message]:
    """The system message with the instructions, then the user's with schema, evidence and question.

    Args:
        samples: how many values of each column the schema shows.

    Raises:
        ConfigurationError: the database cannot be read.
    """
    parts = [render_schema(task.database, samples)]
    if task.evidence:
        parts.append(f"Evidence: {task.evidence}")
    parts.append(f"Question: {task.question}")
    return [
        {"role": "system", "content": INSTRUCTIONS},
        {"role": "user", "content": "\n\n".join(parts)},
    ]


def render_schema(database: Path, samples: int) -> str:
    """The schema as CREATE statements, with keys and sample values. Built anew from the catalogue, because the text
    that a database keeps of its own statements comes in every style there is.
    """
    return _render(database, samples, identity_of(database))


@lru_cache(maxsize=1024)
def _render(database: Path, samples: int, _identity: FileIdentity) -> str:
    return "\n\n".join(_render_table(database, table, samples) for table in read_schema(database))


def _render_table(database: Path, table: Table, samples: int) -> str:
    key = [column.name for column in table.columns if column.is_primary_key]
    lines = []
    for column in table.columns:
        line = " ".join(filter(None, (identifier(column.name), column.type)))
        if key == [column.name]:
            line += " PRIMARY KEY"
        lines.append((line, _render_samples(database, table.name, column.name, samples)))
    if len(key) > 1:
        lines.append((f"PRIMARY KEY ({_names(key)})", ""))
    for foreign in table.foreign_keys:
        target = identifier(foreign.table) + (f"({_names(foreign.references)})" if foreign.references else "")
        lines.append((f"FOREIGN KEY ({_names(foreign.columns)}) REFERENCES {target}", ""))
    body = "\n".join(
        f"  {line}{',' if number < len(lines) else ''}{remark}" for number, (line, remark) in enumerate(lines, start=1)
    )
    return f"CREATE {'VIEW' if table.is_view else 'TABLE'} {identifier(table.name)} (\n{body}\n);"


def _names(names: list[str] | tuple[str, ...]) -> str:
    return ", ".join(identifier(name) for name in names)


def _render_samples(database: Path, table: str, column: str, samples: int) -> str:
    if samples == 0:
        return ""
    literals = []
    for value in sample_values(database, table, column, samples, _SAMPLE_LIMITS):
        if isinstance(value, bytes) or len(str(value)) > SAMPLE_CHARACTERS or "\n" in str(value):
            continue
        literals.append("'" + value.replace("'", "''") + "'" if isinstance(value, str) else str(value))
    return f"  -- {', '.join(literals)}" if literals else ""
