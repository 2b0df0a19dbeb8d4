"""In which notation an answer is written: JSON, or XML or YAML with the same data in it."""

import json
from typing import Literal

from envs.json.order import ordered_text
from envs.json.xml_answers import write_xml
from envs.json.yaml_answers import write_yaml

AnswerFormat = Literal["json", "xml", "yaml"]


def written(value: str, schema: str, answer_format: AnswerFormat) -> str:
    """A right answer as a model should write it: its keys in the schema's order, JSON on one line.

    Args:
        value: the value as JSON text.
        schema: its JSON Schema as JSON text.
    """
    ordered = ordered_text(value, schema)
    if answer_format == "xml":
        return write_xml(json.loads(ordered), schema)
    return write_yaml(json.loads(ordered)) if answer_format == "yaml" else ordered
