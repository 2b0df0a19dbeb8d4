"""A schema as the prompt shows it: CREATE statements with keys, descriptions and sample values.

Built anew from the catalogue, because the text that a database keeps of its own statements comes in every style there
is.
"""

import re
from collections.abc import Mapping, Sequence

from envs.sql.databases.schema import Column, ForeignKey, Table
from envs.sql.identifiers import identifier
from envs.sql.schema import Samples

SAMPLE_CHARACTERS = 40
"""Longer sample values are left out: cut ones would not match in a WHERE clause."""
DESCRIPTION_CHARACTERS = 120


def render_tables(
    tables: Sequence[Table], samples: Samples, descriptions: Mapping[str, str], dialect: str
) -> dict[str, str]:
    """The text of each table by its name. Foreign keys to tables that are not among them are left out."""
    shown = {table.name.lower() for table in tables}
    return {
        table.name: _render(
            table,
            [key for key in table.foreign_keys if key.table.lower() in shown],
            samples,
            descriptions,
            dialect,
        )
        for table in tables
    }


def _render(
    table: Table, keys: Sequence[ForeignKey], samples: Samples, descriptions: Mapping[str, str], dialect: str
) -> str:
    primary = [column.name for column in table.columns if column.is_primary_key]
    lines = []
    for column in table.columns:
        line = " ".join(filter(None, (identifier(column.name, dialect), column.type)))
        if primary == [column.name]:
            line += " PRIMARY KEY"
        lines.append((line, _remark(table, column, samples, descriptions)))
    if len(primary) > 1:
        lines.append((f"PRIMARY KEY ({_names(primary, dialect)})", ""))
    for key in keys:
        target = identifier(key.table, dialect)
        target += f"({_names(key.references, dialect)})" if key.references else ""
        lines.append((f"FOREIGN KEY ({_names(key.columns, dialect)}) REFERENCES {target}", ""))
    body = "\n".join(
        f"  {line}{',' if number < len(lines) else ''}{remark}" for number, (line, remark) in enumerate(lines, start=1)
    )
    meaning = _description(descriptions.get(table.name.lower(), ""), table.name)
    head = f"-- {meaning}\n" if meaning else ""
    return f"{head}CREATE {'VIEW' if table.is_view else 'TABLE'} {identifier(table.name, dialect)} (\n{body}\n);"


def _names(names: Sequence[str], dialect: str) -> str:
    return ", ".join(identifier(name, dialect) for name in names)


def _remark(table: Table, column: Column, samples: Samples, descriptions: Mapping[str, str]) -> str:
    meaning = _description(descriptions.get(f"{table.name}.{column.name}".lower(), ""), column.name)
    literals = [
        literal for value in samples.get((table.name, column.name), ()) if (literal := _literal(value)) is not None
    ]
    parts = [part for part in (meaning, ", ".join(literals)) if part]
    return f"  -- {'; '.join(parts)}" if parts else ""


def _literal(value: object) -> str | None:
    if isinstance(value, bytes) or len(str(value)) > SAMPLE_CHARACTERS or "\n" in str(value):
        return None
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else str(value)


def _description(text: str, name: str) -> str:
    """On one line, cut to a length; empty where it only repeats the name."""
    line = " ".join(text.split())
    if _letters(line) == _letters(name):
        return ""
    return line if len(line) <= DESCRIPTION_CHARACTERS else line[: DESCRIPTION_CHARACTERS - 3] + "..."


def _letters(text: str) -> str:
    return re.sub(r"[\W_]+", "", text).lower()
