"""Reads what an offline wandb run has logged: its file is a LevelDB log of protocol buffers."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BLOCK = 32768
FILE_HEADER, RECORD_HEADER = 7, 7


def wandb_records(file: Path) -> Iterator[Any]:
    """The records of a ``run-ID.wandb`` file."""
    from wandb.proto import wandb_internal_pb2

    content, place, parts = file.read_bytes(), FILE_HEADER, b""
    while place + RECORD_HEADER <= len(content):
        left = BLOCK - place % BLOCK
        if left < RECORD_HEADER:
            place += left
            continue
        size, kind = int.from_bytes(content[place + 4 : place + 6], "little"), content[place + 6]
        parts += content[place + RECORD_HEADER : place + RECORD_HEADER + size]
        place += RECORD_HEADER + size
        if kind in (1, 4):  # whole, or the last part
            record = wandb_internal_pb2.Record()
            record.ParseFromString(parts)
            yield record
            parts = b""


def wandb_history(file: Path) -> list[dict[str, Any]]:
    """What each call of ``log`` of a finished run has logged. Waits for its last record: wandb's own process writes the
    file, and may still be at it when ``finish`` returns."""
    deadline = time.monotonic() + 20
    while not (records := list(wandb_records(file))) or records[-1].WhichOneof("record_type") != "exit":
        assert time.monotonic() < deadline, "the run was not finished"
        time.sleep(0.02)
    return [
        {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
        for record in records
        if record.WhichOneof("record_type") == "history"
    ]
