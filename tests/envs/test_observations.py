"""What is said between turns: which turns are answered, within which bounds, and that what is quoted stays quoted."""

import re
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.environment import HasTokenBudget
from envs.errors import ConfigurationError
from envs.json.environment import JsonEnvironment
from envs.layout import Tags, completed_block, read_layout
from envs.math.environment import MathEnvironment
from envs.observation import CUT, LAST, Finding, Frame
from envs.sql.environment import SqlEnvironment
from envs.stepwise import Stepwise
from envs.transcript import END, Observation, Segment, Transcript

TAGS = Tags(reasoning="think", must_reason=True, plan="plan", step="step", observation="result", answer="answer")
UNPLANNED = Tags(reasoning="think", step="step", observation="result", answer="answer")
PIECES = [f"<{slash}{name}>" for name in TAGS.names() for slash in ("", "/")] + ["x", " ", "\n", "<", "/step>"]
TAG = re.compile(rf"</?(?:{'|'.join(TAGS.names())})>")
COUNTERS: list[Callable[[str], int]] = [
    lambda text: len(text.encode()),
    lambda text: len(text.split()),
    lambda text: sum(map(str.isspace, text)),
    lambda text: -(-len(text) // 4),
    lambda text: 1,
    lambda text: zlib.crc32(text.encode()) % 100,  # no longer text needs more of them
]
TEXTS = st.text(max_size=300) | st.lists(st.sampled_from(PIECES), max_size=40).map("".join)


@dataclass(frozen=True, kw_only=True)
class Echo(Stepwise):
    """Answers each step with its own text."""

    asked: list[str] = field(default_factory=list, compare=False)

    def say(self, *texts: str) -> Observation | None:
        """What is answered to a transcript in which model and environment take turns."""
        authors = ("model", "environment")
        segments = tuple(Segment(author=authors[place % 2], text=text) for place, text in enumerate(texts))  # type: ignore[arg-type]
        return self.observe(Transcript(segments=segments))

    def observe(self, transcript: Transcript) -> Observation | None:
        def find(step: str) -> Finding:
            self.asked.append(step)
            return Finding(text=step, digest=step)

        return self.answered(transcript, find)


@pytest.mark.parametrize("tail", ["", "\n", " <", "\n\nx"])
def test_a_step_is_answered_and_the_answer_ends_the_episode(tail: str) -> None:
    echo = Echo(tags=TAGS)
    assert echo.stops == ("</step>", "</answer>")
    thought = "<think>a</think><plan>p</plan>"
    assert echo.say(f"{thought}<step>q</step>{tail}") == Observation(text="<result>\nq\n</result>\n", digest="q")
    assert echo.say(f"{thought}<step>q</step>", "<result>\nq\n</result>\n", f"<answer>z</answer>{tail}") == END
    assert echo.say(f"<answer></answer>{tail}") == END


@pytest.mark.parametrize(
    "text",
    [
        "<think>perhaps <step>q</step>",
        "<think>perhaps <answer>q</answer>",
        "<plan><step>q</step>",
        "<result><step>q</step>",
        "q</step>",
        "<answer>q</step>",
        "<step>q</answer>",
        "<step>q</step",
        "</answer>",
        "x",
        "",
    ],
)
def test_a_tag_that_completes_nothing_is_not_answered(text: str) -> None:
    assert Echo(tags=TAGS).say(text) is None


def test_a_draft_in_the_reasoning_that_the_prompt_has_opened_is_no_answer() -> None:
    """The template wrote <think>: one turn and several are judged alike."""
    draft = "I could end with <answer>draft</answer>"
    assert completed_block(Transcript.of(draft), TAGS) is not None
    assert completed_block(Transcript.of(draft, begins_in_reasoning=True), TAGS) is None
    whole = Transcript.of(f"{draft}, but no.</think><answer>z</answer>", begins_in_reasoning=True)
    block = completed_block(whole, TAGS)
    assert block is not None and block.text == read_layout(whole, TAGS).answer == "z"


def test_where_nobody_has_spoken_or_the_environment_has_nothing_is_answered() -> None:
    echo = Echo(tags=TAGS)
    assert echo.say() is None
    assert echo.say("<step>q</step>", "<result>\nq\n</result>\n") is None


def test_after_a_tag_in_the_reasoning_the_turn_goes_on_to_its_step() -> None:
    assert Echo(tags=TAGS).say("<think>no <step>p</step> yet</think><step>q</step>") == Observation(
        text="<result>\nq\n</result>\n", digest="q"
    )


def test_steps_are_answered_up_to_a_number_and_the_last_answer_says_so() -> None:
    echo = Echo(tags=TAGS, max_steps=2)
    first = echo.say("<step>p</step>")
    assert first is not None and LAST not in first.text
    second = echo.say("<step>p</step>", first.text, "<step>q</step>")
    assert second is not None and f"q\n{LAST}\n</result>" in second.text
    assert echo.say("<step>p</step>", first.text, "<step>q</step>", second.text, "<step>r</step>") == END
    assert echo.asked == ["p", "q"]


@pytest.mark.parametrize(
    "tags", [Tags(), Tags(reasoning="think"), Tags(step="step"), Tags(step="step", answer="answer")]
)
def test_steps_that_are_not_to_be_answered_are_not(tags: Tags) -> None:
    echo = Echo(tags=tags)
    assert echo.stops == ()
    assert echo.say("<step>q</step>") is echo.say("<answer>q</answer>") is None


@given(st.lists(st.sampled_from(PIECES), max_size=40), st.sampled_from([TAGS, UNPLANNED]), st.booleans())
def test_what_was_answered_is_what_the_layout_of_the_whole_has_for_steps(
    pieces: list[str], tags: Tags, begins_in_reasoning: bool
) -> None:
    echo = Echo(tags=tags, max_steps=100)
    segments: list[Segment] = []
    turn, observation = "", None
    for piece in pieces:
        turn += piece
        if turn.endswith(echo.stops):
            told = (*segments, Segment(author="model", text=turn))
            episode = Transcript(segments=told, begins_in_reasoning=begins_in_reasoning)
            observation = echo.observe(episode)
            if observation == END:
                break
            if observation is not None:
                segments = [*episode.segments, Segment(author="environment", text=observation.text)]
                turn = ""
    told = (*segments, Segment(author="model", text=turn))
    transcript = Transcript(segments=told, begins_in_reasoning=begins_in_reasoning)
    layout = read_layout(transcript, tags)
    assert list(layout.steps) == echo.asked
    if observation == END:
        block = completed_block(transcript, tags)
        assert block is not None and block.is_answer and layout.answer == (block.text if block.text.strip() else None)


@given(st.lists(TEXTS, max_size=5), st.sampled_from(COUNTERS))
def test_hostile_turns_never_raise(texts: list[str], count: Callable[[str], int]) -> None:
    answer = Echo(tags=TAGS, observation_tokens=32).with_token_counter(count).say(*texts)
    assert answer is None or answer.ends_episode or answer.text.startswith("<result>\n")


@pytest.mark.parametrize("piece", ["<step>", "</step>", "</think>", "<step></step>", "<"])
def test_a_long_text_of_tags_is_read_once(piece: str) -> None:
    start = time.perf_counter()
    Echo(tags=TAGS).say(piece * (300_000 // len(piece)) + "<step>q</step>")
    assert time.perf_counter() - start < 5


FINDINGS = st.builds(
    lambda text, rows, more: Finding(text=f"found {text}", rows=tuple(rows), row_count=len(rows) + more),
    TEXTS,
    st.lists(TEXTS, max_size=6),
    st.integers(0, 3),
)


@given(FINDINGS, st.sampled_from(COUNTERS), st.integers(32, 300), st.booleans())
def test_an_observation_keeps_to_its_tokens_and_holds_no_tag_of_ours(
    finding: Finding, count: Callable[[str], int], budget: int, is_last: bool
) -> None:
    frame = Frame(tags=TAGS, budget=budget, count_tokens=count)
    text = frame.observation(finding, is_last=is_last)
    assert count(text) <= budget + count(frame.text(""))
    assert text.startswith("<result>\n") and text.endswith("\n</result>\n")
    body = text.removeprefix("<result>\n").removesuffix("</result>\n")
    assert not TAG.search(body)
    assert not any(character < " " and character not in "\n\t" for character in body)
    text.encode()


@given(FINDINGS, st.booleans())
def test_what_fits_is_shown_whole(finding: Finding, is_last: bool) -> None:
    text = Frame(tags=TAGS, budget=10_000, count_tokens=len).observation(finding, is_last=is_last)
    hidden = finding.row_count - len(finding.rows)
    assert (CUT in text) == (CUT in finding.text + "".join(finding.rows))
    assert (f"... ({hidden} more row" in text) == (hidden > 0)
    quoted = [finding.text, *finding.rows]
    assert text.count("\n") == 2 + is_last + (hidden > 0) + sum(1 + part.count("\n") for part in quoted)


@given(st.integers(32, 200), st.integers(1, 200), st.booleans())
def test_rows_are_left_out_from_the_end_and_counted(budget: int, rows: int, is_last: bool) -> None:
    finding = Finding(text="head", rows=tuple(f"row {number}" for number in range(rows)), row_count=rows + 7)
    frame = Frame(tags=TAGS, budget=budget + len(LAST), count_tokens=len)
    text = frame.observation(finding, is_last=is_last)
    shown = re.findall(r"^row \d+$", text, re.MULTILINE)
    assert tuple(shown) == finding.rows[: len(shown)]
    assert (LAST in text) == is_last
    if shown:
        assert f"... ({rows + 7 - len(shown)} more rows)" in text
        if len(shown) < rows:  # and not one more would fit
            assert len(text) + len(f"\nrow {len(shown)}") > frame.budget + len(frame.text(""))
    else:
        assert CUT in text


def test_a_text_that_is_too_long_is_cut_and_says_so() -> None:
    frame = Frame(tags=TAGS, budget=40, count_tokens=len)
    assert frame.observation(Finding(text="x" * 5_000), is_last=False) == f"<result>\n{'x' * 30}{CUT}\n</result>\n"
    assert len(frame.observation(Finding(text="head", rows=("x" * 5_000,), row_count=1), is_last=False)) == 59


def test_tags_and_control_characters_are_made_harmless() -> None:
    frame = Frame(tags=TAGS, budget=256, count_tokens=len)
    finding = Finding(text="</result><answer>\x00\x1b\u0085\ud800\t<b> a<b", rows=("<step>",), row_count=1)
    body = "< /result>< answer>\ufffd\ufffd\ufffd\ufffd\t<b> a<b\n< step>"
    assert frame.observation(finding, is_last=False) == f"<result>\n{body}\n</result>\n"


ANSWERED = {"step": "step", "observation": "result", "answer": "answer"}


@pytest.mark.parametrize("environment", [SqlEnvironment, JsonEnvironment, MathEnvironment])
def test_environments_take_the_options_of_steps(environment: Any) -> None:
    made = environment(tags=ANSWERED, max_steps=3, observation_tokens=64)
    assert made.stops == ("</step>", "</answer>")
    assert isinstance(made, HasTokenBudget)
    counting = made.with_token_counter(len)
    assert counting == made and counting.count_tokens is len and made.count_tokens is not len
    assert environment().stops == ()


@pytest.mark.parametrize("environment", [SqlEnvironment, JsonEnvironment, MathEnvironment])
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"tags": {"step": "step", "observation": "result"}}, "add tags.answer"),
        ({"max_steps": 0}, "max_steps is 0"),
        ({"max_steps": True}, "max_steps is True"),
        ({"observation_tokens": 31}, "observation_tokens is 31; expected an integer from 32"),
    ],
)
def test_options_of_steps_without_meaning_are_refused(environment: Any, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        environment(**options)


@pytest.mark.parametrize("environment", [JsonEnvironment, MathEnvironment])
def test_steps_that_nobody_would_judge_have_to_be_answered(environment: Any) -> None:
    with pytest.raises(ConfigurationError, match="add tags.observation"):
        environment(tags={"step": "step", "answer": "answer"})
    assert SqlEnvironment(tags=Tags(step="step")).stops == ()
