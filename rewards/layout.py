"""Components of an answer's layout in tags (``envs.layout``): what the literature calls the format reward."""

from collections.abc import Callable
from typing import Any, Literal

from envs.layout import Tags
from envs.verdict import Verdict
from rewards.component import Component, ComponentOptions


def format_as_asked(verdict: Verdict) -> float:
    """1 when nothing is wrong with the tags (``Layout.defect``), 0 otherwise."""
    return float(verdict.layout.defect is None)


def tag_share(verdict: Verdict) -> float:
    """Of the blocks that the tags ask for, the share that occurs as asked (``Layout.tag_share``)."""
    return verdict.layout.tag_share


def needs_tag(part: Literal["plan", "step"]) -> Callable[[Any], str | None]:
    """For ``Component.lacks``: the environment must have a tag for this part of the answer."""

    def lacks(environment: Any) -> str | None:
        has_tag = getattr(_tags(environment), part) is not None
        return None if has_tag else f"environment.options.tags.{part}, the name of a tag"

    return lacks


def _needs_any_tag(environment: Any) -> str | None:
    # Where the tags ask for nothing, format is 1 for nearly every answer: a constant that would only hide other parts.
    tags = _tags(environment)
    is_anything_asked = tags.must_reason or tags.plan is not None or tags.answer is not None
    return None if is_anything_asked else "environment.options.tags that ask for something (answer: answer)"


def _tags(environment: Any) -> Tags:
    tags: Tags = getattr(environment, "tags", Tags())
    return tags


COMPONENTS: dict[str, Component | type[ComponentOptions]] = {
    "format": Component(verdict=Verdict, measure=format_as_asked, lacks=_needs_any_tag),
    "tag_share": Component(verdict=Verdict, measure=tag_share, is_rate=False, lacks=_needs_any_tag),
}
