"""Which blocks the grammar of a turn asks for, by the tags and by what was said before."""

import pytest

from envs.grammar import Block, Grammar, Region
from envs.layout import Tags
from envs.transcript import UNSAID, Segment, Transcript
from envs.turn_grammar import turn_grammar

ANSWER = Grammar(kind="regex", source="[0-9]+")
STEP = Grammar(kind="regex", source="[a-z]+")
REEX = Tags(reasoning="think", must_reason=True, step="query", observation="result", answer="final", plan="plan")


def said(observations: int, *, ends_with_model: bool = False) -> Transcript:
    turns = [Segment(author="model", text="<query>a</query>"), Segment(author="environment", text="<result>1</result>")]
    more = (Segment(author="model", text="<"),) if ends_with_model else ()
    return Transcript(segments=(*turns * observations, *more))


def shape(grammar: Grammar) -> list[tuple[str, str, str]]:
    """Of each region: its blocks' openings, its blocks' closings, and how often it may stand."""
    marks = {(False, False): "once", (True, False): "at most once", (True, True): "any number"}
    return [
        (
            " ".join(block.opening for block in region.blocks),
            " ".join(block.closing for block in region.blocks),
            marks[region.is_optional, region.may_repeat],
        )
        for region in grammar.regions
    ]


@pytest.mark.parametrize("tags", [Tags(), Tags(observation=None)])
def test_an_answer_without_tags_is_its_own_grammar(tags: Tags) -> None:
    assert turn_grammar(tags, UNSAID, answer=ANSWER) is ANSWER


def test_the_first_turn_reasons_plans_and_ends_with_a_step_or_the_answer() -> None:
    assert shape(turn_grammar(REEX, UNSAID, answer=ANSWER, step=STEP, max_steps=2)) == [
        ("<think>", "</think>", "once"),
        ("<plan>", "</plan>", "once"),
        ("<query> <final>", "</query> </final>", "once"),
    ]


def test_later_turns_may_reason_and_plan_no_more() -> None:
    assert shape(turn_grammar(REEX, said(1), answer=ANSWER, step=STEP, max_steps=2)) == [
        ("<think>", "</think>", "at most once"),
        ("<query> <final>", "</query> </final>", "once"),
    ]


def test_after_the_last_step_the_answer_is_due() -> None:
    grammar = turn_grammar(REEX, said(2), answer=ANSWER, step=STEP, max_steps=2)
    assert shape(grammar)[-1] == ("<final>", "</final>", "once")


def test_reasoning_that_the_prompt_has_opened_is_closed_first_and_only_in_the_first_turn() -> None:
    tags = Tags(reasoning="think", answer="final")
    opened = Transcript(segments=(), begins_in_reasoning=True)
    assert shape(turn_grammar(tags, opened, answer=ANSWER))[0] == ("", "</think>", "once")
    later = Transcript(segments=said(1).segments, begins_in_reasoning=True)
    assert shape(turn_grammar(tags, later, answer=ANSWER))[0] == ("<think>", "</think>", "at most once")


def test_steps_that_nobody_answers_come_in_any_number_before_the_answer() -> None:
    tags = Tags(reasoning="think", step="query", answer="final")
    assert shape(turn_grammar(tags, UNSAID, answer=ANSWER, step=STEP))[1:] == [
        ("<query> <think>", "</query> </think>", "any number"),
        ("<final>", "</final>", "once"),
    ]


def test_free_text_holds_no_tag_and_other_content_is_that_of_its_grammar() -> None:
    regions = turn_grammar(REEX, UNSAID, answer=ANSWER, step=STEP, max_steps=1).regions
    (reasoning,), (step, answer) = regions[0].blocks, regions[-1].blocks
    assert reasoning.content is None and {"<think>", "</plan>", "<final>", "<result>"} <= set(reasoning.without)
    assert "</think>" not in reasoning.without
    assert (step.content, answer.content) == (STEP, ANSWER) and step.without == answer.without == ()
    free = turn_grammar(REEX, UNSAID, answer=ANSWER, max_steps=1).regions[-1].blocks[0]
    assert free.content is None and "<final>" in free.without


def test_an_answer_without_a_tag_ends_the_text() -> None:
    grammar = turn_grammar(Tags(plan="plan"), UNSAID, answer=ANSWER)
    assert grammar.regions[-1] == Region(blocks=(Block(content=ANSWER),))


def test_equal_turns_have_equal_grammars_so_that_compiled_ones_are_found_again() -> None:
    one = turn_grammar(REEX, said(1), answer=ANSWER, step=STEP, max_steps=3)
    other = turn_grammar(REEX, said(2), answer=ANSWER, step=STEP, max_steps=3)
    assert one == other and hash(one) == hash(other)
    assert one != turn_grammar(REEX, said(3), answer=ANSWER, step=STEP, max_steps=3)
