"""Files that are either absent or whole, also when the process is killed while it writes them."""

import json
import os
from pathlib import Path
from typing import Any


def write_text(path: Path, text: str) -> None:
    """Writes a file that is either absent or whole, and makes the folder for it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    building = path.with_name(f".{path.name}.{os.getpid()}")
    building.write_text(text, encoding="utf-8")
    os.replace(building, path)


def write_json(path: Path, value: Any) -> None:
    """``write_text`` of a value as indented JSON, in ASCII: a lone surrogate in a text has no other form."""
    write_text(path, json.dumps(value, indent=2) + "\n")
