"""What a JSON answer says, beside the gold."""

from envs.json.verdict import JsonVerdict
from rewards.component import Component, ComponentOptions


def content(verdict: JsonVerdict) -> float | None:
    """F1 over the leaves of the answer and of the gold (``envs.json.content``), whatever the schema says.

    None without a gold. The content accuracy of RL-Struct (arXiv 2512.00319) is an F1 too, beside a model's judgement.
    """
    return verdict.f1


COMPONENTS: dict[str, Component | type[ComponentOptions]] = {
    "content": Component(verdict=JsonVerdict, measure=content, is_rate=False),
}
