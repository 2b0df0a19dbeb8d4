"""The components of JSON verdicts, family by family."""

from rewards import json_content, json_structure, json_validity
from rewards.component import Component, ComponentOptions

COMPONENTS: dict[str, Component | type[ComponentOptions]] = {
    **json_validity.COMPONENTS,
    **json_structure.COMPONENTS,
    **json_content.COMPONENTS,
}
