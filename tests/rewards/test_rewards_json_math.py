"""Components of JSON and mathematics verdicts: one table a component."""

import pytest

from envs.json.environment import JsonEnvironment
from envs.json.task import JsonTask
from envs.math.environment import MathEnvironment
from envs.math.task import MathTask
from envs.transcript import Transcript
from envs.verdict import Verdict
from rewards import general, json, math
from rewards.component import Component
from rewards.registry import component

SCHEMA = '{"properties": {"a": {"type": "integer"}, "b": {"type": "string"}}, "required": ["a"]}'
JSON_TASK = JsonTask(id="1", schema=SCHEMA, text="a is 1, b is x", gold='{"a": 1, "b": "x"}')
MATH_TASK = MathTask(id="1", question="How many?", gold="5")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ('{"a": 1, "b": "x"}', {"parsed": 1, "bare": 1, "valid": 1, "content": 1, "correct": 1, "answered": 1}),
        ('So: {"a": 1, "b": "x"}', {"parsed": 1, "bare": 0, "valid": 1, "content": 1, "correct": 0, "answered": 1}),
        ('{"a": 1}', {"parsed": 1, "bare": 1, "valid": 1, "content": 2 / 3, "correct": 0, "answered": 1}),
        ('{"b": "x"}', {"parsed": 1, "bare": 1, "valid": 0, "content": 2 / 3, "correct": 0, "answered": 1}),
        ('{"a": 1, "b"', {"parsed": 0, "bare": 0, "valid": 0, "content": 0, "correct": 0, "answered": 1}),
        ("", {"parsed": 0, "bare": 0, "valid": 0, "content": 0, "correct": 0, "answered": 0}),
    ],
)
def test_json_components(answer: str, expected: dict[str, float]) -> None:
    (verdict,) = JsonEnvironment().judge([(JSON_TASK, Transcript.of(answer))])
    assert {name: component(JsonEnvironment(), name).measure(verdict) for name in expected} == pytest.approx(expected)


def test_content_is_none_without_a_gold() -> None:
    (verdict,) = JsonEnvironment().judge([(JsonTask(id="2", schema=SCHEMA), Transcript.of('{"a": 1}'))])
    assert component(JsonEnvironment(), "content").measure(verdict) is None


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (r"\boxed{5}", {"boxed": 1, "number": 1, "correct": 1, "answered": 1}),
        (r"\boxed{6}", {"boxed": 1, "number": 1, "correct": 0, "answered": 1}),
        (r"\boxed{2+3}", {"boxed": 1, "number": 0, "correct": 0, "answered": 1}),
        ("5", {"boxed": 0, "number": 0, "correct": 0, "answered": 0}),
    ],
)
def test_math_components(answer: str, expected: dict[str, float]) -> None:
    (verdict,) = MathEnvironment().judge([(MATH_TASK, Transcript.of(answer))])
    assert {name: component(MathEnvironment(), name).measure(verdict) for name in expected} == expected


def test_finished_is_0_for_a_truncated_answer() -> None:
    finished = component(MathEnvironment(), "finished")
    assert (finished.measure(Verdict()), finished.measure(Verdict(is_truncated=True))) == (1, 0)


def test_no_environment_repeats_a_general_component() -> None:
    assert not general.COMPONENTS.keys() & (json.COMPONENTS.keys() | math.COMPONENTS.keys())


def test_what_has_no_options_and_is_a_share_says_that_it_is_no_rate() -> None:
    components = {**general.COMPONENTS, **json.COMPONENTS, **math.COMPONENTS}
    made = {name: entry for name, entry in components.items() if isinstance(entry, Component)}
    shares = {name for name, component in made.items() if not component.is_rate}
    assert shares == {"tag_share", "progress", "structure", "coverage", "content"}
