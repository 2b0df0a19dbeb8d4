"""Components of the layout and of the length of an answer, of any environment."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.errors import ConfigurationError
from envs.layout import Layout, Tags, read_layout
from envs.sql.environment import SqlEnvironment
from envs.transcript import Transcript
from envs.verdict import Verdict
from rewards.component import Component
from rewards.layout import COMPONENTS
from rewards.length import Length
from rewards.registry import component

TAGS = Tags(reasoning="think", must_reason=True, answer="answer")


def measure_layout(name: str, text: str) -> float | None:
    layout = read_layout(Transcript.of(text), TAGS)
    chosen = COMPONENTS[name]
    assert isinstance(chosen, Component)
    return chosen.measure(Verdict(answer=layout.answer, layout=layout))


def length(written: int, *, answer: str | None = "x", **options: object) -> float | None:
    verdict = Verdict(answer=answer, layout=Layout(tokens=written, characters=4 * written))
    return Length(**options).component().measure(verdict)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "is_as_asked", "share"),
    [
        ("<think>a</think><answer>b</answer>", 1.0, 1.0),
        ("a</think><answer>b</answer>", 1.0, 1.0),
        ("<answer>b</answer>", 0.0, 0.5),
        ("<think>a</think>b", 0.0, 0.5),
        ("<think>a</think><answer>b</answer><answer>c</answer>", 0.0, 0.5),
        ("<think>a</think>so<answer>b</answer>", 0.0, 1.0),
        ("<think>a</think><answer> </answer>", 0.0, 0.5),
        ("<think>a", 0.0, 0.0),
        ("", 0.0, 0.0),
    ],
)
def test_format_is_all_or_nothing_and_the_share_of_tags_is_between(text: str, is_as_asked: float, share: float) -> None:
    assert (measure_layout("format", text), measure_layout("tag_share", text)) == (is_as_asked, share)


def test_a_format_without_tags_to_ask_for_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"'format' needs environment\.options\.tags"):
        component(SqlEnvironment(tags=Tags()), "format")
    component(SqlEnvironment(tags=TAGS), "format")


@pytest.mark.parametrize(
    ("written", "expected"), [(0, 1.0), (80, 1.0), (81, 0.95), (90, 0.5), (99, 0.05), (100, 0.0), (9999, 0.0)]
)
def test_length_is_free_up_to_four_fifths_of_the_limit_and_falls_in_a_line(written: int, expected: float) -> None:
    assert length(written, limit=100) == pytest.approx(expected)


@pytest.mark.parametrize("written", [0, 16_384, 16_385, 18_432, 20_480, 20_481])
def test_length_is_dapos_soft_overlong_punishment_plus_1(written: int) -> None:
    cache, longest = 4_096, 20_480
    punishment = 0.0 if written <= longest - cache else max(-1.0, (longest - cache - written) / cache)
    assert length(written, limit=longest) == pytest.approx(1 + punishment)


def test_characters_are_counted_where_they_are_asked_for() -> None:
    assert length(90, limit=100, free=80) == 0.5
    assert length(90, limit=400, free=320, unit="characters") == 0.5


def test_tokens_that_nobody_counted_are_no_number() -> None:
    verdict = Verdict(answer="x", layout=Layout(characters=3))
    assert Length(limit=10).component().measure(verdict) is None
    assert Length(limit=10, unit="characters").component().measure(verdict) == 1.0


def test_writing_nothing_is_not_brevity() -> None:
    assert length(0, limit=10, answer=None) == 0.0


@given(st.integers(1, 10_000), st.data())
def test_writing_more_never_pays(limit: int, data: st.DataObject) -> None:
    free = data.draw(st.none() | st.integers(0, limit))
    lengths = sorted(data.draw(st.lists(st.integers(0, 20_000), min_size=2)))
    values = [length(written, limit=limit, free=free) for written in lengths]
    assert all(value is not None and 0 <= value <= 1 for value in values)
    assert all(shorter >= longer for shorter, longer in pairwise(value for value in values if value is not None))


@pytest.mark.parametrize("options", [{"limit": 0}, {"limit": 10, "free": 11}, {"limit": 10, "free": -1}])
def test_limits_that_mean_nothing_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError, match="length: limit is"):
        Length(**options)


def test_a_limit_that_is_missing_is_asked_for() -> None:
    with pytest.raises(ConfigurationError, match="'length' needs the option 'limit'"):
        component(SqlEnvironment(), "length")
