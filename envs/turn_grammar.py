"""The language of a model's next turn, by the tags that it is laid out in.

A text that is written under it has none of the defects of ``envs.layout``, as far as a grammar can tell: reasoning and
plan may be blank. What stands inside of an answer or a step is each environment's own.
"""

from envs.grammar import Block, Grammar, Region
from envs.layout import Tags
from envs.transcript import Transcript


def turn_grammar(
    tags: Tags, transcript: Transcript, *, answer: Grammar, step: Grammar | None = None, max_steps: int = 0
) -> Grammar:
    """What the model may write after ``transcript``.

    Args:
        tags: what its text is laid out in.
        transcript: what was said before; without segments, and ``begins_in_reasoning`` alone, before the first turn.
        answer: the language of an answer, its tag aside.
        step: that of a step; None: any text.
        max_steps: how many steps are answered; after so many observations the answer is due.

    Returns:
        ``answer`` itself where tags ask for no more.
    """
    is_first = not any(segment.author == "model" for segment in transcript.segments)
    regions = _before(tags, is_first=is_first, is_open=is_first and transcript.begins_in_reasoning)
    steps = () if tags.step is None else (_block(tags, tags.step, step),)
    answers = (Block(content=answer) if tags.answer is None else _block(tags, tags.answer, answer),)
    if tags.answers_steps:
        observations = sum(segment.author == "environment" for segment in transcript.segments)
        regions.append(Region(blocks=answers if observations >= max_steps else (*steps, *answers)))
    else:
        if steps:
            between = () if tags.reasoning is None else (_block(tags, tags.reasoning),)
            regions.append(Region(blocks=(*steps, *between), is_optional=True, may_repeat=True))
        regions.append(Region(blocks=answers))
    if regions == [Region(blocks=(Block(content=answer),))]:
        return answer
    return Grammar(kind="tagged", regions=tuple(regions))


def _before(tags: Tags, *, is_first: bool, is_open: bool) -> list[Region]:
    """Reasoning and plan.

    Args:
        is_open: the prompt has opened the reasoning.
    """
    regions = []
    if is_open and tags.reasoning is not None:
        regions.append(Region(blocks=(_block(tags, tags.reasoning, is_open=True),)))
    elif tags.reasoning is not None:
        is_due = tags.must_reason and is_first
        regions.append(Region(blocks=(_block(tags, tags.reasoning),), is_optional=not is_due))
    if is_first and tags.plan is not None:
        regions.append(Region(blocks=(_block(tags, tags.plan),)))
    return regions


def _block(tags: Tags, name: str, content: Grammar | None = None, *, is_open: bool = False) -> Block:
    """A block of a tag. Free text in it holds no tag at all, so that no block opens or closes within another."""
    without = tuple(text for tag in tags.names() for text in (f"<{tag}>", f"</{tag}>") if text != f"</{name}>")
    return Block(
        opening="" if is_open else f"<{name}>",
        content=content,
        closing=f"</{name}>",
        without=() if content is not None else without,
    )
