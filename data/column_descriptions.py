"""What the tables and columns of a database mean, as Spider's and BIRD's own files say it.

Keys are a table or ``table.column`` in lower case, as ``SqlTask.descriptions`` has them.
"""

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from data.source import json_file
from envs.errors import ConfigurationError

Descriptions = Mapping[str, str]


def spider_descriptions(tables_file: Path) -> dict[str, Descriptions]:
    """The readable names of Spider's ``tables.json``, by database; nothing where there is no such file.

    Raises:
        ConfigurationError: the file is not JSON, or not in the official layout.
    """
    if not tables_file.is_file():
        return {}
    entries = json_file(tables_file, "spider")
    try:
        return {entry["db_id"]: _spider_entry(entry) for entry in entries}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ConfigurationError(
            f"spider: '{tables_file}' is not in the official layout ({type(error).__name__}: {error}); "
            "mend or remove it"
        ) from error


def _spider_entry(entry: Mapping[str, Any]) -> Descriptions:
    originals = entry.get("table_names_original") or []
    described = dict(zip((name.lower() for name in originals), entry.get("table_names") or [], strict=False))
    readable = entry.get("column_names") or []
    for (table, original), (_, name) in zip(entry.get("column_names_original") or [], readable, strict=False):
        if 0 <= table < len(originals):
            described[f"{originals[table]}.{original}".lower()] = name
    return described


def bird_descriptions(directory: Path) -> Descriptions:
    """The columns of BIRD's ``database_description/TABLE.csv`` files: name, description and what its values mean."""
    described: dict[str, str] = {}
    for file in sorted(directory.glob("*.csv")):
        # The public files mix encodings; a stray byte in a description is no reason to lose the others.
        text = file.read_bytes().decode("utf-8-sig", errors="replace").replace("\0", "")
        for row in csv.DictReader(io.StringIO(text)):
            column = (row.get("original_column_name") or "").strip()
            parts = [(row.get(key) or "").strip() for key in ("column_name", "column_description", "value_description")]
            if column and any(parts):
                described[f"{file.stem}.{column}".lower()] = "; ".join(dict.fromkeys(part for part in parts if part))
    return described
