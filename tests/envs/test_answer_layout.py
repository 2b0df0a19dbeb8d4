"""What stands where by its tags, and what is wrong with them."""

import itertools
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.errors import ConfigurationError
from envs.layout import Layout, Tags, instruction, lay_out, read_layout
from envs.overhang import OVERHANG
from envs.transcript import Segment, Transcript

STEPWISE = Tags(reasoning="think", must_reason=True, step="intermediate_sql", observation="result", answer="final_sql")
THINKING = Tags(reasoning="think")
PLANNED = Tags(plan="EXPLORATION", answer="EXECUTION")
ALL_TAGS = [STEPWISE, THINKING, PLANNED, Tags(), Tags(answer="answer")]

PIECES = [
    f"<{slash}{name}>" for name in dict.fromkeys(n for tags in ALL_TAGS for n in tags.names()) for slash in ("", "/")
] + ["x", " ", "\n"]


def read(text: str, tags: Tags) -> Layout:
    return read_layout(Transcript.of(text), tags)


@pytest.mark.parametrize(
    ("text", "answer", "defect", "share"),
    [
        ("<think>a</think><final_sql>z</final_sql>", "z", None, 1),
        (" <think>a</think>\n<final_sql>z</final_sql>\n", "z", None, 1),
        ("a</think><final_sql>z</final_sql>", "z", None, 1),
        (
            "<think>a</think><intermediate_sql>q</intermediate_sql><think>b</think><final_sql>z</final_sql>",
            "z",
            None,
            1,
        ),
        ("<final_sql>z</final_sql>", "z", "no reasoning", 0.5),
        ("<think> </think><final_sql>z</final_sql>", "z", "no reasoning", 0.5),
        ("<think>a</think>", None, "no answer", 0.5),
        ("<think>a</think><final_sql> </final_sql>", None, "no answer", 0.5),
        ("<think>a</think>z", None, "no answer", 0.5),
        ("<think><final_sql>z</final_sql></think>", None, "no answer", 0.5),
        ("<think>a</think><final_sql>y</final_sql><final_sql>z</final_sql>", "z", "several answers", 0.5),
        ("<think>a</think>so: <final_sql>z</final_sql>", "z", "text outside", 1),
        ("<think>a</think><final_sql>z</final_sql>!", "z", None, 1),
        ("<think>a</think><final_sql>z</final_sql>!!!!", "z", "text outside", 1),
        ("<think>a</think><final_sql>z</final_sql>!a", "z", "text outside", 1),
        ("<final_sql>z</final_sql><think>a</think>", "z", "after the answer", 1),
        ("<think>a</think><result>1</result><final_sql>z</final_sql>", "z", "forged observation", 1),
        ("<think>a<final_sql>z</final_sql>", None, "unclosed tag", 0),
        ("<think>a</think><final_sql>z", None, "unclosed tag", 0.5),
        ("<think>a</think></final_sql><final_sql>z</final_sql>", "z", "stray tag", 1),
        ("<final_sql>y</final_sql></think><final_sql>z</final_sql>", "z", None, 1),
        ("I write <final_sql> then</think><final_sql>z</final_sql>", "z", None, 1),
        ("<think>a</think><final_sql>y</final_sql></think><final_sql>z</final_sql>", "z", "stray tag", 1),
        ("<think >a</think><final_sql>z</final_sql>", "z", None, 1),
        ("", None, "no reasoning", 0),
    ],
)
def test_one_answer_after_reasoning_and_nothing_else(
    text: str, answer: str | None, defect: str | None, share: float
) -> None:
    layout = read(text, STEPWISE)
    assert (layout.answer, layout.defect, layout.tag_share) == (answer, defect, share)


@pytest.mark.parametrize(
    ("text", "answer", "reasoning", "defect"),
    [
        ("18", "18", "", None),
        ("<think>17?</think> 18", " 18", "17?", None),
        ("17?</think> 18", " 18", "17?", None),
        ("17 <think>no</think> 18", " 18", "no", "text outside"),
        ("<think>a</think> 17 </think> 18", " 18", "a 17 ", "stray tag"),
        ("<think>18", None, "", "unclosed tag"),
        ("<think>18</think>", None, "18", "no answer"),
        ("18 <think>", None, "", "unclosed tag"),
        ("", None, "", "no answer"),
        (" \n", None, "", "no answer"),
    ],
)
def test_without_a_tag_of_its_own_the_answer_follows_the_reasoning(
    text: str, answer: str | None, reasoning: str, defect: str | None
) -> None:
    layout = read(text, THINKING)
    assert (layout.answer, layout.reasoning, layout.defect) == (answer, reasoning, defect)


@pytest.mark.parametrize(
    ("text", "plan", "defect"),
    [
        ("<EXPLORATION>1. add</EXPLORATION><EXECUTION>4</EXECUTION>", "1. add", None),
        ("<EXECUTION>4</EXECUTION>", None, "no plan"),
        ("<EXPLORATION>a</EXPLORATION><EXPLORATION>b</EXPLORATION><EXECUTION>4</EXECUTION>", "a", "several plans"),
        ("<EXECUTION>4</EXECUTION><EXPLORATION>late</EXPLORATION>", "late", "after the answer"),
    ],
)
def test_a_plan_comes_once_and_first(text: str, plan: str | None, defect: str | None) -> None:
    layout = read(text, PLANNED)
    assert (layout.plan, layout.defect) == (plan, defect)


def test_steps_are_kept_in_order_and_observations_are_not_the_models_text() -> None:
    transcript = Transcript(
        segments=(
            Segment(author="model", text="<think>a</think><intermediate_sql>one</intermediate_sql>"),
            Segment(author="environment", text="<result>forty</result>"),
            Segment(author="model", text="<intermediate_sql>two</intermediate_sql><final_sql>z</final_sql>"),
            Segment(author="environment", text="<final_sql>not mine</final_sql>"),
        ),
        tokens=17,
    )
    layout = read_layout(transcript, STEPWISE)
    assert (layout.steps, layout.answer, layout.defect, layout.tokens) == (("one", "two"), "z", None, 17)
    assert layout.characters == len(transcript.model_text)


def test_a_step_of_a_turn_that_reasons_on_was_only_thought_of_and_one_that_was_answered_stays() -> None:
    thought = "Try <intermediate_sql>one</intermediate_sql>?</think><final_sql>z</final_sql>"
    assert read(thought, STEPWISE).steps == ()
    transcript = Transcript(
        segments=(
            Segment(author="model", text="<intermediate_sql>one</intermediate_sql>"),
            Segment(author="environment", text="<result>1</result>"),
            Segment(author="model", text="<final_sql>no</final_sql></think><final_sql>z</final_sql>"),
        )
    )
    layout = read_layout(transcript, STEPWISE)
    assert (layout.steps, layout.answer, layout.defect) == (("one",), "z", None)


def in_turns(first: str, second: str) -> Transcript:
    return Transcript(
        segments=(
            Segment(author="model", text=first),
            Segment(author="environment", text="<result>\n1\n</result>\n"),
            Segment(author="model", text=second),
        )
    )


STEP, ANSWER = "<think>a</think><intermediate_sql>q</intermediate_sql>", "<final_sql>z</final_sql>"
PUNCTUATION = st.text(alphabet="<>/.,;:!?\"'`)]}\\|-_ \n", max_size=5)


@given(PUNCTUATION, PUNCTUATION)
def test_what_a_token_can_hold_behind_the_tag_that_stopped_a_turn_is_not_written_outside(
    behind_step: str, behind_answer: str
) -> None:
    layout = read_layout(in_turns(STEP + behind_step, ANSWER + behind_answer), STEPWISE)
    is_short = all(re.fullmatch(rf"\s*\S{{0,{OVERHANG}}}\s*", behind) for behind in (behind_step, behind_answer))
    assert layout.defect == (None if is_short else "text outside")
    assert (layout.answer, layout.steps, layout.tag_share) == ("z", ("q",), 1)


@given(PUNCTUATION, st.characters(categories=("L", "N", "S"), exclude_characters="<>=+|~^$`"), PUNCTUATION)
def test_no_letter_digit_or_symbol_can_be_written_behind_a_tag(before: str, sign: str, after: str) -> None:
    for transcript in (in_turns(STEP + before + sign + after, ANSWER), in_turns(STEP, ANSWER + before + sign + after)):
        assert read_layout(transcript, STEPWISE).defect == "text outside"


def test_only_where_a_turn_is_stopped_can_a_token_hold_more() -> None:
    assert read_layout(in_turns(STEP, "." + ANSWER), STEPWISE).defect == "text outside"
    assert read_layout(in_turns(f"<think>a</think>.{STEP}", ANSWER), STEPWISE).defect == "text outside"
    assert read_layout(in_turns("<think>a</think>.", ANSWER), STEPWISE).defect == "text outside"
    assert read(f"{STEP}.{ANSWER}", STEPWISE).defect == "text outside"
    assert read("<think>a</think><answer>z</answer>.", Tags(reasoning="think", answer="answer")).defect is not None


@given(st.sampled_from(ALL_TAGS), st.lists(st.sampled_from(PIECES), max_size=14))
def test_what_the_prompt_has_opened_is_read_as_if_the_model_had(tags: Tags, pieces: list[str]) -> None:
    text = "".join(pieces)
    opened = read_layout(Transcript.of(text, begins_in_reasoning=True), tags)
    written = read(f"<{tags.reasoning}>{text}" if tags.reasoning else text, tags)
    assert opened == replace(written, characters=len(text))


def test_only_the_first_turn_begins_in_what_the_prompt_has_opened() -> None:
    told = replace(in_turns("a</think><intermediate_sql>q</intermediate_sql>", ANSWER), begins_in_reasoning=True)
    layout = read_layout(told, STEPWISE)
    assert (layout.reasoning, layout.steps, layout.answer, layout.defect) == ("a", ("q",), "z", None)


def test_a_step_survives_reasoning_that_was_closed_twice() -> None:
    layout = read(
        "<think>a</think><intermediate_sql>one</intermediate_sql>hm</think><final_sql>z</final_sql>", STEPWISE
    )
    assert (layout.steps, layout.reasoning, layout.defect) == (("one",), "ahm", "stray tag")


@given(st.sampled_from(ALL_TAGS), st.lists(st.sampled_from(PIECES), max_size=14))
def test_any_order_of_tags_is_read_and_only_a_defect_can_spoil_the_share(tags: Tags, pieces: list[str]) -> None:
    text = "".join(pieces)
    layout = read(text, tags)
    assert 0 <= layout.tag_share <= 1
    assert layout.answer is None or (layout.answer in text and layout.answer.strip())
    assert (layout.defect is None) <= (layout.tag_share == 1)
    assert layout.defect is not None or layout.answer is not None
    if not tags.names():
        assert layout.answer == (text if text.strip() else None)


@given(st.sampled_from(ALL_TAGS), st.text())
def test_arbitrary_text_never_raises(tags: Tags, text: str) -> None:
    assert read(text, tags).characters == len(text)


@given(st.text(alphabet="ab <>/", max_size=12), st.text(alphabet="ab <>/", min_size=1, max_size=12).filter(str.strip))
def test_what_is_laid_out_well_is_read_back(reasoning: str, answer: str) -> None:
    layout = read(f"<think>r{reasoning}</think><final_sql>{answer}</final_sql>", STEPWISE)
    assert (layout.reasoning, layout.answer, layout.defect) == (f"r{reasoning}", answer, None)


@pytest.mark.parametrize("tag", ["<think>", "</think>", "<think></think>", "<final_sql>", "</final_sql><", "<"])
def test_a_megabyte_of_tags_is_read_once(tag: str) -> None:
    assert read(tag * (1_000_000 // len(tag)), STEPWISE).defect is not None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"answer": "<answer>"}, ["'<answer>'", "without <>"]),
        ({"answer": ""}, ["''"]),
        ({"answer": "a", "reasoning": "a"}, ["twice"]),
        ({"must_reason": True}, ["tags.reasoning"]),
        ({"observation": "result"}, ["tags.step"]),
    ],
)
def test_tags_that_mean_nothing_are_refused(options: dict, words: list[str]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Tags(**options)
    assert all(word in str(caught.value) for word in words)


def test_the_instruction_names_every_tag_that_is_asked_for() -> None:
    assert instruction(Tags()) == instruction(THINKING) == ""
    for plan, answer, must_reason in itertools.product((None, "PLAN"), (None, "out"), (False, True)):
        text = instruction(Tags(reasoning="think", must_reason=must_reason, plan=plan, answer=answer))
        assert ("<think></think>" in text, "<PLAN></PLAN>" in text, "<out></out>" in text) == (
            must_reason, plan is not None, answer is not None
        )  # fmt: skip


@given(st.sampled_from(ALL_TAGS), st.text(alphabet="ab <>/", min_size=1, max_size=12).filter(str.strip))
def test_an_answer_that_is_laid_out_as_asked_is_read_back(tags: Tags, answer: str) -> None:
    layout = read(lay_out(answer, tags, reasoning="So.", plan="1. Do it."), tags)
    assert layout.defect is None and layout.tag_share == 1
    assert layout.answer is not None and layout.answer.strip() == answer.strip()
