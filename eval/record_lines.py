"""Records and task cards as JSON lines, and back.

JSON escapes everything beyond ASCII: a lone surrogate in a model's text has no other form in a file.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from decoding.rollout import Ledger
from envs.environment import Environment
from envs.task import Task
from envs.transcript import Segment
from eval.records import CandidateRecord, Finished, Record, TaskCard


def line_of(value: Record | TaskCard | Finished) -> str:
    """One line, its end included."""
    return json.dumps(asdict(value)) + "\n"


def record_from_json(content: Mapping[str, Any]) -> Record:
    """The record that ``dataclasses.asdict`` turned into plain values.

    Raises:
        TypeError: it has other fields.
    """
    return Record(
        **{
            **content,
            "segments": tuple(Segment(**segment) for segment in content["segments"]),
            "candidates": tuple(CandidateRecord(**candidate) for candidate in content["candidates"]),
        }
    )


def finished_from_json(content: Mapping[str, Any]) -> Finished:
    """As ``record_from_json``, for all answers to a task."""
    return Finished(
        **{
            **content,
            "records": tuple(record_from_json(record) for record in content["records"]),
            "cost": Ledger(**content["cost"]),
        }
    )


def card_of(task: Task, environment: Environment[Any]) -> TaskCard:
    """What a reader of the report is shown of a task."""
    return TaskCard(
        task=task.id,
        labels=dict(task.labels),
        messages=tuple(
            {"role": message["role"], "content": message["content"]} for message in environment.prompt(task)
        ),
        reference=environment.reference(task),
    )
